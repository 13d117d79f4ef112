"""Risk: a song that has an ending does not take it, or never ends once it has begun to."""

from __future__ import annotations

from dataclasses import replace

from conductor_desk import RATE
from songs_desk import TWO, Night

from engine.layout import CommandKind, ReportKind
from engine.patch import Role
from engine.song import Ending
from engine.stem import StemState
from engine.timeline import Boundary

CODA = replace(
    TWO,
    roles={**TWO.roles, "coda": Role(bars=2, play="ending", enter="bar", to={"main": 0.0})},
)


def test_an_end_takes_a_stem_that_is_an_ending_first() -> None:
    night = Night(CODA)
    night.run(6.3)
    at = night.boundary(Boundary.BAR)
    assert night.act("end") == "ends with coda"
    before = len(night.sent)
    night.run((at - night.now) / RATE + 0.1)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert [(int(c["frame"]), int(c["c"])) for c in plays] == [(at, 3)]
    stops = [int(c["frame"]) for c in night.sent[before:] if c["kind"] == CommandKind.STEM_STOP]
    assert set(stops) == {at}
    assert night.act("end") == "it is ending"
    night.run(3.0)
    assert night.playing() == {"coda"}
    assert night.status()["standby"] is False
    night.run(1.0)
    assert not night.playing()
    assert night.status()["standby"] is True
    assert night.conductor.let_in
    night.act("next_song")
    night.act("standby")
    night.run(6)
    assert night.playing() == {"drums", "bass"}


def test_an_end_without_its_fill_fades_and_a_song_that_fades_takes_no_ending() -> None:
    night = Night()
    night.run(6.3)
    book = night.conductor.book
    for entry in book.ready("fill"):
        entry.state = StemState.REQUESTED
    assert night.act("end") == "fades over 4 bars"
    night = Night(CODA)
    night.choose("song", 2)
    night.run(12)
    assert night.act("end") == "fades over 2 bars"


def test_an_ending_that_cannot_be_played_ends_with_the_phrase() -> None:
    night = Night(CODA)
    night.run(6.3)
    at = night.boundary(Boundary.BAR)
    night.act("end")
    night.run((at - night.now) / RATE - 0.2)
    (play,) = (c for c in night.sent if c["kind"] == CommandKind.STEM_PLAY and c["c"] == 3)
    fields = {"id": int(play["id"]), "slot": int(play["slot"]), "frame": night.now, "a": -1}
    night.say(ReportKind.STEM_REFUSED, **fields)
    end = night.boundary(Boundary.PHRASE)
    night.run((end - night.now) / RATE + 0.1)
    assert night.status()["standby"] is True
    assert not night.playing()


def test_a_conductor_killed_in_an_ending_ends_it_all_the_same() -> None:
    for delay in (0.1, 1.0, 3.0):
        night = Night(CODA)
        night.run(6.3)
        night.act("end")
        night.run(delay)
        night.again()
        night.run(7 - delay)
        assert not night.playing()
        assert night.status()["standby"] is True
        assert night.conductor.let_in


def test_nothing_enters_into_a_fade() -> None:
    fades = replace(TWO.songs["one"], ending=Ending(kind="fade", bars=4))
    bass = replace(TWO.roles["bass"], enter="bar")
    night = Night(replace(TWO, songs={"one": fades}, roles={**TWO.roles, "bass": bass}))
    night.run(6.3)
    night.act("end")
    while not night.conductor.programme.busy:
        night.run(0.05)
    before = len(night.sent)
    night.act("enter", "bass")
    while not night.status()["standby"]:
        night.run(0.05)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert not plays

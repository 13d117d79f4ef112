"""Risk: a song or scene changes beside its boundary, or drags what belongs to the last along."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conductor_desk import RATE
from songs_desk import MAIN, REVERB, TWO, Night

from engine.layout import COMMAND, CommandKind, ReportKind
from engine.sources import source_names
from engine.stem import StemState
from engine.timeline import Boundary


def test_the_next_song_begins_at_the_phrase_with_its_tempo_and_metre() -> None:
    night = Night()
    night.run(6.3)
    assert night.playing() == {"drums"}
    at = night.boundary(Boundary.PHRASE)
    assert "two, all: at the phrase" in night.act("next_song")
    night.run((at - night.now) / RATE + 0.1)
    line = night.conductor.line
    assert line is not None
    assert (line.bpm, line.beats_per_bar) == (90.0, 3)
    told = [c for c in night.of(CommandKind.TIMELINE) if c["frame"] == at]
    assert {(float(c["y"]), int(c["a"])) for c in told} == {(90.0, 3)}
    assert line.beat_at(at) % 3 == pytest.approx(0)
    one = line.beat_at(at) + 3
    assert one % (3 * 2) == pytest.approx(0)
    assert night.status()["song"] == "two"


def test_the_count_in_is_on_the_click_alone_and_stems_wait_for_its_end() -> None:
    night = Night()
    night.run(6.3)
    at = night.boundary(Boundary.PHRASE)
    one = at + 3 * 32_000
    night.act("next_song")
    before = len(night.sent)
    night.run((one - night.now) / RATE + 0.5)
    clicks = [(int(c["frame"]), int(c["slot"])) for c in night.of(CommandKind.CLICK)]
    assert clicks == [(at, 1), (one, 0)]
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert {int(c["frame"]) for c in plays} == {one}
    stops = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_STOP]
    assert {int(c["frame"]) for c in stops} == {at}
    gains = [c for c in night.sent[before:] if c["kind"] == CommandKind.GAIN]
    assert {int(c["frame"]) for c in gains} == {at, one}
    assert min(int(c["a"]) for c in gains) >= 960  # no step
    horn = source_names(TWO).index("input.horn")
    assert all(c["slot"] != horn for c in gains)  # dry is never touched


def test_players_are_silent_in_a_count_in() -> None:
    night = Night()
    night.run(6.3)
    assert night.generates() == [1, 1]
    at = night.boundary(Boundary.PHRASE)
    night.act("next_song")
    night.run((at - night.now) / RATE + 1.0)
    assert night.generates() == [0, 0]
    night.run(1.5)
    assert night.generates() == [1, 1]


def test_stems_of_the_next_song_are_made_ahead_and_enter_on_its_first_frame() -> None:
    night = Night()
    night.run(6.3)
    night.act("song")
    asked = night.choose("song", "three")
    assert asked.startswith("three")
    at = night.boundary(Boundary.PHRASE)
    ahead = [e for e in night.conductor.book.entries.values() if e.want["song"] == "two"]
    assert ahead  # the next in order was asked for all along
    assert {e.bpm for e in ahead} == {90.0}
    night.run((at - night.now) / RATE + 0.1)
    night.run(6)
    assert night.status()["song"] == "three"
    songs = {e.want["song"] for e in night.conductor.book.entries.values()
             if e.state is StemState.PLAYING}  # fmt: skip
    assert songs == {"three"}


def test_every_stem_that_enters_was_made_for_the_tempo_it_enters_at() -> None:
    night = Night()
    for song, bpm in ((2, 90.0), (3, 150.0), (1, 120.0)):
        night.run(6.3)
        night.choose("song", song)
        night.run(9)
        book = night.conductor.book
        sounding = [e for e in book.entries.values() if e.state is StemState.PLAYING]
        assert {e.bpm for e in sounding} == {bpm}


def test_without_a_count_in_new_stems_take_over_on_the_boundary_frame() -> None:
    plain = replace(TWO, songs={**TWO.songs, "two": replace(TWO.songs["two"], count_in=0)})
    night = Night(plain)
    night.run(6.3)
    at = night.boundary(Boundary.PHRASE)
    night.act("next_song")
    before = len(night.sent)
    night.run((at - night.now) / RATE + 0.1)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert plays
    assert {int(c["frame"]) for c in plays} == {at}
    book = night.conductor.book
    sounding = [e for e in book.entries.values() if e.state is StemState.PLAYING]
    assert {e.want["song"] for e in sounding} == {"two"}
    assert not night.of(CommandKind.CLICK)


def test_a_scene_glides_its_gains_and_moves_its_stems_at_the_bar() -> None:
    night = Night()
    night.run(6.3)
    at = night.boundary(Boundary.BAR)
    assert night.act("next_scene") == "one, full: at the bar"
    before = len(night.sent)
    night.run((at - night.now) / RATE + 0.1)
    gains = [c for c in night.sent[before:] if c["kind"] == CommandKind.GAIN]
    drums = source_names(TWO).index("stems.drums")
    moved = {(int(c["slot"]), int(c["c"])) for c in gains}
    assert {(drums, MAIN), (drums, REVERB)} <= moved
    assert {int(c["frame"]) for c in gains} == {at}
    assert {int(c["a"]) for c in gains} == {4 * 24_000}
    assert night.gain("texture.mist") == 0.0
    assert night.generates() == [0, 1]
    plays = [int(c["frame"]) for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert plays == [at, at]  # the bass, and drums of the density wanted
    assert night.status()["scene"] == "full"
    night.act("next_scene")
    night.run(4.5)
    assert night.playing() == {"drums"}
    assert night.gain("stems.drums", REVERB) == 0.0
    assert night.gain("texture.mist") == pytest.approx(10 ** (-6 / 20))


def test_an_end_with_a_fill_lets_it_in_for_the_last_bar_and_stops_all_at_the_phrase() -> None:
    night = Night()
    night.run(6.3)
    at = night.boundary(Boundary.PHRASE)
    if at - night.now < 1.2 * 96_000:
        night.run(2.0)
        at = night.boundary(Boundary.PHRASE)
    assert night.act("end") == "ends with the phrase, after a fill"
    before = len(night.sent)
    night.run((at - night.now) / RATE + 0.1)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert [int(c["frame"]) for c in plays] == [at - 96_000]
    night.run(0.1)
    assert not night.playing()
    assert night.status()["standby"] is True
    stops = [int(c["frame"]) for c in night.sent[before:] if c["kind"] == CommandKind.STEM_STOP]
    assert set(stops) == {at}


def test_an_end_may_be_called_off_and_a_fade_ends_in_standby() -> None:
    night = Night()
    night.choose("song", 2)
    night.run(12)
    assert night.status()["song"] == "two"
    assert night.act("end") == "fades over 2 bars"
    assert night.act("end") == "called off"
    at = night.boundary(Boundary.BAR)
    night.act("end")
    before = len(night.sent)
    night.run((at - night.now) / RATE + 0.1)
    fades = [c for c in night.sent[before:] if c["kind"] == CommandKind.GAIN]
    assert {(int(c["frame"]), int(c["a"]), float(c["x"])) for c in fades} == {
        (at, 2 * 3 * 32_000, 0.0)
    }
    assert night.act("end") == "it is ending"
    night.run(4.2)
    assert not night.playing()
    assert night.status()["standby"] is True


def test_a_patch_without_songs_never_speaks_of_gains() -> None:
    night = Night(replace(TWO, songs={}))
    night.run(6.3)
    assert night.act("next_song") == "night is the last song"
    assert night.act("next_scene") == "night has one scene"
    night.say(ReportKind.RESUMED, frame=night.now)
    night.run(6)
    assert not night.of(CommandKind.GAIN)
    assert night.playing() == {"drums", "bass", "fill"}


def test_the_last_song_is_the_last_and_unknown_names_are_told() -> None:
    night = Night()
    said = night.choose("song", "four")
    assert said == "song 'four', expected one of one, two, three"
    said = night.choose("scene", 9)
    assert said == "scene 9, expected one of thin, full"
    night.run(1)
    night.choose("song", 3)
    night.run(5)
    assert night.act("next_song") == "three is the last song"


def test_commands_fit_their_record() -> None:
    night = Night()
    night.run(3)
    night.act("next_song")
    night.run(6)
    assert all(c.dtype == COMMAND for c in night.sent)


def test_everybody_is_told_the_key_as_they_read_it() -> None:
    horn = replace(TWO.inputs["horn"], written=2)
    night = Night(replace(TWO, inputs={"horn": horn}))
    assert night.status()["key"] == "C major"
    assert night.status()["written"] == {"horn": "D major"}

"""Risk: standby is heard, forgets what went on meanwhile, or comes back beside the music."""

from __future__ import annotations

from dataclasses import replace

from conductor_desk import RATE
from songs_desk import TWO, Night

from engine.ask import Ask
from engine.layout import CommandKind
from engine.sources import source_names
from engine.stem import StemState
from engine.timeline import Boundary


def test_standby_fades_the_generated_freezes_the_tracker_and_leaves_the_dry() -> None:
    night = Night()
    night.run(6.3)
    assert night.act("standby") == "standby"
    night.run(0.1)
    horn = source_names(TWO).index("input.horn")
    faded = {int(c["slot"]): float(c["x"]) for c in night.of(CommandKind.GAIN)}
    assert horn not in faded
    names = source_names(TWO)
    assert {names[i] for i, g in faded.items() if g == 0.0} == {
        "voice.answer", "texture.mist", "stems.drums", "stems.bass", "stems.fill"
    }  # fmt: skip
    assert night.conductor.clock is not None
    assert night.conductor.clock.held
    assert night.generates() == [1, 1]  # until the fade is over
    night.run(1.0)
    assert night.generates() == [0, 0]
    assert night.act("standby") == "on"
    night.run(0.1)
    assert night.gain("stems.drums") == 1.0
    assert not night.conductor.clock.held
    assert night.generates() == [1, 1]
    assert night.playing() == {"drums"}  # they went on unheard


def test_a_song_chosen_in_standby_begins_with_its_count_in_when_standby_ends() -> None:
    night = Night()
    night.run(6.3)
    night.act("standby")
    night.run(2)
    assert night.act("next_song") == "two: begins when standby ends"
    night.run(5)
    assert not night.playing()
    assert not night.of(CommandKind.CLICK)
    before = len(night.sent)
    pressed = night.now
    night.act("standby")
    night.run(3)
    on, off = night.of(CommandKind.CLICK)
    assert pressed <= on["frame"] < pressed + 0.1 * RATE
    assert off["frame"] - on["frame"] == 3 * 32_000
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert {int(c["frame"]) for c in plays} == {int(off["frame"])}
    assert night.conductor.line is not None
    assert night.conductor.line.bpm == 90.0


def test_stems_made_ahead_of_a_song_are_kept_when_it_is_chosen_in_standby() -> None:
    night = Night()
    night.run(6.3)
    book = night.conductor.book
    ahead = {e.id for e in book.entries.values() if e.want.get("song") == "two"}
    assert ahead
    night.act("standby")
    night.run(2)
    night.act("next_song")
    night.run(5)
    assert ahead <= book.entries.keys()
    made = [e for e in book.entries.values() if e.want.get("song") == "two"]
    assert {e.bpm for e in made} == {90.0}
    asked = night.conductor.act("regenerate", night.now, "drums")
    assert asked == "asked"
    assert {e.bpm for e in book.entries.values() if e.want.get("song") == "two"} == {90.0}
    before = len(night.sent)
    night.act("standby")
    night.run(9)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert ahead & {int(c["id"]) for c in plays}
    assert {float(c["z"]) for c in plays} == {RATE * 60 / 90.0}


def test_a_song_without_count_in_to_a_drummer_waits_for_the_one() -> None:
    clock = replace(TWO.clock, source="listener", listen=("horn",))
    songs = {"one": TWO.songs["one"], "two": replace(TWO.songs["two"], count_in=0)}
    night = Night(replace(TWO, armed=False, clock=clock, songs=songs))
    night.act("this_is_one")
    night.act("let_in")
    night.act("enter", "drums")
    night.run(8.3)
    assert night.playing() == {"drums"}
    night.act("standby")
    night.act("next_song")
    night.act("standby")
    night.run(6)
    assert not night.conductor.let_in
    assert not night.playing()
    assert night.act("let_in") == "first say where the one is"
    night.act("this_is_one")
    night.act("let_in")
    night.run(6)
    assert night.playing() == {"drums"}


def test_what_a_hand_queues_in_standby_waits_for_its_end() -> None:
    night = Night()
    night.run(6.3)
    night.act("standby")
    night.run(2)
    for chosen in ("next_song", None):
        if chosen:
            night.act(chosen)
            night.run(5)
        book = night.conductor.book
        drums = next(e for e in book.of("drums", StemState.READY) if book.fits(e))
        before = len(night.sent)
        for at in (Boundary.NOW, Boundary.BEAT):
            ask = Ask(night.now, stem=drums.id, at=at)
            night.conductor.act("queue_stem", night.now, ask=ask)
            night.run(4)
        assert drums.state is StemState.QUEUED
        assert not [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
        night.act("standby")
        one = night.conductor.programme.one_beat
        night.run(9)
        plays = {int(c["id"]): c for c in night.sent if c["kind"] == CommandKind.STEM_PLAY}
        line = night.conductor.line
        assert line is not None
        beat = line.beat_at(int(plays[drums.id]["frame"]))
        assert abs(beat - round(beat)) < 1e-3
        assert one is None or beat >= one - 1e-3  # not in its count-in
        assert abs(float(plays[drums.id]["w"]) - beat) < 1e-3
        night.act("standby")
        night.run(2)

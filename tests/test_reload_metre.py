"""Risk: a metre or tempo that is reloaded while stems play puts them beside the bar, forgets what a
hand has chosen, or says in its place where the one is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from songs_desk import RATE, TWO, Night

from engine.ask import Ask
from engine.layout import CommandKind
from engine.patch import Patch
from engine.stem import StemState
from engine.timeline import Boundary


def one(**facts: object) -> Patch:
    """The song that plays, with something else."""
    return replace(TWO, songs={**TWO.songs, "one": replace(TWO.songs["one"], **facts)})  # type: ignore[arg-type]


THREE_FOUR = one(beats_per_bar=3)


def taken(new: Patch, seconds: float = 6.3) -> tuple[Night, int]:
    """Drums play when the patch is taken; with the bar line at which it comes into force."""
    night = Night()
    night.run(seconds)
    assert "drums" in night.playing()
    line = night.conductor.line
    assert line is not None
    bar = line.next_boundary(night.now + 4800, Boundary.BAR)
    assert night.conductor.take(new, night.now, []) is None
    return night, bar


def test_stems_of_the_new_metre_begin_with_its_first_bar() -> None:
    night, bar = taken(THREE_FOUR)
    old = [e.id for e in night.conductor.book.entries.values() if e.state is StemState.PLAYING]
    before = len(night.sent)
    night.run(3)
    line = night.conductor.line
    assert line is not None
    assert line.beats_per_bar == 3
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert [int(c["frame"]) for c in plays] == [bar]
    assert float(plays[0]["w"]) == pytest.approx(line.beat_at(bar), abs=1e-3)
    assert round(line.beat_at(bar), 3) % 6 == 0
    assert [night.conductor.book.entries[i].stop_frame for i in old] in ([bar], [0])
    assert "drums" in night.playing()


def test_what_has_no_successor_yet_leaves_and_comes_back_with_a_phrase() -> None:
    night, bar = taken(THREE_FOUR)
    book = night.conductor.book
    night.ready = lambda: None  # type: ignore[method-assign]  # the pool is slow
    before = len(night.sent)
    while night.now < bar + RATE:
        night.run(0.1)
    stops = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_STOP]
    assert bar in [int(c["frame"]) for c in stops]
    assert not book.playing("drums")
    del night.ready  # type: ignore[method-assign]
    night.run(8)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    line = night.conductor.line
    assert line is not None
    assert plays
    assert round(line.beat_at(int(plays[0]["frame"])), 3) % 6 == 0
    assert "drums" in night.playing()


def test_nothing_waits_for_a_boundary_of_the_old_metre() -> None:
    night, bar = taken(THREE_FOUR)
    night.act("enter", "bass")
    night.act("enter", "fill")
    while night.now < bar + 12 * RATE:
        night.run(0.1)
        line = night.conductor.line
        assert line is not None
        for entry in night.conductor.book.of("bass", StemState.QUEUED):
            if night.now > bar and entry.beat is not None:
                assert round(entry.beat, 3) % 6 == 0
    assert {"drums", "bass"} <= night.playing()


def test_an_end_asked_for_comes_with_the_new_metres_phrase() -> None:
    night, bar = taken(THREE_FOUR)
    night.act("end")
    while night.now <= bar:
        night.run(0.05)
    line, end = night.conductor.line, night.conductor.programme.end
    assert line is not None
    assert end is not None
    assert round(end.beat, 3) % 6 == 0
    while not night.status()["standby"]:
        night.run(0.05)
        assert night.now < bar + 20 * RATE
    said = [e for e in night.conductor.news if e["event"] == "ended"]
    assert round(line.beat_at(said[0]["frame"]), 3) % 6 == 0


def test_another_length_of_phrases_moves_nothing_that_plays() -> None:
    night, bar = taken(one(bars_per_phrase=4))
    line = night.conductor.line
    assert line is not None
    beat, before = line.beat_at(bar), len(night.sent)
    night.run(3)
    line = night.conductor.line
    assert line is not None
    assert line.bars_per_phrase == 4
    assert line.beat_at(bar) == pytest.approx(beat, abs=1e-3)
    assert not [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_STOP]


@pytest.mark.parametrize("new", [one(bpm=126.0), THREE_FOUR])
def test_a_reload_does_not_say_where_the_one_is(new: Patch) -> None:
    night = Night(replace(TWO, armed=False))
    night.run(1)
    assert night.conductor.take(replace(new, armed=False), night.now, []) is None
    night.run(4)
    line = night.conductor.line
    assert line is not None
    assert (line.bpm, line.beats_per_bar) in ((126.0, 4), (120.0, 3))
    assert night.act("let_in") == "first say where the one is"


def test_what_a_hand_has_stopped_stays_out_when_the_tempo_is_reloaded() -> None:
    night = Night(replace(TWO, armed=False))
    night.act("this_is_one")
    night.act("let_in")
    night.act("enter", "drums")
    night.choose("scene", "full")
    night.run(8)
    assert {"drums", "bass"} <= night.playing()
    night.act("stop_role", "bass")
    night.run(5)
    new = replace(one(bpm=126.0), armed=False)
    assert night.conductor.take(new, night.now, []) is None
    night.run(10)
    assert "bass" not in night.playing()
    assert "drums" in night.playing()


def test_a_scene_asked_for_after_a_reload_does_not_call_the_tempo_off() -> None:
    night, bar = taken(one(bpm=126.0))
    night.choose("scene", "full")
    while night.now <= bar:
        night.run(0.05)
    line = night.conductor.line
    assert line is not None
    assert line.bpm == 126.0
    assert night.status()["scene"] == "full"


@pytest.mark.parametrize("new", [one(bpm=127.0), one(bpm=127.0, key=5)])
def test_what_plays_on_at_a_reloaded_tempo_is_stretched_once_or_not_at_all(new: Patch) -> None:
    night, _ = taken(new)
    book = night.conductor.book
    stretched: list[int] = []

    def slow_makers() -> None:
        for entry, request in book.requests:
            if entry.stretch_of:
                stretched.append(entry.id)
                loop = request.beats * 60.0 / request.bpm * RATE
                event = {"job": entry.id, "event": "ready", "frames": round(loop), "loop": loop}
                book.pool_event(event, night.now)
        book.requests.clear()

    night.ready = slow_makers  # type: ignore[method-assign]
    night.run(12)
    playing = book.playing("drums")
    assert playing is not None
    if new.songs["one"].key is None:
        assert stretched == [playing.id]
        assert playing.bpm == 127.0
    else:
        assert not stretched


def test_before_the_bar_nothing_of_the_new_metre_enters() -> None:
    night, bar = taken(THREE_FOUR, 5.9)
    book = night.conductor.book
    before = len(night.sent)
    night.run(0.02)
    ready = [e for r in ("drums", "bass") for e in book.of(r, StemState.READY) if book.fits(e)]
    for entry in ready:
        night.conductor.act("queue_stem", night.now, ask=Ask(night.now, entry.role, entry.id,
                            at=Boundary.BEAT))  # fmt: skip
    while night.now < bar + RATE:
        night.run(0.1)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert ready
    assert plays
    assert min(int(c["frame"]) for c in plays) >= bar
    assert {"drums", "bass"} <= night.playing()

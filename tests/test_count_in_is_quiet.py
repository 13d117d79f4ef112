"""Risk: something that a hand asks for while a song is counted in is heard before its first bar."""

from __future__ import annotations

from dataclasses import replace

import pytest
from songs_desk import TWO, Night

from engine.ask import Ask
from engine.layout import CommandKind
from engine.song import Scene, ScenePart
from engine.stem import StemState
from engine.timeline import Boundary

OUT = {"fill": ScenePart(play=False)}
COUNTED = replace(
    TWO.songs["two"],
    count_in=2,
    scenes={
        "a": Scene(stems={**OUT, "bass": ScenePart(play=False)}),
        "b": Scene(stems={**OUT, "bass": ScenePart()}),
    },
)
PATCH = replace(TWO, songs={**TWO.songs, "two": COUNTED})


def counting() -> tuple[Night, float]:
    """In the first bar of a count-in of two, out of standby; with the beat of the song's one."""
    night = Night(PATCH)
    night.run(6.3)
    night.act("standby")
    night.run(2)
    night.act("next_song")
    night.run(5)
    night.act("standby")
    night.run(0.3)
    one = night.conductor.programme.one_beat
    assert one is not None
    return night, one


def pick(night: Night, at: Boundary) -> str:
    book = night.conductor.book
    bass = next(e for e in book.of("bass", StemState.READY) if book.fits(e))
    return night.conductor.act("queue_stem", night.now, ask=Ask(night.now, stem=bass.id, at=at))


@pytest.mark.parametrize("asked", ["next_scene", "bar", "beat", "again"])
def test_stems_wait_for_the_first_bar(asked: str) -> None:
    night, one = counting()
    before = len(night.sent)
    if asked == "again":  # standby for a moment
        night.act("standby")
        night.run(0.1)
        night.act("standby")
    elif asked == "next_scene":
        night.act(asked)
    else:
        assert pick(night, Boundary(asked)) == "queued"
    night.run(6)
    line = night.conductor.line
    assert line is not None
    begun = [line.beat_at(int(c["frame"])) for c in night.sent[before:]
             if c["kind"] == CommandKind.STEM_PLAY]  # fmt: skip
    assert begun
    assert min(begun) >= one - 1e-3


def test_a_scene_and_an_end_wait_for_the_first_bar() -> None:
    for asked, event in (("next_scene", "scene"), ("end", "ending")):
        night, one = counting()
        heard = len(night.conductor.news)
        night.act(asked)
        night.run(6)
        line = night.conductor.line
        assert line is not None
        frames = [e["frame"] for e in night.conductor.news[heard:] if e["event"] == event]
        assert frames
        assert line.beat_at(frames[0]) >= one - 1e-3

"""Risk: what the conductor asks for from a frame on takes effect at the block's start, so that a
song begins early, a gain jumps, or the block size changes a sample."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from engine_stage import RATE, Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.control import PANIC_FADE_FRAMES
from engine.layout import CommandKind, LevelKind, ReportKind, SafeKind
from engine.mixer import BUS_ORDER
from engine.patch import Cv, Input, Output, Patch, Player, Role
from engine.timeline import Timeline

BLOCKS = (1, 64, 65, 128, 1031)
START = 64_000
FRAMES = 6200
CHANGE = START + 2501  # inside a block of every size
CV = {
    "clock": Cv(channel=6, kind="clock"),
    "reset": Cv(channel=7, kind="reset", every="bar"),
    "run": Cv(channel=8, kind="run"),
    "lfo": Cv(channel=9, kind="lfo", beats=0.25),
}
PATCH = Patch(
    inputs={"mic": Input(channel=1, to={"main": -60.0, "delay": 0.0})},
    roles={"loop": Role(to={"cue": 0.0})},
    outputs={"main": Output((1, 2)), "click": Output((3,)), "cue": Output((4, 5))},
    cv=CV,
)
RNG = np.random.default_rng(5)
AUDIO = RNG.uniform(-0.3, 0.3, (FRAMES, 1)).astype(np.float32)
LOOP = RNG.uniform(-0.3, 0.3, (2, 24_000)).astype(np.float32)


def line(stage: Stage, frame: int, beat: float, bpm: float) -> Timeline:
    stage.command(CommandKind.TIMELINE, frame=frame, x=beat, y=bpm, a=4, b=2, z=1.0)
    return Timeline(frame, beat, bpm, RATE, 4, 2)


def night(
    block: int, change: int = CHANGE, bpm: float = 331.0, on: int = 1203, off: int = 5107
) -> np.ndarray:
    """A click, a song that changes under a running fade, echoes and a loop that follows."""
    stage = Stage(PATCH, block=block)
    line(stage, START, 3.9, 397.0)
    stage.stem(LOOP, y=24_000.0, z=9600.0, w=3.9)
    stage.command(CommandKind.CLICK, slot=1, frame=START + on)
    stage.command(CommandKind.CLICK, slot=0, frame=START + off)
    cue = {"slot": stage.engine.mixer.index["stems.loop"], "c": BUS_ORDER.index("cue")}
    stage.command(CommandKind.GAIN, **cue, frame=START + 333, a=4000, x=0.1)
    stage.command(CommandKind.GAIN, **cue, frame=change, a=1500, x=1.0)
    bus = {"slot": BUS_ORDER.index("cue"), "c": LevelKind.BUS}
    stage.command(CommandKind.LEVEL, **bus, frame=START + 100, a=5000, x=0.5)
    stage.command(CommandKind.LEVEL, **bus, frame=change + 77, a=900, x=1.0)
    line(stage, change, 8.0, bpm)
    return stage.play(AUDIO)


@cache
def wanted() -> np.ndarray:
    return night(128)


@pytest.mark.parametrize("block", BLOCKS)
def test_block_size_changes_no_bit_of_a_song_change_in_mid_block(block: int) -> None:
    out = night(block)
    different = [
        c + 1 for c in range(out.shape[1]) if not np.array_equal(out[:, c], wanted()[:, c])
    ]
    assert different == []
    assert [c + 1 for c in range(out.shape[1]) if np.ptp(out[:, c]) == 0] == []


@given(
    change=st.integers(START + 1, START + FRAMES - 1),
    bpm=st.floats(20.0, 400.0),
    on=st.integers(0, FRAMES),
    off=st.integers(0, FRAMES),
    block=st.sampled_from((63, 65, 127, 640, 1031)),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_block_size_changes_no_bit_wherever_it_changes(
    change: int, bpm: float, on: int, off: int, block: int
) -> None:
    assert np.array_equal(night(block, change, bpm, on, off), night(128, change, bpm, on, off))


@pytest.mark.parametrize("block", [64, 128, 1031])
def test_first_beat_of_a_song_is_heard_at_its_frame_and_not_before(block: int) -> None:
    stage = Stage(PATCH, block=block)
    line(stage, START, 0.51, 20.0)  # no pulse of its own before the change
    stage.command(CommandKind.CLICK, slot=1, frame=CHANGE)
    line(stage, CHANGE, 16.0, 100.0)
    out = stage.play(FRAMES)
    click, clock, run = out[:, 2], out[:, 5], out[:, 7]
    for row in (click, clock, run):
        assert CHANGE <= START + np.flatnonzero(row)[0] <= CHANGE + 1  # a sine begins with 0


def test_fade_that_another_one_takes_over_makes_no_step() -> None:
    """It goes on until the other one's own frame."""
    stage = Stage(PATCH)
    steady = np.full((2, 24_000), 0.5, np.float32)
    stage.stem(steady, y=24_000.0)
    cue = {"slot": stage.engine.mixer.index["stems.loop"], "c": BUS_ORDER.index("cue")}
    stage.command(CommandKind.GAIN, **cue, frame=START + 200, a=1000, x=0.0)
    stage.command(CommandKind.GAIN, **cue, frame=START + 700, a=1000, x=1.0)
    out = stage.play(4096)[:, 3]
    assert np.abs(np.diff(out)).max() < 0.5 / 999
    assert np.argmin(out) == 700
    assert out[-1] == 0.5


def test_tick_that_has_begun_sounds_to_its_end() -> None:
    """Whatever becomes of the click and of the timeline; a step back of a few frames gives no
    second tick."""
    ticks = []
    for disturbed in (False, True):
        stage = Stage(PATCH)
        given_line = line(stage, START, 0.9, 120.0)
        stage.command(CommandKind.CLICK, slot=1)
        beat = given_line.frame_at(1)
        if disturbed:
            line(stage, beat + 200, 0.999, 120.0)
            stage.command(CommandKind.CLICK, slot=0, frame=beat + 501)
        ticks.append(stage.play(FRAMES)[:, 2])
    assert ticks[0].any()
    assert np.array_equal(*ticks)


def test_what_a_gap_has_passed_over_is_obeyed_in_its_order() -> None:
    stage = Stage(PATCH)
    line(stage, START + 900, 40.0, 300.0)
    line(stage, START + 300, 20.0, 200.0)
    stage.play(128)
    stage.t += 2000
    newer = line(stage, stage.t - 10, 60.0, 100.0)
    stage.play(128)
    found = stage.engine.state["timeline"][0]
    assert (found["beat"], found["bpm"]) == (newer.beat, newer.bpm)


def test_nothing_is_cut_where_nothing_changes() -> None:
    stage = Stage(PATCH)
    stretches: list[tuple[int, int]] = []
    stage.engine.rendered = lambda t, n: stretches.append((t, n))
    line(stage, START, 0.0, 120.0)
    line(stage, START + 300, 0.0, 120.0)
    stage.play(512)
    assert stretches == [
        (START, 128),
        (START + 128, 128),
        (START + 256, 44),
        (START + 300, 84),
        (START + 384, 128),
    ]


MIST = Patch(
    inputs={"mic": Input(channel=1, to={"main": -90.0})},
    players={"mist": Player(model="rave", listens="mic", to={"main": 0.0})},
    roles={"loop": Role(to={"main": -90.0})},
    outputs={"main": Output((1, 2))},
)


def panicked(block: int) -> tuple[np.ndarray, list[int]]:
    """What a texture is heard through, and when stems were said to have ended."""
    stage = Stage(MIST, block=block)
    stage.texture("mist", START, np.full((2, FRAMES), 0.5, np.float32))
    stage.stem(LOOP[:, :700], slot=0, id=1)
    stage.stem(LOOP, slot=1, id=2, offset=50_000, y=24_000.0)
    stage.stem(LOOP, slot=2, id=3, offset=50_000, y=24_000.0)
    stage.command(CommandKind.STEM_STOP, slot=2, frame=START + 333, a=100)
    stage.safe(SafeKind.PANIC)
    out = stage.play(FRAMES)[:, 0]
    ended = [r for r in stage.reports() if r["kind"] == ReportKind.STEM_ENDED]
    return out, [r["frame"] - START for r in sorted(ended, key=lambda r: r["id"])]


@pytest.mark.parametrize("block", BLOCKS)
def test_panic_is_over_and_stems_end_at_their_frame_whatever_the_block(block: int) -> None:
    out, ended = panicked(block)
    assert np.array_equal(out, panicked(128)[0])
    assert ended == [700, PANIC_FADE_FRAMES, 433]
    assert not out[PANIC_FADE_FRAMES]
    assert out[PANIC_FADE_FRAMES + 1]

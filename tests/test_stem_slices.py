"""Risk: a stem that follows a moving tempo comes late, strikes twice, tears, or depends on the
block size; or one whose tempo stands still is no longer what it was."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import RATE, Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.layout import CommandKind, ReportKind
from engine.patch import Output, Patch, Role
from engine.slices import FADE_S, MARGIN_S, REACH_S, STEP_BEATS
from engine.timeline import Timeline

PATCH = Patch(roles={"drums": Role(to={"main": 0.0})}, outputs={"main": Output((1, 2))})
BPM, BEATS = 120.0, 8
PER_BEAT = 60.0 / BPM * RATE
LOOP = BEATS * PER_BEAT
START = 64_000
REACH = round(REACH_S * RATE)
RNG = np.random.default_rng(11)
TIME = np.arange(round(LOOP)) / RATE
HUM = 0.2 * np.sin(2 * np.pi * 110.0 * TIME) + 0.05 * RNG.standard_normal(len(TIME))
MUSIC = np.stack([HUM, -HUM]).astype(np.float32)


def timeline(stage: Stage, line: Timeline) -> None:
    stage.command(CommandKind.TIMELINE, frame=line.frame, x=line.beat, y=line.bpm, a=4, b=4)


def follow(stage: Stage, audio: np.ndarray, beat: float = 0.0, **fields: float) -> None:
    stage.stem(audio, **{"y": LOOP, "z": PER_BEAT, "w": beat, **fields})


def moving(frames: int, swing: float = 0.03, every: int = 3000) -> list[Timeline]:
    """A tempo that swings by a share, in steps `every` frames apart, from START and beat 0 on."""
    lines = [Timeline(START, 0.0, BPM, RATE)]
    for f in range(every, frames, every):
        bpm = BPM * (1 + swing * np.sin(f / 40_000))
        lines.append(lines[-1].with_tempo(START + f, bpm))
    return lines


def frame_of(lines: list[Timeline], beat: float) -> float:
    """Where the moving timeline passes a beat."""
    line = [x for x in lines if x.beat <= beat][-1]
    return line.frame + (beat - line.beat) * line.frames_per_beat


def clicks() -> np.ndarray:
    """One impulse of its own height on each beat and off-beat."""
    audio = np.zeros((2, round(LOOP)), np.float32)
    for i in range(2 * BEATS):
        audio[:, round(i * PER_BEAT / 2)] = 0.3 + 0.02 * i
    return audio


@given(
    bpm=st.floats(60, 200),
    beat=st.integers(-8, 64),
    late=st.integers(0, 20_000),
    again=st.lists(st.integers(1, 60_000), max_size=4),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_at_its_own_tempo_a_stem_is_what_it_was_bit_for_bit(
    bpm: float, beat: int, late: int, again: list[int]
) -> None:
    per_beat = 60.0 / bpm * RATE
    loop = 4 * per_beat
    audio = RNG.uniform(-0.3, 0.3, (2, round(loop))).astype(np.float32)
    line = Timeline(START - late, beat - late / per_beat - 0.3, bpm, RATE)
    start = line.frame_at(beat)
    heard = []
    for z in (0.0, per_beat):
        stage = Stage(PATCH, start=START)
        timeline(stage, line)
        for frame in sorted(again):
            timeline(stage, line.at(START + frame))  # the conductor anchors its line anew
        stage.stem(audio, frame=start, y=loop, z=z, w=float(beat))
        heard.append(stage.play(round(2.3 * loop)))
    assert np.abs(heard[0]).max() > 0.1
    assert np.array_equal(heard[0], heard[1])


@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_moving_tempo_does_not_depend_on_the_block_size(block: int) -> None:
    def play(size: int) -> np.ndarray:
        frames = 60_000 if size == 1 else 170_000
        stage = Stage(PATCH, start=START, block=size)
        lines = moving(frames)
        leap = lines[10]
        lines = [*lines[:12], Timeline(lines[12].frame, leap.beat + 3.3, 131.0, RATE), *lines[13:]]
        for line in lines:
            timeline(stage, line)
        follow(stage, MUSIC)
        follow(stage, MUSIC[:, 7:50_007], offset=400_000, slot=1, frame=START + 777, y=0.0)
        return stage.play(frames)

    expected, out = play(128), play(block)
    assert np.array_equal(out, expected[: len(out)])


@pytest.mark.parametrize("swing", [0.03, -0.03, 0.1])
def test_every_click_is_heard_once_whole_and_on_the_moving_beat(swing: float) -> None:
    stage = Stage(PATCH, start=START)
    lines = moving(400_000, swing)
    for line in lines[:60]:
        timeline(stage, line)
    follow(stage, clicks())
    later = iter(lines[60:])

    def push(t: int) -> None:
        if t % 3200 == 0 and (line := next(later, None)) is not None:
            timeline(stage, line)

    out = stage.play(400_000, push)[:, 0]
    heard = np.flatnonzero(out)
    wanted = [frame_of(lines, i / 2) - START for i in range(len(heard))]
    assert len(heard) >= 30
    assert np.abs(heard - wanted).max() <= REACH + 1
    heights = [0.3 + 0.02 * (i % (2 * BEATS)) for i in range(len(heard))]
    assert out[heard] == pytest.approx(heights, abs=1e-6)


def test_what_goes_on_is_crossfaded_without_a_step() -> None:
    stage = Stage(PATCH, start=START)
    smooth = 0.3 * np.sin(2 * np.pi * 110.0 * TIME)
    for line in moving(180_000):
        timeline(stage, line)
    follow(stage, np.stack([smooth, smooth]).astype(np.float32))
    out = stage.play(180_000)[:, 0]
    steepest = 0.3 * 2 * np.pi * 110.0 / RATE
    assert stage.engine.state["stems"]["join"][0, 0] > START  # it did follow
    assert np.abs(np.diff(out)).max() < 1.25 * steepest
    level = np.sqrt(np.convolve(out**2, np.ones(4800) / 4800, "valid"))
    assert level.max() / level.min() < 1.1


@pytest.mark.parametrize("into", [1, 100, 5000])
def test_successor_goes_on_in_a_slice_and_in_a_crossfade(into: int) -> None:
    def begin(block: int = 50) -> Stage:
        stage = Stage(PATCH, start=START, block=block)
        timeline(stage, Timeline(START, 0.0, BPM * 1.03, RATE))
        follow(stage, MUSIC)
        return stage

    whole = begin()
    wanted = whole.play(60_000)
    first = begin(1)
    first.play(11_000)
    while first.engine.state["stems"]["join"][0, 0] < START:
        first.play(1)
    first.play(into)
    played = first.t - START
    first.resume(first.engine.state)
    assert np.array_equal(first.play(20_000), wanted[played : played + 20_000])


def test_after_a_leap_of_the_line_a_stem_is_in_its_place_within_a_slice() -> None:
    stage = Stage(PATCH, start=START)
    line = Timeline(START, 0.0, BPM, RATE)
    timeline(stage, line)
    follow(stage, clicks())
    stage.play(30_080)
    leapt = Timeline(stage.t, 5.3, 116.0, RATE)
    timeline(stage, leapt)
    out = stage.play(100_000)[:, 0]
    first = int((FADE_S + MARGIN_S + STEP_BEATS / 2 * 0.1) * RATE) + REACH + round(PER_BEAT / 2)
    heard = np.flatnonzero(out[first:]) + first
    beats = [leapt.beat_at(leapt.frame + int(f)) for f in heard]
    nearest = np.round(np.array(beats) * 2) / 2
    assert np.abs(np.array(beats) - nearest).max() * leapt.frames_per_beat <= REACH + 1
    heights = [0.3 + 0.02 * (int(b * 2) % (2 * BEATS)) for b in nearest]
    assert out[heard] == pytest.approx(heights, abs=1e-6)


@pytest.mark.parametrize("share", [0.96, 1.04])
def test_a_one_shot_lasts_its_beats_and_ends_with_its_last_frame(share: float) -> None:
    stage = Stage(PATCH, start=START)
    timeline(stage, Timeline(START, 0.0, BPM * share, RATE))
    audio = clicks()
    audio[:, -1] = 0.9
    follow(stage, audio, y=0.0)
    out = stage.play(250_000)[:, 0]
    last = int(np.flatnonzero(out)[-1])
    assert out[last] == pytest.approx(0.9)
    assert abs(last - LOOP / share) <= 0.5 * PER_BEAT * abs(1 - 1 / share) + REACH + 1
    kinds = [r["kind"] for r in stage.reports()]
    assert kinds.count(ReportKind.STEM_ENDED) == 1


@given(
    bpm=st.floats(allow_nan=True, allow_infinity=True),
    beat=st.floats(allow_nan=True, allow_infinity=True),
    w=st.floats(allow_nan=True, allow_infinity=True),
    z=st.floats(allow_nan=True, allow_infinity=True),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_nonsense_is_not_followed(bpm: float, beat: float, w: float, z: float) -> None:
    stage = Stage(PATCH, start=START)
    timeline(stage, Timeline(START, 0.0, BPM, RATE))
    follow(stage, MUSIC)
    stage.command(CommandKind.TIMELINE, frame=START + 2000, x=beat, y=bpm, a=4, b=4)
    follow(stage, MUSIC, offset=400_000, slot=1, z=z, w=w)
    assert np.isfinite(stage.play(8192)).all()

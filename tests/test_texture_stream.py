"""Risk: a late, stale or far-off texture clicks, stays away, or is not what was sent."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.layout import SafeKind
from engine.patch import Input, Output, Patch, Player

PATCH = Patch(
    inputs={"mic": Input(channel=1)},
    players={"sea": Player(model="rave", listens="mic", to={"main": 0.0})},
    outputs={"main": Output((1, 2))},
)
FADE = 256  # frames of coming in
LEVEL = 0.5
STEP = LEVEL * (0.01 + 1 / FADE) * 1.05  # decay of what is held plus the fade


def missing(stage: Stage) -> int:
    return int(stage.engine.state[0]["streams"]["missing"].sum())


def noise(frames: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (2, frames)).astype(np.float32)


def flat(frames: int) -> np.ndarray:
    return np.full((2, frames), LEVEL, np.float32)


def steps(out: np.ndarray) -> float:
    return float(np.abs(np.diff(out, axis=0)).max())


@pytest.mark.parametrize("block", [1, 64, 100, 128, 1031])
def test_all_there_is_bit_exact_after_the_fade(block: int) -> None:
    stage = Stage(PATCH, block=block)
    sound = noise(6000)
    stage.texture("sea", stage.t, sound)
    out = stage.play(6000)
    assert np.array_equal(out[FADE:], sound.T[FADE:])
    assert np.abs(out[:8]).max() < 0.05
    assert missing(stage) == 0


def test_missing_frames_fade_out_are_counted_and_come_back_with_a_fade() -> None:
    stage = Stage(PATCH)
    stage.texture("sea", stage.t, flat(2000))
    stage.texture("sea", stage.t + 3000, flat(3000))
    out = stage.play(6000)
    assert steps(out) < STEP
    assert missing(stage) == 1000
    assert np.abs(out[2900:3000]).max() < 1e-3
    assert (out[3000 + FADE :] == LEVEL).all()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(2, 400)), min_size=1, max_size=12))
def test_any_pattern_of_holes_has_no_step(pattern: list[tuple[int, int]]) -> None:
    stage = Stage(PATCH)
    at = stage.t
    there = 0
    for hole, length in pattern:
        at += hole
        stage.texture("sea", at, flat(length))
        at += length
        there += length
    frames = at - stage.t
    out = stage.play(frames)
    assert steps(out) < STEP
    assert out.min() >= -1e-6
    assert out.max() <= LEVEL
    assert missing(stage) == frames - there


def test_records_that_come_too_late_are_dropped_and_counted() -> None:
    stage = Stage(PATCH)
    stage.texture("sea", stage.t - 5000, flat(1000))
    out = stage.play(1024)
    assert not out.any()
    assert missing(stage) == 1024
    assert len(stage.shared.ring("texture.sea")) == 0


@pytest.mark.parametrize("far", [1 << 20, 1 << 40, -(1 << 40), (1 << 62)])
def test_wild_stamp_is_passed_over(far: int) -> None:
    stage = Stage(PATCH)
    stage.texture("sea", stage.t, flat(256))
    stage.texture("sea", stage.t + far, flat(128))
    stage.texture("sea", stage.t + 256, flat(2048))
    out = stage.play(2048)
    assert (out[FADE:] == LEVEL).all()
    assert missing(stage) == 0


def test_stamp_within_the_ring_holds_back_what_follows_until_it_is_due_and_no_longer() -> None:
    stage = Stage(PATCH)
    stage.texture("sea", stage.t + 20_000, flat(128))
    stage.texture("sea", stage.t, flat(128))
    stage.play(20_480)
    stage.texture("sea", stage.t, flat(2048))
    assert (stage.play(2048)[FADE:] == LEVEL).all()


@pytest.mark.parametrize("count", [-1, 0, 129, 1 << 30])
def test_record_with_a_wild_count_stays_in_bounds(count: int) -> None:
    stage = Stage(PATCH)
    ring = stage.shared.ring("texture.sea")
    record = np.zeros(1, ring.dtype)
    record["frame"], record["count"], record["data"] = stage.t, count, LEVEL
    ring.push(record)
    out = stage.play(1024)
    assert np.abs(out).max() <= LEVEL
    assert len(ring) == 0
    assert steps(out) < STEP


def test_new_epoch_comes_in_with_a_fade() -> None:
    stage = Stage(PATCH)
    stage.texture("sea", stage.t, flat(1024), epoch=1)
    stage.texture("sea", stage.t + 1024, -flat(2048), epoch=2)
    out = stage.play(3072)
    assert steps(out) < 2 * STEP
    assert (out[1024 + FADE :] == -LEVEL).all()


def test_a_successor_of_the_audio_process_goes_on_in_the_stream() -> None:
    stage = Stage(PATCH)
    sound = noise(8192)
    start = stage.t
    stage.texture("sea", start, sound)
    stage.play(2048)
    stage.resume(stage.engine.state, gap=1000)
    out = stage.play(2048)
    assert np.array_equal(out, sound.T[3048:5096])


@pytest.mark.parametrize("block", [64, 128, 131])
def test_an_input_fed_by_a_texture_hears_it_in_the_same_frame_and_is_silent_under_dry(
    block: int,
) -> None:
    patch = Patch(
        inputs={
            "mic": Input(channel=1),
            "under": Input(stream="sea", trim_db=-6.0, to={"monitor1": 0.0}),
        },
        players={"sea": Player(model="rave", listens="mic", to={"main": 0.0})},
        outputs={"main": Output((1, 2)), "monitor1": Output((3,))},
    )
    stage = Stage(patch, block=block)
    sound = noise(20_000)
    stage.texture("sea", stage.t, sound)
    out = stage.play(6000)
    trim = np.float32(10 ** (-6 / 20)) * np.float32(0.5)
    wanted = trim * (sound[0] + sound[1])
    assert out[FADE:, 2] == pytest.approx(wanted[FADE:6000], abs=1e-6)
    stage.safe(SafeKind.DRY_ON)
    assert not stage.play(6000)[2000:].any()

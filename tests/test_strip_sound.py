"""Risk: an input strip does not do what its settings say, or clicks when they change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from engine_stage import Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernel import lib, pointer
from engine.patch import Input, Output, Patch, Strip
from engine.state import STRIP
from engine.strip import (
    ATTACK_S,
    GATE_ATTACK_S,
    GATE_HOLD_S,
    GATE_RELEASE_S,
    KNEE_DB,
    RATIO,
    RELEASE_S,
    begin_strip,
    filters_of,
    set_strip,
)

RATE = 48000
FULL = Strip(highpass_hz=80, gate_db=-50, low_db=4, mid_db=-3, high_db=2, compressor_db=-24)
BLOCKS = [1, 64, 65, 1031]


class Kernel:
    """The kernel's strip, from frame `t` on."""

    def __init__(self, strip: Strip, t: int = 0) -> None:
        self.cell = np.zeros(1, STRIP)
        begin_strip(self.cell[0], strip, RATE)
        self.t = t

    def __call__(self, x: np.ndarray, block: int = 128) -> np.ndarray:
        y = np.array(x, np.float32)
        for a in range(0, len(y), block):
            n = min(block, len(y) - a)
            lib.seg_strip_run(pointer(self.cell, "seg_strip *"), pointer(y[a:]), self.t, n)
            self.t += n
        return y


def reference(strip: Strip, x: np.ndarray) -> np.ndarray:
    """Sample by sample, as the books write it."""
    coefficients = filters_of(strip, RATE)
    opens = 0.0 if strip.gate_db is None else 10 ** (strip.gate_db / 20)
    past = [[0.0] * 4 for _ in coefficients]  # x1 x2 y1 y2: direct form I
    gain, left = (1.0 if opens == 0 else 0.0), 0
    peak = reduction = 0.0
    out = np.zeros(len(x))

    def filtered(f: int, v: float) -> float:
        b0, b1, b2, a1, a2 = coefficients[f]
        x1, x2, y1, y2 = past[f]
        y = b0 * v + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
        past[f] = [v, x1, y, y1]
        return y

    def way(seconds: float) -> float:
        return 1 - math.exp(-1 / (seconds * RATE))

    for i, v in enumerate(x.astype(float)):
        v = filtered(0, v)
        if abs(v) >= opens * (10 ** (-3 / 20) if left else 1):
            left = round(GATE_HOLD_S * RATE)
        else:
            left = max(0, left - 1)
        gain += (1 - gain) * way(GATE_ATTACK_S) if left else -gain * way(GATE_RELEASE_S)
        v = filtered(3, filtered(2, filtered(1, v * gain)))
        if strip.compressor_db is not None:
            over = 20 * math.log10(abs(v) + 1e-30) - strip.compressor_db
            if over <= -KNEE_DB / 2:
                taken = 0.0
            elif over < KNEE_DB / 2:
                taken = (1 - 1 / RATIO) * (over + KNEE_DB / 2) ** 2 / (2 * KNEE_DB)
            else:
                taken = (1 - 1 / RATIO) * over
            peak = max(taken, peak + (taken - peak) * way(RELEASE_S))
            reduction += (peak - reduction) * way(ATTACK_S)
            v *= 10 ** (-reduction / 20)
        out[i] = v
    return out


def music(frames: int, seed: int = 1) -> np.ndarray:
    """Notes with pauses: loud enough to be compressed, quiet enough to be gated."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)
    swell = np.abs(np.sin(2 * np.pi * t / 9000)) ** 4
    tone = np.sin(2 * np.pi * 220 * t / RATE) + 0.3 * rng.standard_normal(frames)
    return (0.5 * swell * tone).astype(np.float32)


level = st.one_of(st.none(), st.floats(-24, 24))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    strip=st.builds(
        Strip,
        highpass_hz=st.one_of(st.none(), st.floats(10, 2000)),
        gate_db=st.one_of(st.none(), st.floats(-100, 0)),
        low_db=level,
        mid_db=level,
        high_db=level,
        compressor_db=st.one_of(st.none(), st.floats(-60, 0)),
    ),
)
def test_equals_its_reference(seed: int, strip: Strip) -> None:
    x = music(2400, seed)
    wanted = reference(strip, x)
    np.testing.assert_allclose(Kernel(strip)(x), wanted, atol=3e-5 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("block", BLOCKS)
def test_block_size_changes_no_bit_even_while_settings_change(block: int) -> None:
    x = music(6 * 1031, 3)

    def played(block: int) -> np.ndarray:
        strip = Kernel(FULL, t=777)
        first = strip(x[:3001], block)
        set_strip(strip.cell[0], Strip(highpass_hz=300, mid_db=9), RATE, strip.t)
        return np.concatenate([first, strip(x[3001:], block)])

    wanted = played(128)
    assert np.abs(wanted).max() > 0.1
    assert np.array_equal(played(block), wanted)


def test_no_stage_changes_no_bit() -> None:
    x = music(5000)
    assert np.array_equal(Kernel(Strip())(x), x)
    assert np.array_equal(Kernel(Strip(low_db=0.0, mid_db=0.0, high_db=0.0))(x), x)


def test_what_is_taken_out_again_leaves_no_trace() -> None:
    strip = Kernel(FULL)
    strip(music(9000))
    set_strip(strip.cell[0], Strip(), RATE, strip.t)
    strip(np.zeros(4 * RATE, np.float32))
    x = music(5000)
    assert np.array_equal(strip(x), x)


def gain_db(strip: Strip, hertz: float) -> float:
    x = 0.1 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)
    y = Kernel(strip)(x.astype(np.float32))[RATE // 2 :]
    return 20 * math.log10(np.sqrt(2) * np.std(y) / 0.1)


@pytest.mark.parametrize(
    ("strip", "hertz", "db"),
    [
        (Strip(highpass_hz=100), 100, -3.01),
        (Strip(highpass_hz=400), 100, -24.1),  # 12 dB an octave
        (Strip(highpass_hz=100), 2000, 0.0),
        (Strip(low_db=6), 20, 6.0),
        (Strip(low_db=6), 8000, 0.0),
        (Strip(low_db=6), 200, 3.0),  # a shelf's frequency is where half of it is reached
        (Strip(mid_db=-9), 1000, -9.0),
        (Strip(mid_db=-9), 20, 0.0),
        (Strip(high_db=-8), 20000, -8.0),
        (Strip(high_db=-8), 100, 0.0),
        (Strip(high_db=-8), 5000, -4.0),
    ],
)
def test_filters_do_what_their_names_say(strip: Strip, hertz: float, db: float) -> None:
    assert gain_db(strip, hertz) == pytest.approx(db, abs=0.25)


def test_a_filter_above_what_the_rate_carries_stays_stable() -> None:
    cell = np.zeros(1, STRIP)
    begin_strip(cell[0], Strip(high_db=24, highpass_hz=2000), 8000)
    x = music(8000)
    lib.seg_strip_run(pointer(cell, "seg_strip *"), pointer(x), 0, len(x))
    assert np.abs(x).max() < 40


@pytest.mark.parametrize(("over_db", "out_db"), [(-12.0, -12.0), (12.0, 4.0), (18.0, 6.0)])
def test_compressor_takes_two_thirds_of_what_is_over(over_db: float, out_db: float) -> None:
    """In dB over the threshold of -30 dBFS, for a steady level."""
    x = np.full(RATE, 10 ** ((over_db - 30) / 20), np.float32)
    y = Kernel(Strip(compressor_db=-30))(x)
    assert 20 * math.log10(y[-1]) + 30 == pytest.approx(out_db, abs=0.01)
    assert np.array_equal(y, x) == (over_db < 0)


def test_gate_opens_at_its_threshold_holds_and_closes_fully() -> None:
    held = round(GATE_HOLD_S * RATE)
    strip = Kernel(Strip(gate_db=-40))
    assert not strip(np.full(1000, 0.0099, np.float32)).any()
    loud = strip(np.full(1000, 0.011, np.float32))
    assert loud[round(0.003 * RATE)] > 0.9 * 0.011
    under = strip(np.full(5000, 0.008, np.float32))  # less than 3 dB below: stays open
    assert under[-1] == np.float32(0.008)
    quiet = strip(np.full(held + 5 * RATE, 0.001, np.float32))
    assert quiet[held - 2] == np.float32(0.001)
    assert quiet[held + round(GATE_RELEASE_S * RATE)] == pytest.approx(0.001 / math.e, rel=0.01)
    assert quiet[-1] == 0


def test_settings_that_change_make_no_step() -> None:
    strip = Kernel(Strip(low_db=-12, highpass_hz=30))
    x = (0.5 * np.sin(2 * np.pi * 110 * np.arange(48000) / RATE)).astype(np.float32)
    before = strip(x[:24000])
    set_strip(strip.cell[0], Strip(low_db=12, mid_db=-6, highpass_hz=60), RATE, strip.t)
    y = np.concatenate([before, strip(x[24000:])])
    bend = np.abs(np.diff(y, 2))
    assert bend[24000 - 5 : 26000].max() < 1.5 * max(bend[10000:20000].max(), bend[40000:].max())


def test_a_change_in_the_middle_of_another_goes_on_from_there() -> None:
    strip = Kernel(Strip())
    set_strip(strip.cell[0], Strip(low_db=12), RATE, 0)
    set_strip(strip.cell[0], Strip(), RATE, 480)  # half way
    half = np.mean([filters_of(s, RATE) for s in (Strip(), Strip(low_db=12))], axis=0)
    np.testing.assert_allclose(strip.cell[0]["from"], half, atol=1e-12)


def test_silence_leaves_nothing_that_goes_on_for_ever() -> None:
    strip = Kernel(FULL)
    strip(music(9000))
    strip(np.zeros(4 * RATE, np.float32))
    cell = strip.cell[0]
    assert not cell["state"].any()
    assert (cell["peak"], cell["reduction"], cell["gate_gain"]) == (0, 0, 0)


def test_a_state_that_is_not_finite_heals() -> None:
    strip = Kernel(FULL)
    strip.cell[0]["state"][1] = np.inf
    strip(music(640))
    assert np.isfinite(strip(music(640))).all()


def test_successor_of_a_dead_process_goes_on_with_the_same_bits() -> None:
    patch = Patch(
        inputs={"in": Input(channel=1, strip=FULL, to={"main": 0.0})},
        outputs={"main": Output((1, 2), limit=False)},
    )
    x = music(6000)[:, None]
    whole = Stage(patch).play(x)
    stage = Stage(patch)
    first = stage.play(x[:2560])
    stage.resume(stage.engine.state)
    assert np.array_equal(np.concatenate([first, stage.play(x[2560:])]), whole)

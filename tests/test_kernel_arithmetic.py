"""Risk: the kernel's limiter, ramps, guard or mix differ from their NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernel import ffi, lib, pointer
from engine.mixer import LIMIT_DB, linear
from engine.state import LIMITER, RAMP, fresh

RATE = 48000
CEILING = linear(LIMIT_DB)
RELEASE = 1.0 - float(np.exp(-1.0 / (0.08 * RATE)))
UNSLICED = (0.0, 0.0, 0, 0, 0, 0, 0.0, 0, 0)  # nor covered by a fill
QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def no_tempo() -> tuple[object, object]:
    """beats, slicing of seg_stems."""
    return ffi.new("seg_beats *", {"per_beat": 1.0}), ffi.new("seg_slicing *")


def limit(x: np.ndarray, block: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's, in blocks. x float32 (2, n)."""
    state = np.zeros(1, LIMITER)
    state["gain"] = 1.0
    out = np.ascontiguousarray(x, np.float32).copy()
    for a in range(0, x.shape[1], block):
        piece = np.ascontiguousarray(out[:, a : a + block])
        n = piece.shape[1]
        lib.seg_limit(
            pointer(piece[0]),
            pointer(piece[1]),
            n,
            pointer(state, "seg_limiter_state *"),
            CEILING,
            RELEASE,
        )
        out[:, a : a + n] = piece
    return out, state


def reference(x: np.ndarray) -> np.ndarray:
    """Down at once, up exponentially, nothing at rest."""
    out = x.astype(np.float32).copy()
    ceiling = np.float32(CEILING)
    gain = 1.0
    for i in range(x.shape[1]):
        peak = max(abs(float(x[0, i])), abs(float(x[1, i])))
        gain += (1 - gain) * RELEASE
        if 1 - gain < 1e-5:
            gain = 1.0
        if peak * gain > CEILING:
            gain = CEILING / peak
        if gain != 1.0:
            out[:, i] = np.clip(
                (x[:, i].astype(np.float64) * gain).astype(np.float32), -ceiling, ceiling
            )
    return out


def test_below_the_ceiling_nothing_changes_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-CEILING, CEILING, (2, 20_000)).astype(np.float32)
    x[np.abs(x) > CEILING] = 0
    out, state = limit(x)
    assert np.array_equal(out, x)
    assert state["active"][0] == 0


@QUICK
@given(st.integers(0, 10_000), st.floats(0.5, 50.0), st.sampled_from([1, 64, 131, 1024]))
def test_equals_the_reference_and_never_passes_the_ceiling(
    seed: int, level: float, block: int
) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.uniform(-level, level, (2, 700)) * (rng.random(700) < 0.3)).astype(np.float32)
    out, _ = limit(x, block)
    assert np.array_equal(out, reference(x))
    assert np.abs(out).max() <= np.float32(CEILING)


def test_one_peak_ducks_both_sides_and_is_let_go_without_a_step() -> None:
    x = np.full((2, 60_000), 0.25, np.float32)
    x[0, 1000] = 4.0
    out, state = limit(x)
    assert out[0, 1000] == pytest.approx(CEILING)
    assert out[1, 1000] == pytest.approx(0.25 * CEILING / 4.0)
    assert np.abs(np.diff(out[1, 1000:])).max() < 1e-4
    assert np.array_equal(out[:, -100:], x[:, -100:])  # transparent again
    assert 0 < state["active"][0] < 60_000


@QUICK
@given(
    f0=st.integers(-500, 500),
    length=st.integers(0, 600),
    g0=st.floats(0, 2),
    g1=st.floats(0, 2),
    block=st.sampled_from([1, 64, 65, 128, 1031]),
)
def test_ramp_is_a_function_of_the_frame(
    f0: int, length: int, g0: float, g1: float, block: int
) -> None:
    ramp = np.array([(f0, f0 + length, g0, g1)], RAMP)
    cell = pointer(ramp, "seg_ramp *")
    n = 1500
    frames = np.arange(-700, -700 + n)
    wanted = (
        np.interp(frames, [f0, f0 + length], [g0, g1]) if length else np.where(frames >= f0, g1, g0)
    )
    got = np.array([lib.seg_ramp_at(cell, int(f)) for f in frames])
    np.testing.assert_allclose(got, wanted, atol=1e-12)
    x = np.random.default_rng(2).uniform(-1, 1, (1, n)).astype(np.float32)
    y = x.copy()
    for a in range(0, n, block):
        k = min(block, n - a)
        lib.seg_gain(pointer(y[0, a:]), n, 1, int(frames[a]), k, cell)
    assert np.array_equal(y[0], x[0] * got.astype(np.float32))


def test_mix_is_the_sum_of_its_jobs() -> None:
    rng = np.random.default_rng(3)
    sources = rng.uniform(-1, 1, (5, 256)).astype(np.float32)
    gains = np.array([0.0, 1.0, 0.5, 1.5, 0.1])
    ramps = np.zeros(5, RAMP)
    ramps["g0"] = ramps["g1"] = gains
    target = np.zeros(256, np.float32)
    jobs = ffi.new("seg_job[]", 5)
    for i, job in enumerate(jobs):
        job.src, job.dst = pointer(sources[i]), pointer(target)
        job.ramp = pointer(ramps[i : i + 1], "seg_ramp *")
    lib.seg_mix(jobs, 5, 0, 256)
    wanted = np.zeros(256, np.float32)
    for gain, source in zip(gains, sources, strict=True):
        wanted += np.float32(gain) * source
    assert np.array_equal(target, wanted)


@QUICK
@given(st.integers(0, 1000), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_guard_replaces_and_counts_exactly_what_is_not_finite(seed: int, bad: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (3, 200)).astype(np.float32)
    holes = rng.random((3, 200)) < 0.05
    holes[1] = False
    y = np.where(holes, np.float32(bad), x)
    counts = np.zeros(3, np.int64)
    held = np.zeros(3, np.float32)
    total = lib.seg_guard(pointer(y), 200, 3, 200, pointer(counts, "int64_t *"), pointer(held))
    assert total == holes.sum()
    assert np.array_equal(counts, holes.sum(axis=1))
    assert np.array_equal(y[~holes], x[~holes])
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= np.abs(x).max()
    assert np.array_equal(held, y[:, -1])


def test_peaks_hold_and_decay() -> None:
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, (4, 300)).astype(np.float32)
    x[3] = 0
    peaks = np.array([0.0, 5.0, 0.01, 0.5], np.float32)
    before = peaks.copy()
    lib.seg_peaks(pointer(x), 300, 4, 300, 0.9, pointer(peaks))
    assert np.array_equal(peaks, np.maximum(np.abs(x).max(axis=1), before * np.float32(0.9)))


def test_stem_follows_its_reference_through_loops_gain_and_fade() -> None:
    length, loop, gain, start, stop, fade = 101, 100.37, 0.7, 30, 700, 64
    rng = np.random.default_rng(6)
    arena = rng.uniform(-1, 1, 2 * length).astype(np.float32)
    state = fresh()
    state[0]["stems"][4] = (start, stop, 0, length, loop, gain, fade, 9, 0, 1, 0, *UNSLICED)
    n = 1000
    roles = np.zeros((2, n), np.float32)
    marks = np.zeros(2, np.uint32)
    lib.seg_stems(
        pointer(state["stems"], "seg_stem *"),
        32,
        pointer(arena),
        arena.size,
        pointer(roles),
        n,
        0,
        n,
        *no_tempo(),
        pointer(marks, "uint32_t *"),
        pointer(marks[1:], "uint32_t *"),
    )
    wanted = np.zeros((2, n), np.float32)
    starts = [int(np.floor(k * loop + 0.5)) for k in range(12)]
    for f in range(start, stop + fade):
        rel = f - start
        base = max(s for s in starts if s <= rel)
        p = (rel - base) % length
        g = gain * (1.0 - (f - stop + 1) / (fade + 1)) if f >= stop else gain
        wanted[:, f] = np.float32(g) * arena[[p, p + length]]
    assert np.array_equal(roles, wanted)
    assert marks.tolist() == [1 << 4, 1 << 4]


def test_stem_called_back_before_its_start_never_sounds() -> None:
    state = fresh()
    state[0]["stems"][0] = (100, 90, 0, 64, 0.0, 1.0, 960, 9, 0, 1, 0, *UNSLICED)
    roles = np.zeros((2, 512), np.float32)
    marks = np.zeros(2, np.uint32)
    arena = np.ones(128, np.float32)
    lib.seg_stems(
        pointer(state["stems"], "seg_stem *"),
        32,
        pointer(arena),
        arena.size,
        pointer(roles),
        512,
        0,
        512,
        *no_tempo(),
        pointer(marks, "uint32_t *"),
        pointer(marks[1:], "uint32_t *"),
    )
    assert not roles.any()
    assert marks.tolist() == [0, 1]
    assert state[0]["stems"][0]["state"] == 0

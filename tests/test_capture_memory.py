"""Risk: what CAPTURE remembers is not what was heard, steps where it turns, or lies beside the
bars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.beat_history import BeatHistory
from engine.bridge import bridge
from engine.capture import CaptureError, Memory
from engine.timeline import Timeline


def test_a_cycle_that_comes_twice_takes_no_bars_away() -> None:
    memory = Memory(1, 4000)
    for frame in (5000, 5128, 5128, 5000, 5256):
        memory.hear(frame, np.arange(frame, frame + 128, dtype=np.float32)[None])
    assert (memory.first, memory.next, memory.lost(5000, 384)) == (5000, 5384, 0)
    assert np.array_equal(memory.read(0, 1, 5000, 384)[0], np.arange(5000, 5384))


def test_a_gap_is_silence_in_its_place_and_is_counted() -> None:
    memory = Memory(1, 1000)
    memory.hear(500, np.ones((1, 100), np.float32))
    memory.hear(650, np.ones((1, 50), np.float32))
    assert memory.read(0, 1, 500, 200)[0].tolist() == [1.0] * 100 + [0.0] * 50 + [1.0] * 50
    assert memory.lost(590, 100) == 50


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    pieces=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 128)), min_size=1, max_size=40),
    start=st.integers(0, 3000),
    frames=st.integers(1, 400),
)
def test_memory_gives_what_was_heard_or_nothing(
    pieces: list[tuple[int, int]], start: int, frames: int
) -> None:
    memory, truth, at = Memory(2, 512), np.zeros(12_000, np.float32), 7
    rng = np.random.default_rng(len(pieces))
    for gap, count in pieces:
        at += gap
        truth[at : at + count] = rng.uniform(-1, 1, count)
        memory.hear(at, np.stack([truth[at : at + count], -truth[at : at + count]]))
        at += count
    try:
        got = memory.read(1, 1, start, frames)[0]
    except CaptureError:
        assert start < max(at - 512, 7 + pieces[0][0]) or start + frames > at
    else:
        assert np.array_equal(got, -truth[start : start + frames])


def test_a_loop_has_no_step_where_it_turns() -> None:
    memory = Memory(1, 4000)
    memory.hear(0, np.sin(np.arange(4000) * 0.021)[None].astype(np.float32))
    loop = memory.loop(0, 1, 1000, 2000)[0]
    turned = np.concatenate([loop, loop])
    assert np.abs(np.diff(turned)).max() < 0.03


def test_cycles_that_were_missed_are_not_heard_again_at_every_pass() -> None:
    hum = 0.3 * np.sin(np.arange(12_000) * 0.031) + 0.1 * np.sin(np.arange(12_000) * 0.093 + 1.0)
    memory, lost = Memory(1, 12_000), np.zeros(12_000, bool)
    for first, last in ((1300, 1428), (2000, 2128), (3000, 3256), (7990, 8118)):
        lost[first:last] = True  # also in what its end goes over into, and over its end
    for at in range(0, 12_000, 2):
        if not lost[at]:
            memory.hear(at, hum[None, at : at + 2].astype(np.float32))
    loop = memory.loop(0, 1, 1500, 6500)[0]
    turned = np.concatenate([loop, loop])
    assert np.abs(np.diff(turned, 2)).max() < 3 * np.abs(np.diff(hum, 2)).max()
    assert np.abs(loop[:6244] - hum[1500:7744]).max() < 0.04
    assert memory.lost(1500, 6500) == 128 + 256 + 10


def test_a_long_hole_is_silence_between_soft_edges() -> None:
    memory = Memory(1, 20_000)
    ones = np.ones((1, 5000), np.float32)
    memory.hear(0, ones)
    memory.hear(10_000, ones)
    loop = memory.loop(0, 1, 1000, 13_000)[0]
    assert not loop[4100:8900].any()
    assert np.abs(np.diff(loop)).max() < 0.01
    assert (loop[:3800] == 1.0).all()


@pytest.mark.parametrize("frames", [1, 5, 40])
def test_a_hole_with_little_or_nothing_around_it_is_bridged_quietly(frames: int) -> None:
    audio = np.zeros((2, frames + 50), np.float32)
    audio[:, :frames] = 0.5
    bridge(audio, [(frames, frames + 50)])
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() <= 0.5
    nothing = np.zeros((1, 30), np.float32)
    bridge(nothing, [(0, 30)])
    assert not nothing.any()


# ---- where the bars were


def test_bars_lie_where_the_beats_of_a_moving_tempo_were() -> None:
    history, line, beats = BeatHistory(), Timeline(0, 0.0, 120.0, 48000.0), []
    for second in range(40):
        history.add(line, second * 48000)
        now = (second + 1) * 48000
        while len(beats) <= line.beat_at(now):
            beats.append(line.frame + (len(beats) - line.beat) * line.frames_per_beat)
        line = line.with_tempo(now, 120.0 + 4.0 * np.sin(second / 3.0))
    span = history.last_bars(8, 40 * 48000)
    end = int((len(beats) - 1) // 4 * 4)
    assert span.end == pytest.approx(beats[end], abs=1.0)
    assert span.start == pytest.approx(beats[end - 32], abs=1.0)
    assert 115.0 < span.bpm(48000.0) < 125.0


def test_a_corrected_one_counts_for_the_bars_before_it_too() -> None:
    history = BeatHistory()
    history.add(Timeline(0, 0.0, 120.0, 48000.0), 0)
    history.add(Timeline(480_000, 0.0, 120.0, 48000.0), 480_000)  # this is one
    span = history.last_bars(2, 480_100)
    assert (span.start, span.end) == (480_000 - 8 * 24_000, 480_000)


@pytest.mark.parametrize(("early_beats", "end"), [(0.2, 8), (0.3, 4), (-0.1, 8), (-3.7, 8)])
def test_a_press_a_little_early_means_the_bar_that_it_ends(early_beats: float, end: int) -> None:
    history = BeatHistory()
    line = Timeline(0, 0.0, 120.0, 48000.0)
    history.add(line, 0)
    assert history.last_bars(1, line.frame_at(8.0 - early_beats)).end == line.frame_at(end)

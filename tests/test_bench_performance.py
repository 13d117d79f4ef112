"""Risk: `bench performance` leaves a figure out in silence, or reads a moving beat wrongly."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from engine.bench import performance
from engine.bench.measures import MeasureError
from engine.bench.measures.moving import BPM, RATE, Moved
from engine.bench.measures.seam import BOUNDS, joins_of
from engine.bench.measures.stem_onset import bursts, distances_ms
from engine.timeline import Timeline


def test_every_measurement_is_there() -> None:
    for name in performance.MEASURES:
        assert callable(importlib.import_module(f"engine.bench.measures.{name}").measure)


def test_what_cannot_be_measured_is_said_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> dict[str, float]:
        raise MeasureError("no such thing here")

    modules = {"broken": broken, "sound": lambda: {"figure": 1.0}}
    for name, measure in modules.items():
        key = f"engine.bench.measures.{name}"
        monkeypatch.setitem(sys.modules, key, SimpleNamespace(measure=measure))
    facts = performance.bench_performance(list(modules))
    assert facts == {"figure": 1.0, "not_measured": {"broken": "no such thing here"}}


def test_onsets_are_read_where_they_are() -> None:
    stem = bursts()
    late = 480
    audio = np.concatenate([np.zeros((2, late), np.float32), stem], axis=1)
    line = Timeline(frame=0, beat=8.0, bpm=BPM, rate=RATE)
    moved = Moved(audio, [(0, line)], start=0, beat=8.0, joins=[])
    assert distances_ms(moved) == pytest.approx(10.0, abs=0.05)


def test_a_beat_is_found_on_the_line_that_held_when_it_passed() -> None:
    slow = Timeline(frame=0, beat=0.0, bpm=60.0, rate=RATE)
    fast = slow.with_tempo(RATE, 120.0)
    moved = Moved(np.zeros((2, 1), np.float32), [(0, slow), (RATE, fast)], 0, 0.0, [])
    assert moved.frame_of(0.5) == pytest.approx(RATE / 2)
    assert moved.frame_of(2.0) == pytest.approx(1.5 * RATE)


@pytest.mark.parametrize("torn", [False, True])
def test_a_torn_join_is_heard_and_a_smooth_one_is_not(torn: bool) -> None:
    """A sine that leaps back by a whole period of its, or by half of one."""
    period = 480
    time = np.arange(40 * period)
    stem = (0.2 * np.sin(2 * np.pi * time / period) * np.ones((2, 1))).astype(np.float32)
    jump = period // 2 if torn else period
    joins = [(10_000 + 4321 * i, -jump * i, -jump * (i + 1)) for i in range(4)]
    audio = np.zeros((2, 40_000), np.float32)
    ends = [*(j[0] for j in joins), audio.shape[1]]
    audio[:, : ends[0]] = stem[:, np.arange(ends[0]) % stem.shape[1]]
    for (frame, _, after), end in zip(joins, ends[1:], strict=True):
        audio[:, frame:end] = stem[:, (np.arange(frame, end) + after) % stem.shape[1]]
    line = Timeline(frame=0, beat=0.0, bpm=BPM, rate=RATE)
    rows = joins_of(stem, Moved(audio, [(0, line)], 0, 0.0, joins))
    step_db, level_db, _ = rows.max(axis=0)
    assert len(rows) == len(joins)
    assert (step_db > 6.0) if torn else (step_db <= BOUNDS["step_db"])
    assert level_db <= BOUNDS["level_db"]

"""stem_onset_ms {p50, p95, onsets}: how far a stem's onsets fall from the moving beat.

A stem of short noise bursts, one on every eighth, plays against a clock whose tempo swings by 3 %
either way (moving.py). Where an onset really fell is read from the sound: the first frame at which
a burst passes half its peak. Where it belongs is the frame at which the conductor's timeline passed
its eighth. p50 and p95 are of the absolute distance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.bench.measures import MeasureError
from engine.bench.measures.moving import BEATS, BPM, RATE, Moved, perform

SECONDS = 60.0
PER_BEAT = 2
BURST_S = 0.03
REACH = 0.4  # of the distance between onsets: farther off belongs to a neighbour
SKIP_ONSETS = 1  # the last may be cut off by the end


def bursts() -> np.ndarray:
    """float32 (2, frames): BEATS beats at BPM, a burst on every eighth."""
    rng = np.random.default_rng(4)
    frames = round(BEATS * 60.0 / BPM * RATE)
    stem = np.zeros((2, frames), np.float32)
    size = round(BURST_S * RATE)
    shape = np.exp(-np.arange(size) / (size / 5))
    for i in range(BEATS * PER_BEAT):
        at = round(i * frames / (BEATS * PER_BEAT))
        burst = rng.choice([-1.0, 1.0], size) * shape * 0.5
        stem[:, at : at + size] += burst.astype(np.float32)
    return stem


def distances_ms(moved: Moved) -> np.ndarray:
    """Of every eighth from the stem's start on: heard minus wanted; NaN: not heard within REACH."""
    level = np.abs(moved.audio[0])
    out = []
    last = moved.lines[-1][1].beat_at(moved.audio.shape[1])
    for i in range(int((last - moved.beat) * PER_BEAT) - SKIP_ONSETS):
        wanted = moved.frame_of(moved.beat + i / PER_BEAT)
        reach = round(REACH * 60.0 / BPM / PER_BEAT * RATE)
        a = max(0, round(wanted) - reach)
        heard = np.flatnonzero(level[a : round(wanted) + reach] > 0.25)
        out.append((a + heard[0] - wanted) / RATE * 1000.0 if len(heard) else np.nan)
    return np.array(out)


def measure() -> dict[str, Any]:
    moved = perform(bursts(), SECONDS)
    if moved.start < 0:
        raise MeasureError("the stem never entered; run the tests")
    away = np.abs(distances_ms(moved))
    lost = int(np.isnan(away).sum())
    p50, p95 = np.nanpercentile(away, [50, 95])
    figures = {"p50": round(p50, 3), "p95": round(p95, 3), "onsets": len(away), "lost": lost}
    return {"stem_onset_ms": figures}

"""Figures from measurements: percentiles, excess misses, the bound a clean run proves. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

PER = 100_000  # cycles that excess misses are given for


def percentiles(values: np.ndarray) -> dict[str, float]:
    """{p50, p99, p999, max} of a non-empty array, nearest rank (a value that was measured).

    Raises ValueError for an empty array: a figure not measured does not exist.
    """
    if len(values) == 0:
        raise ValueError("percentiles of nothing: no block was measured")
    ordered = np.sort(np.asarray(values, dtype=np.float64))

    def rank(share: float) -> float:
        return float(ordered[max(math.ceil(share * len(ordered)) - 1, 0)])

    return {"p50": rank(0.5), "p99": rank(0.99), "p999": rank(0.999), "max": float(ordered[-1])}


def cycles_of(frames: Iterable[int] | np.ndarray, block: int) -> np.ndarray:
    """Cycle numbers (int64, sorted, each once) that the frames lie in."""
    array = np.asarray(list(frames) if not isinstance(frames, np.ndarray) else frames)
    return np.unique(array.astype(np.int64) // block)


def miss_report(
    segue: np.ndarray, native: np.ndarray, cycles: int, block: int
) -> dict[str, float | int]:
    """{segue, native, cycles, excess_per_100k}: missed cycles, and those only segue missed.

    segue, native: frames of missed cycles on one server. cycles: observed by both. A cycle segue
    missed is excused when the native client missed it or a neighbour: one stall of the machine
    strikes two processes up to a cycle apart. Raises ValueError when no cycle was observed.
    """
    if cycles <= 0:
        raise ValueError("excess of nothing: no cycle was observed")
    ours, theirs = cycles_of(segue, block), cycles_of(native, block)
    excused = np.unique(np.concatenate([theirs - 1, theirs, theirs + 1]))
    excess = int(np.setdiff1d(ours, excused).size)
    return {
        "segue": int(ours.size),
        "native": int(theirs.size),
        "cycles": int(cycles),
        "excess_per_100k": excess * PER / cycles,
    }


def rate_bound(failures: int, trials: int) -> float:
    """Upper 95 % bound (exact for 0 failures, else Wilson's) of a failure rate per trial."""
    if trials <= 0 or not 0 <= failures <= trials:
        raise ValueError(f"{failures} failures in {trials} trials")
    if failures == 0:
        return -math.expm1(math.log(0.05) / trials)
    z, p = 1.6448536269514722, failures / trials
    centre = p + z * z / (2 * trials)
    spread = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return min((centre + spread) / (1 + z * z / trials), 1.0)

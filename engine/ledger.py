"""The ledger: what each stage of a block may cost, and what it did cost.

Rows (shm.LEDGER) are written by the audio process, one a block, into a ring of the shared folder;
read by `segue status`, the demo and the benchmarks. A budget is a share of the block's period; all
stages together have the 35 % that `forward` may take at p99.9 under the standard load.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.shm import Shared
from engine.shm_records import STAGES

LAST_MOST = 8192  # rows of one that ended, looked for: some twenty seconds

# Stage -> share of a period.
BUDGETS: dict[str, float] = {
    "admit": 0.03,
    "inputs": 0.10,
    "sampler": 0.08,
    "mix": 0.10,
    "outputs": 0.04,
}


def recent(shared: Shared, most: int = 20_000) -> np.ndarray:
    """The last rows, oldest first; a copy."""
    count, size = int(shared.ledger_count[0]), len(shared.ledger)
    first = max(0, count - min(most, size))
    return shared.ledger[np.arange(first, count) % size]


class LedgerCursor:
    """Every row, read bit by bit: take() at least once in LEDGER_ROWS blocks and none is missed.
    An audio process that follows another counts from the first row again."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._read = 0
        self._pid = 0
        self._frame = -1  # of the last row

    def take(self) -> np.ndarray:
        """Rows since the last call, oldest first; a copy."""
        ledger, size = self._shared.ledger, len(self._shared.ledger)
        pid, count = self._pid_now(), int(self._shared.ledger_count[0])
        last = ledger[:0]
        if count < self._read or pid != self._pid:
            last = self._last_of_predecessor(count) if self._pid else last
            self._read, self._pid = 0, self._pid_now()
        rows = ledger[np.arange(max(self._read, count - size), count) % size]
        self._read = count
        found = np.concatenate([last, rows])
        if len(found):
            self._frame = int(found["frame"][-1])
        return found

    def _pid_now(self) -> int:
        clock = self._shared.clock()
        return 0 if clock is None else clock.pid

    def _last_of_predecessor(self, count: int) -> np.ndarray:
        """Rows that it wrote after our last look and that are there yet: they go on in time. count:
        of its successor's."""
        ledger = self._shared.ledger
        size = len(ledger)
        places = np.arange(self._read, self._read + min(LAST_MOST, size)) % size
        rows = ledger[places[places >= count]]
        frames = np.concatenate([[self._frame], rows["frame"]])
        goes_on = np.diff(frames) > 0
        return rows[: len(rows) if goes_on.all() else int(np.argmin(goes_on))]


def stage_figures(stages_ns: np.ndarray, period_us: float) -> dict[str, dict[str, float]]:
    """stages_ns: (blocks, stages). For each stage and `forward`: budget, p50, p99, worst in
    microseconds, and over: blocks above the budget."""
    columns = {name: stages_ns[:, i] / 1000.0 for i, name in enumerate(STAGES)}
    columns["forward"] = stages_ns.sum(axis=1) / 1000.0
    budgets = {**BUDGETS, "forward": sum(BUDGETS.values())}
    return {
        name: {
            "budget": round(budgets[name] * period_us, 1),
            "p50": round(float(np.percentile(us, 50)), 1),
            "p99": round(float(np.percentile(us, 99)), 1),
            "worst": round(float(us.max()), 1),
            "over": int((us > budgets[name] * period_us).sum()),
        }
        for name, us in columns.items()
    }


def figures(rows: np.ndarray, rate: float) -> dict[str, Any]:
    """Of rows of one block length; {} for none."""
    if not len(rows):
        return {}
    period_us = float(rows["frames"][-1]) / rate * 1e6
    cpu = rows["cpu_ns"] / 1000.0
    return {
        "blocks": len(rows),
        "period_us": round(period_us, 1),
        "cpu_us": {f"p{q}": round(float(np.percentile(cpu, q)), 1) for q in (50, 99, 99.9)},
        "worst_us": round(float(cpu.max()), 1),
        "late": int((rows["late_us"] > 0).sum()),
        "stages_us": stage_figures(rows["stages"], period_us),
    }


def as_lines(stages: dict[str, dict[str, float]]) -> list[str]:
    """A table for people."""
    keys = ("budget", "p50", "p99", "worst", "over")
    head = f"  {'us a block':<12}" + "".join(f"{k:>9}" for k in keys)
    rows = [
        f"  {name:<12}" + "".join(f"{figure[k]:>9g}" for k in keys)
        for name, figure in stages.items()
    ]
    return [head, *rows]

"""A pool of real workers under a clock that a test moves."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

from engine.pool import EventKind, Pool, PoolEvent

SECOND = 1_000_000_000  # ns
PATIENCE = 120.0  # real seconds after which a test that got no answer fails


class Driver:
    """A pool and a clock that only moves when told to."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.now_ns = pool, SECOND
        self.events: list[PoolEvent] = []

    def until(self, done: Callable[[], Any], move_ns: int = 0) -> None:
        """Poll until done(); the clock moves by move_ns at each turn."""
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, (self.pool.status(), self.events)
            self.now_ns += move_ns
            self.events += self.pool.poll(self.now_ns)
            select.select(self.pool.filenos(), self.pool.write_filenos(), [], 0.01)

    def ends(self) -> list[PoolEvent]:
        return [e for e in self.events if e.kind in (EventKind.READY, EventKind.FAILED)]

    def states(self) -> list[str]:
        return [row["state"] for row in self.pool.status()]

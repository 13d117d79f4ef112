"""A part's process as the supervisor sees it: its life, and the steps that a life may take."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from enum import Enum

from engine.roster import Part

BACKOFF_FIRST_S = 0.05


class Life(Enum):
    """A child's life."""

    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "waiting to start again"
    STOPPED = "stopped"


LIFE_STEPS: dict[Life, frozenset[Life]] = {
    Life.STARTING: frozenset({Life.RUNNING, Life.BACKOFF, Life.STOPPED}),
    Life.RUNNING: frozenset({Life.BACKOFF, Life.STOPPED}),
    Life.BACKOFF: frozenset({Life.STARTING, Life.STOPPED}),
    Life.STOPPED: frozenset(),
}


@dataclass
class Child:
    part: Part
    life: Life = Life.BACKOFF
    process: subprocess.Popen | None = None
    pidfd: int = -1
    started: float = 0.0
    retry_at: float = 0.0
    backoff: float = BACKOFF_FIRST_S
    restarts: int = -1
    patience: float = 1.0  # times its load time: longer after each that it was killed in

    def become(self, life: Life) -> None:
        assert life in LIFE_STEPS[self.life], f"{self.part.name}: {self.life} to {life}"
        self.life = life

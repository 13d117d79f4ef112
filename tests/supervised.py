"""A supervisor of parts that do as they are told, whose clock is moved by hand; for tests."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import numpy as np
import pytest

from engine import shm_folder
from engine.patch import Output, Patch
from engine.roster import Part
from engine.shm import Shared
from engine.shm_records import CLOCK, AudioPhase
from engine.supervisor import Supervisor
from engine.supervisor_child import Child

PATCH = Patch(outputs={"main": Output((1, 2))})
DEADLINE_S = 20.0
# A part that does as the file named after it says; beside it the ways a part may go.
FAKE = """
import os, signal, sys
folder, code = sys.argv[1], sys.argv[2]
if code == "waits":
    signal.pause()
sys.exit(int(code))
"""


class Stage:
    """A supervisor whose clock is `now`. Heartbeats are given by beat(); only a child's end is
    waited for in wall time, with a deadline."""

    def __init__(self, folder: Path) -> None:
        self.supervisor = Supervisor(PATCH)
        self.supervisor.shared = Shared.create(folder / "performance", PATCH)
        self.now = time.monotonic()

    def children(self, **codes: str) -> list[Child]:
        """name -> exit code, or waits. The first stands where the audio process stands."""
        parts = [
            Part(name, "fake_part", (code,), silent_s=1.0, load_s=5.0)
            for name, code in codes.items()
        ]
        self.supervisor.children = [Child(part) for part in parts]
        return self.supervisor.children

    def tick(self, after: float = 0.01) -> None:
        """The supervisor looks often, as it does."""
        end = self.now + after
        while self.now < end - 1e-9:
            self.now = min(end, self.now + 0.1)
            self.supervisor.tick(self.now)

    def stand_still(self, seconds: float) -> None:
        """The machine does nothing at all for so long."""
        self.now += seconds
        self.supervisor.tick(self.now)

    def beat(self, child: Child) -> None:
        shared = self.supervisor.shared
        shared.heartbeats[shared.names.index(child.part.name)] = int(self.now * 1e9)

    def end(self) -> None:
        for child in self.supervisor.children:
            self.supervisor._kill(child)

    def ended(self, child: Child) -> None:
        """Wait until the child's process has ended; nothing has looked at it yet."""
        assert child.process is not None
        pidfd = os.pidfd_open(child.process.pid)
        ready, _, _ = select.select([pidfd], [], [], DEADLINE_S)
        os.close(pidfd)
        assert ready


def pid(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def gone(number: int) -> bool:
    """Ended and reaped: no zombie."""
    return not Path(f"/proc/{number}").exists()


def play(stage: Stage, audio: Child, callbacks: int) -> None:
    """The audio process publishes a block."""
    clock = np.zeros(1, CLOCK)
    clock["callbacks"], clock["pid"], clock["state"] = callbacks, pid(audio), AudioPhase.RUNNING
    clock["rate"] = 48000.0
    stage.supervisor.shared.sections["clock"].write(clock)


def made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """In a folder of the test's own; end() it."""
    monkeypatch.setattr(shm_folder, "SHM_ROOT", folder)
    (folder / "fake_part.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    return Stage(folder)

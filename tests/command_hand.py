"""A command of segue's in a process of its own, answered by a test as its questions come."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE_S = 120.0


class Hand:
    """Types what a person would. command: of `segue`; env: of the process."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.cli", *command],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.said = ""

    def wait_for(self, text: str) -> None:
        assert self.process.stderr is not None
        end = time.monotonic() + PATIENCE_S
        while text not in self.said:
            assert time.monotonic() < end, f"no {text!r} in {self.said!r}"
            data = os.read(self.process.stderr.fileno(), 4096)
            assert data, self.said
            self.said += data.decode()
        self.said = self.said.partition(text)[2]

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out.decode()

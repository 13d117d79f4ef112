"""Risk: what happens at the terminal cuts the sound: it is closed, or keys are pressed in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.bench.child import end_process
from engine.bench.jackd import wait_until

DEADLINE_S = 20.0
PERFORMANCE = """
import sys
from pathlib import Path
from engine import shm_folder, supervisor
from engine.patch import Output, Patch
from engine.roster import Part

shm_folder.SHM_ROOT = Path(sys.argv[1])
parts = [Part(name, "told_part", (sys.argv[1],)) for name in ("audio", "pool")]
supervisor.roster = lambda *_: parts
supervisor.HEAD_START_S = 0.0
sys.exit(supervisor.Supervisor(Patch(outputs={"main": Output((1, 2))})).run())
"""
# Notes which signals it is told, and leaves at the usual one.
TOLD = """
import os, signal, sys
told = os.path.join(sys.argv[2], str(os.getpid()) + ".told")

def note(number, _):
    with open(told, "a") as file:
        print(signal.Signals(number).name, file=file)
    if number == signal.SIGTERM:
        sys.exit(0)

for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, note)
open(told, "w").close()
while True:
    signal.pause()
"""


@pytest.fixture
def at_a_terminal(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a performance of two processes, as a shell does that may put words before it."""
    (tmp_path / "told_part.py").write_text(TOLD)
    started: list[subprocess.Popen[bytes]] = []

    def start(*before: str) -> subprocess.Popen[bytes]:
        started.append(
            subprocess.Popen(
                [*before, sys.executable, "-c", PERFORMANCE, str(tmp_path)],
                env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[1]}"},
                start_new_session=True,
            )
        )
        assert wait_until(lambda: len(list(tmp_path.glob("*.told"))) == 2, DEADLINE_S)
        return started[-1]

    yield start
    for performance in started:
        end_process(performance, DEADLINE_S)


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGINT])
def test_a_terminal_that_is_closed_ends_a_performance_in_order(
    at_a_terminal: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, how: signal.Signals
) -> None:
    performance = at_a_terminal()
    os.killpg(performance.pid, how)  # as a terminal does
    assert performance.wait(DEADLINE_S) == 0
    assert [f.read_text() for f in tmp_path.glob("*.told")] == ["SIGTERM\n"] * 2
    assert not list(tmp_path.glob("segue-*"))


def test_a_performance_under_nohup_outlives_its_terminal(
    at_a_terminal: Callable[..., subprocess.Popen[bytes]],
) -> None:
    performance = at_a_terminal("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    status = Path(f"/proc/{performance.pid}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert ignored & 1 << (signal.SIGHUP - 1)

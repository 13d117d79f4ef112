"""Risk: libjack hangs where a server dies while a client leaves it, and the MIDI process, whose
supervisor has gone, stays for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from engine.patch import Patch
from engine.shm import Shared

LEAVING_HANGS = """
import os, signal, sys, threading
from pathlib import Path
import engine.process
from devices.midi import process

engine.process.LEAVE_S = 0.2
hangs = threading.Lock()
hangs.acquire()
process.MidiProcess.close = lambda self: hangs.acquire()
process.MidiProcess.step = lambda self, now_ns: os.kill(os.getpid(), signal.SIGTERM)
process.run(Path(sys.argv[1]))
"""


def test_it_ends_where_leaving_the_server_hangs(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    Shared.create(folder, Patch())
    ran = subprocess.run(
        [sys.executable, "-c", LEAVING_HANGS, str(folder)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == -signal.SIGALRM, ran.stderr

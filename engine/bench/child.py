"""Programs that a benchmark or a test starts and ends."""

from __future__ import annotations

import subprocess


def end_process(process: subprocess.Popen[bytes], seconds: float) -> None:
    """SIGTERM, then SIGKILL if it still runs after so long; reaped when this returns."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

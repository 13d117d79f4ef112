"""Risk: a gig that is killed leaves a whole performance running."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

GIG = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from engine.gig.stage import Segue

sys.executable = sys.argv[1]
segue = Segue(SimpleNamespace(env=dict(os.environ)), Path("p.yaml"), "x", Path(sys.argv[2]))
print(segue.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_segue_ends_with_a_gig_that_is_killed(tmp_path: Path) -> None:
    stands_in = tmp_path / "segue"
    runs = tmp_path / "runs"
    os.mkfifo(runs)
    stands_in.write_text(f"#!/bin/sh\necho so > {runs}\nexec sleep 600\n")
    stands_in.chmod(0o755)
    gig = subprocess.Popen(
        [sys.executable, "-c", GIG, str(stands_in), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert gig.stdout is not None
    watched = os.pidfd_open(int(gig.stdout.readline()))
    try:
        assert runs.read_text() == "so\n"
        gig.kill()
        assert select.select([watched], [], [], 20.0)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(watched, signal.SIGKILL)
        os.close(watched)
        gig.communicate()

"""Risk: what reads the pads waits for a model's computation, or starves the machine itself."""

from __future__ import annotations

import os
import subprocess
import sys

CHILD = """
import os, sys, threading, time
from engine.process import come_first

granted = come_first()
policies = [os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK]
other = threading.Thread(target=lambda: policies.append(os.sched_getscheduler(0)))
other.start()
other.join()
until = time.monotonic() + 20.0
while os.sched_getscheduler(0) != os.SCHED_OTHER and time.monotonic() < until:
    pass
print(int(granted), *policies, os.sched_getscheduler(0))
"""


def test_it_runs_before_others_and_steps_back_when_it_does_not_pause() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=60
    )
    granted, own, thread_made_later, after = map(int, ran.stdout.split())
    assert own == (os.SCHED_FIFO if granted else os.SCHED_OTHER)
    assert thread_made_later == after == os.SCHED_OTHER
    assert ("no longer real-time" in ran.stderr) == bool(granted)


def test_who_may_not_is_told_so() -> None:
    refuse = "import resource as r; r.setrlimit(r.RLIMIT_RTPRIO, (0, 0)); import os; "
    refuse += "os.geteuid() or os.setresuid(65534, 65534, 65534)\n"
    ran = subprocess.run(
        [sys.executable, "-c", f"from engine.process import come_first\n{refuse}{CHILD}"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout.split() == ["0", *[str(os.SCHED_OTHER)] * 3]

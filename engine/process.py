"""What every child process of the supervisor does first."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

from engine.shm import Shared
from engine.shm_records import Clock

LOOK_S = 0.02
PR_SET_PDEATHSIG = 1
FIRST_PRIORITY = 1  # of SCHED_FIFO: below what the sound server gives its clients
FIRST_CAP_S, FIRST_END_S = 0.2, 1.0
LEAVE_S = 3.0  # at most, for notes to end, pads to be given back and ports to close

log = logging.getLogger("segue.process")


class Stop:
    """True once SIGTERM asked this process to leave."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides, in order

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __bool__(self) -> bool:
        return self.asked


def enter(folder: str, name: str, nice: int = 0) -> tuple[Shared, Stop]:
    """Attach, log under a name, die with the parent, and lower the priority by `nice`."""
    logging.basicConfig(format=f"segue {name}: %(message)s", level=logging.INFO, force=True)
    die_with_parent(signal.SIGKILL)
    tell_where_on_request()
    if nice:
        with contextlib.suppress(OSError):
            os.nice(nice)
    shared = Shared.open(Path(folder))
    if not _lives(int(shared.meta["pid"])):
        raise SystemExit(f"segue {name}: the performance has ended while this was being loaded")
    return shared, Stop()


def await_sound(shared: Shared, stop: Stop, name: str, load_s: float = 0.0) -> Clock | None:
    """The clock once a block has been played, for before that nobody knows the rate; None where
    this process was told to leave. load_s: what it loads next may take so long."""
    while not stop:
        shared.heartbeat(name)
        clock = shared.played()
        if clock is not None:
            shared.heartbeat(name, load_s)
            return clock
        time.sleep(LOOK_S)
    return None


def _lives(pid: int) -> bool:
    """Whether a process is there and is more than what is left until somebody asks for its end: the
    death signal tells of parents that die from its being asked for on only."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def leave_soon() -> None:
    """This process has LEAVE_S from now on. libjack waits for ever where a server dies while a
    client leaves it, and there may be no supervisor left to kill us. By SIGALRM's default action,
    for no Python runs any more then."""
    signal.setitimer(signal.ITIMER_REAL, LEAVE_S)


def die_with_parent(by: signal.Signals) -> None:
    """Have the kernel send this process a signal as soon as the supervisor has died."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by, 0, 0, 0)


def come_first() -> bool:
    """Have the calling thread, which must be the main one, run before all that is not real-time:
    hands wait for no model. False: refused (RLIMIT_RTPRIO). Who then computes for FIRST_CAP_S
    without a pause goes back among the others, for good; one that cannot even do that (it spins in
    a library) is killed after FIRST_END_S, so that it starves nobody. Threads made later are not
    raised."""

    def step_back(*_: object) -> None:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        log.warning("computed for %g s without a pause: no longer real-time", FIRST_CAP_S)

    signal.signal(signal.SIGXCPU, step_back)
    limits = (round(FIRST_CAP_S * 1e6), round(FIRST_END_S * 1e6))
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, limits)
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(FIRST_PRIORITY))
    except (OSError, ValueError):
        return False
    return True


def tell_where_on_request() -> None:
    """SIGUSR1 has every thread's place written to standard error: the supervisor asks that of one
    that hangs, before it kills it. One that crashes in a library writes it by itself."""
    where = os.dup(2)  # stays what it is while a library is kept quiet
    faulthandler.enable(where)
    faulthandler.register(signal.SIGUSR1, where)


def one_thread(set_threads: Callable[[int], None] | None = None) -> None:
    """Keep numerical libraries to one thread: two cores serve everybody."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    if set_threads is not None:
        set_threads(1)

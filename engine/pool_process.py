"""A worker as the pool sees it: its life cycle, its process and its end of the socket.

Nothing here waits: sockets are non-blocking, a killed process is reaped when it is ready to be.
Single-threaded; processes are spawned from the pool's main thread, as they die with that thread.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from enum import Enum
from typing import Any

from engine.pool_wire import Frame, FrameReader, pack

START_LIMIT_NS = 90_000_000_000  # to say hello: torch and a checkpoint load in this time
BACKOFF_FIRST_NS = 200_000_000
BACKOFF_MAX_NS = 30_000_000_000
READ_BYTES = 1 << 20
READS_A_POLL = 64

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


class WorkerState(Enum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DEAD = "dead"  # killed or gone, not reaped yet
    BACKOFF = "back-off"  # reaped; waits to be started (again)


_W = WorkerState
WORKER_STEPS: dict[WorkerState, frozenset[WorkerState]] = {
    _W.BACKOFF: frozenset({_W.STARTING}),
    _W.STARTING: frozenset({_W.IDLE, _W.DEAD}),
    _W.IDLE: frozenset({_W.BUSY, _W.DEAD}),
    _W.BUSY: frozenset({_W.IDLE, _W.DEAD}),
    _W.DEAD: frozenset({_W.BACKOFF}),
}


class WorkerStepError(RuntimeError):
    """A step that WORKER_STEPS does not allow."""


class WorkerProcess:
    """command: what to run; the socket's number, our process id and `warm` are added to it."""

    def __init__(self, label: str, command: Sequence[str], warm: Sequence[str]) -> None:
        self.label = label
        self.command = list(command)
        self.warm = list(warm)
        self.state = WorkerState.BACKOFF
        self.job: int | None = None
        self.dropping = False  # told to leave its job
        self.due_ns = 0  # when the state's patience ends
        self.crashes = 0  # since it last finished a job
        self.process: subprocess.Popen[bytes] | None = None
        self.socket: socket.socket | None = None
        self.reader = FrameReader()
        self._out = bytearray()

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    @property
    def wants_write(self) -> bool:
        return bool(self._out)

    def step(self, to: WorkerState) -> None:
        if to not in WORKER_STEPS[self.state]:
            raise WorkerStepError(f"{self.label} is {self.state.value}, cannot become {to.value}")
        self.state = to

    def spawn(self, now_ns: int) -> None:
        """Start the process. A system that cannot (no memory, no processes) counts as a crash."""
        ours, theirs = socket.socketpair()
        try:
            self.process = subprocess.Popen(
                [*self.command, str(theirs.fileno()), str(os.getpid()), *self.warm],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **ENVIRONMENT},
            )
        except OSError:
            ours.close()
            self._back_off(now_ns)
            return
        finally:
            theirs.close()
        ours.setblocking(False)
        self.socket, self.reader, self._out = ours, FrameReader(), bytearray()
        self.due_ns = now_ns + START_LIMIT_NS
        self.step(WorkerState.STARTING)

    def send(self, header: dict[str, Any]) -> None:
        """Queue a frame and write what goes. Raises OSError when the worker is gone."""
        self._out += pack(header)
        self.flush()

    def flush(self) -> None:
        while self._out and self.socket:
            try:
                sent = self.socket.send(self._out, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            del self._out[:sent]

    def receive(self) -> list[Frame]:
        """Frames that have come. Raises WireError, OSError, or EOFError when the worker is gone."""
        frames: list[Frame] = []
        for _ in range(READS_A_POLL):
            if self.socket is None:
                break
            try:
                data = self.socket.recv(READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                if frames:
                    break  # hand over what came; the end is met again at the next call
                raise EOFError("the worker closed its socket")
            frames += self.reader.feed(data)
        return frames

    def kill(self) -> None:
        """SIGKILL (stopped and hung processes too), close the socket; reap() follows."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.socket:
            self.socket.close()
            self.socket = None
        self.job, self.dropping = None, False
        self.step(WorkerState.DEAD)

    def reap(self, now_ns: int) -> bool:
        """True when a dead process has been collected; the back-off then begins."""
        if self.process is None or self.process.poll() is None:
            return False
        self.process = None
        self.step(WorkerState.BACKOFF)
        self._back_off(now_ns)
        return True

    def _back_off(self, now_ns: int) -> None:
        wait = BACKOFF_FIRST_NS << min(self.crashes, 12)
        self.crashes += 1
        self.due_ns = now_ns + min(BACKOFF_MAX_NS, wait)

    def close(self) -> None:
        """Kill and wait for the end."""
        if self.state in (WorkerState.STARTING, WorkerState.IDLE, WorkerState.BUSY):
            self.kill()
        if self.process is not None:
            self.process.wait()
            self.process = None

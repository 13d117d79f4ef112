"""The pool: batch makers in worker processes that may die, hang or talk nonsense.

    submit()  a request for a stem           -> job id
    poll()    all that happened              -> events; call it when a socket of filenos() or
              write_filenos() is ready, and at next_wake_ns() at the latest
    cancel()  no event for this job any more

Two lanes: `main` workers run the maker that was asked for; one more worker, kept for it, runs the
rules. A job whose worker dies is tried once more; one that fails, or misses its deadline, is
answered by the rules, and its stem's provenance says so. A job ends with READY or FAILED, once.

Nothing here blocks: call from one thread, of a process that does not make sound. Times are
CLOCK_MONOTONIC ns, handed in.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from engine.pool_process import WorkerProcess, WorkerState
from engine.pool_wire import NOTES_MAX, WireError, request_to_json, stem_from_result
from engine.stem import FILES_MAKER, Stem, StemRequest
from engine.stem_render import RenderError, frames_exact
from engine.tuning import A4_HZ

WORKER_COMMAND = (sys.executable, "-m", "engine.worker")
FALLBACK_MAKER = "rules"
DEFAULT_DEADLINE_NS = 120_000_000_000  # after submit, where none is given
FALLBACK_LIMIT_NS = 15_000_000_000  # for the rules to answer, once they have begun
FALLBACK_WAIT_NS = 60_000_000_000  # for the rules' worker to be there
CANCEL_LIMIT_NS = 3_000_000_000  # for a worker to drop a cancelled job
ATTEMPTS = 2  # in each lane

log = logging.getLogger("pool")


class EventKind(Enum):
    PROGRESS = "progress"  # progress: 0..1
    READY = "ready"  # stem
    FAILED = "failed"  # reason; the job is over
    LATE = "late"  # its deadline has passed; READY or FAILED follows


@dataclass(frozen=True)
class PoolEvent:
    kind: EventKind
    job: int
    progress: float = 0.0
    stem: Stem | None = None
    reason: str = ""


class Lane(Enum):
    MAIN = "main"
    RULES = "rules"


@dataclass
class _Job:
    id: int
    maker: str
    request: StemRequest
    program: int
    drums: bool
    config: dict[str, Any]
    checkpoint: str | None
    exact: float
    lane: Lane
    deadline_ns: int  # 0 until the first poll sees it
    reasons: list[str] = field(default_factory=list)  # why the rules answer, if they do
    attempts: int = 0  # begun in this lane
    limit_ns: int = 0  # when the rules' patience ends
    late: bool = False


class Pool:
    """Owns its worker processes. soundfont, rate, tuning_hz (A4): what stems are rendered with.
    warm: makers that main workers load at their start. command: for tests."""

    def __init__(
        self,
        soundfont: Path,
        rate: int,
        workers: int = 1,
        warm: Sequence[str] = ("orpheus",),
        command: Sequence[str] = WORKER_COMMAND,
        tuning_hz: float = A4_HZ,
    ) -> None:
        self.soundfont, self.rate, self.tuning_hz = soundfont, rate, tuning_hz
        self.lanes = {
            Lane.MAIN: [WorkerProcess(f"worker {i + 1}", command, warm) for i in range(workers)],
            Lane.RULES: [WorkerProcess("rules worker", command, [FALLBACK_MAKER])],
        }
        self._queues: dict[Lane, list[_Job]] = {Lane.MAIN: [], Lane.RULES: []}
        self._jobs: dict[int, _Job] = {}
        self._next_id = 1
        self._events: list[PoolEvent] = []

    def submit(
        self,
        maker: str,
        request: StemRequest,
        program: int,
        drums: bool,
        config: dict[str, Any],
        *,
        checkpoint: str | None = None,
        deadline_ns: int = 0,
    ) -> int:
        """Queue a job. deadline_ns: when the fallback takes over (give it about a second before the
        bar); 0: after two minutes. Raises RenderError on a length, tempo or context too large."""
        exact = frames_exact(request, self.rate)
        if len(request.context) > NOTES_MAX:
            raise RenderError(f"stem context of {len(request.context)} notes, at most {NOTES_MAX}")
        job = _Job(
            self._next_id, maker, request, program, drums, dict(config), checkpoint, exact,
            Lane.RULES if maker == FALLBACK_MAKER else Lane.MAIN, deadline_ns,
        )  # fmt: skip
        self._next_id += 1
        self._jobs[job.id] = job
        self._queues[job.lane].append(job)
        return job.id

    def cancel(self, job: int) -> None:
        """Take a job back; unknown and finished ones are ignored."""
        found = self._jobs.pop(job, None)
        if found is None:
            return
        if found in self._queues[found.lane]:
            self._queues[found.lane].remove(found)
        for worker in self._workers():
            if worker.job == job and not worker.dropping:
                self._drop(worker)

    def poll(self, now_ns: int) -> list[PoolEvent]:
        """Move everything on that can move; returns what happened, in order."""
        for worker in self._workers():
            if worker.socket:
                self._hear(worker)
        for worker in self._workers():
            self._keep_alive(worker, now_ns)
        self._watch_deadlines(now_ns)
        for lane, workers in self.lanes.items():
            for worker in workers:
                if worker.state is WorkerState.IDLE and self._queues[lane]:
                    self._begin(worker, self._queues[lane].pop(0), now_ns)
        events, self._events = self._events, []
        return events

    def filenos(self) -> list[int]:
        """Sockets to wait on for reading. Changes as workers come and go: ask each time."""
        return [w.socket.fileno() for w in self._workers() if w.socket]

    def write_filenos(self) -> list[int]:
        """Sockets with something left to write."""
        return [w.socket.fileno() for w in self._workers() if w.socket and w.wants_write]

    def next_wake_ns(self, now_ns: int) -> int:
        """When poll() must be called even if no socket stirs; at most 100 ms away while a process
        is being reaped or a job has not met the clock yet."""
        times = [now_ns + 1_000_000_000]
        for worker in self._workers():
            if worker.state is WorkerState.DEAD:
                times.append(now_ns + 20_000_000)
            elif worker.due_ns:
                times.append(worker.due_ns)
        for job in self._jobs.values():
            times.append(job.deadline_ns if not job.late else now_ns + 100_000_000)
        return max(now_ns, min(times))

    def status(self) -> list[dict[str, Any]]:
        """One row a worker: label, state, pid, job, crashes since it last finished one."""
        return [
            {"worker": w.label, "state": w.state.value, "pid": w.pid, "job": w.job,
             "crashes": w.crashes}
            for w in self._workers()
        ]  # fmt: skip

    def close(self) -> None:
        """Kill and reap every worker; jobs are forgotten."""
        for worker in self._workers():
            worker.close()
        self._jobs.clear()
        for queue in self._queues.values():
            queue.clear()

    def _workers(self) -> list[WorkerProcess]:
        return [w for workers in self.lanes.values() for w in workers]

    def _send(self, worker: WorkerProcess, header: dict[str, Any]) -> None:
        """A worker that is gone is noticed when it is read."""
        try:
            worker.send(header)
        except OSError as error:
            log.info("%s: %s", worker.label, error)

    def _drop(self, worker: WorkerProcess) -> None:
        """Ask a worker to leave its job; the next poll starts its patience."""
        self._send(worker, {"type": "cancel", "id": worker.job})
        worker.dropping, worker.due_ns = True, 0

    def _begin(self, worker: WorkerProcess, job: _Job, now_ns: int) -> None:
        fallback = job.lane is Lane.RULES and job.maker != FALLBACK_MAKER
        job.attempts += 1
        job.limit_ns = now_ns + FALLBACK_LIMIT_NS if job.lane is Lane.RULES else 0
        worker.step(WorkerState.BUSY)
        worker.job, worker.dropping, worker.due_ns = job.id, False, 0
        worker.reader.payload_max = round(job.exact) * 8
        header = {
            "type": "job",
            "id": job.id,
            "maker": FALLBACK_MAKER if fallback else job.maker,
            "checkpoint": None if fallback else job.checkpoint,
            "config": {} if fallback else job.config,
            "request": request_to_json(job.request),
            "program": job.program,
            "drums": job.drums,
            "soundfont": str(self.soundfont),
            "rate": self.rate,
            "tuning_hz": self.tuning_hz,
        }
        self._send(worker, header)

    def _hear(self, worker: WorkerProcess) -> None:
        """Take in what a worker says; what is no answer costs it its life."""
        try:
            worker.flush()
            for header, payload in worker.receive():
                self._take(worker, header, payload)
        except WireError as error:
            self._lose(worker, f"{worker.label} spoke nonsense: {error}", again=False)
        except (OSError, EOFError) as error:
            self._lose(worker, f"{worker.label} died: {error}", again=True)

    def _take(self, worker: WorkerProcess, header: dict[str, Any], payload: bytes) -> None:
        """One frame of a worker. Raises WireError."""
        kind = header["type"]
        if kind == "hello" and worker.state is WorkerState.STARTING:
            worker.step(WorkerState.IDLE)
            worker.due_ns = 0
            return
        if worker.state is not WorkerState.BUSY or header.get("id") != worker.job:
            raise WireError(f"{kind} for job {header.get('id')!r}, which it does not have")
        assert worker.job is not None
        job = None if worker.dropping else self._jobs.get(worker.job)
        if kind == "progress":
            fraction = header.get("fraction")
            if not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
                raise WireError(f"progress is {fraction!r}, expected 0 to 1")
            if job:
                self._events.append(PoolEvent(EventKind.PROGRESS, job.id, float(fraction)))
            return
        if kind not in ("result", "error", "cancelled"):
            raise WireError(f"frame of type {kind!r}")
        stem = None
        if job and kind == "result":
            stem = stem_from_result(header, payload, job.request, self.rate, job.exact)
        worker.step(WorkerState.IDLE)
        worker.job, worker.due_ns, worker.reader.payload_max = None, 0, 0
        worker.crashes = 0
        if job is None:
            return
        if stem is None:
            self._fail(job, str(header.get("text", kind))[:2000], again=False)
            return
        del self._jobs[job.id]
        fallback = job.lane is Lane.RULES and job.maker != FALLBACK_MAKER
        stem.provenance |= {
            "asked": job.maker,
            "fallback": fallback,
            "reason": "; ".join(job.reasons),
        }
        self._events.append(PoolEvent(EventKind.READY, job.id, 1.0, stem))

    def _lose(self, worker: WorkerProcess, reason: str, again: bool) -> None:
        """Kill a worker (it may be dead already) and see to its job."""
        log.warning("%s", reason)
        held = worker.job is not None and not worker.dropping
        job = self._jobs.get(worker.job or 0) if held else None
        worker.kill()
        if job:
            self._fail(job, reason, again)

    def _fail(self, job: _Job, reason: str, again: bool) -> None:
        """A job's attempt came to nothing: once more, by the rules, or not at all."""
        job.reasons.append(reason)
        if again and job.attempts < ATTEMPTS and not (job.late and job.lane is Lane.MAIN):
            job.limit_ns = 0
            self._queues[job.lane].insert(0, job)
        elif job.lane is Lane.MAIN and job.maker != FILES_MAKER:  # files have no stand-in
            job.lane, job.attempts, job.limit_ns = Lane.RULES, 0, 0
            self._queues[Lane.RULES].append(job)
        else:
            del self._jobs[job.id]
            self._events.append(PoolEvent(EventKind.FAILED, job.id, reason="; ".join(job.reasons)))

    def _keep_alive(self, worker: WorkerProcess, now_ns: int) -> None:
        """Start, restart and reap a worker; end one that does not start or will not cancel."""
        if worker.state is WorkerState.DEAD:
            worker.reap(now_ns)
        elif worker.state is WorkerState.BACKOFF:
            if now_ns >= worker.due_ns:
                worker.spawn(now_ns)
        elif worker.state is WorkerState.STARTING:
            if now_ns >= worker.due_ns:
                self._lose(worker, f"{worker.label} did not start", again=True)
        elif worker.state is WorkerState.BUSY and worker.dropping:
            if not worker.due_ns:
                worker.due_ns = now_ns + CANCEL_LIMIT_NS
            elif now_ns >= worker.due_ns:
                self._lose(worker, f"{worker.label} hangs: it did not leave its job", again=True)

    def _watch_deadlines(self, now_ns: int) -> None:
        """Deadlines of jobs: a main worker is told to drop one that is late, and killed if it does
        not; the rules' worker is killed when its patience ends."""
        for job in list(self._jobs.values()):
            if not job.deadline_ns:
                job.deadline_ns = now_ns + DEFAULT_DEADLINE_NS
            if not job.late and now_ns >= job.deadline_ns:
                job.late = True
                self._events.append(PoolEvent(EventKind.LATE, job.id, reason="deadline passed"))
                if job.lane is Lane.MAIN:
                    self._give_up(job, f"{job.maker} missed its deadline", again=False)
            if job.lane is Lane.RULES and not job.limit_ns:
                job.limit_ns = now_ns + FALLBACK_WAIT_NS
            elif job.lane is Lane.RULES and now_ns >= job.limit_ns:
                waiting = job in self._queues[Lane.RULES]
                self._give_up(job, "the rules did not answer", again=not waiting)

    def _give_up(self, job: _Job, reason: str, again: bool) -> None:
        """End a job's attempt, wherever it is."""
        workers = self.lanes[job.lane]
        holder = next((w for w in workers if w.job == job.id and not w.dropping), None)
        if holder and job.lane is Lane.RULES:
            self._lose(holder, f"{holder.label}: {reason}", again)
            return
        if holder:
            self._drop(holder)
        if job in self._queues[job.lane]:
            self._queues[job.lane].remove(job)
        self._fail(job, reason, again)

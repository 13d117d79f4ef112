"""Risk: a worker that dies, hangs, lies or never starts takes a job, or the pool, with it.

Real processes. Most run a stand-in worker that misbehaves in one way; the clock is moved by hand.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pool_driver import SECOND, Driver

from engine.pool import EventKind, Pool
from engine.pool_process import WORKER_STEPS, WorkerProcess, WorkerState, WorkerStepError
from engine.stem import StemRequest

SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")

STAND_IN = """
import os, signal, socket, sys
from engine.pool_wire import PREFIX, FrameReader, pack, request_from_json
from engine.stem_render import frames_exact
sock, mode = socket.socket(fileno=int(sys.argv[1])), sys.argv[3]
if mode == "never starts":
    signal.pause()
if mode == "dies at once":
    os._exit(3)
reader, inbox = FrameReader(), []
sock.sendall(pack({"type": "hello", "pid": os.getpid()}))
while True:
    while not inbox:
        data = sock.recv(65536)
        if not data:
            os._exit(0)
        inbox += reader.feed(data)
    header, _ = inbox.pop(0)
    if header["type"] != "job":
        continue
    job = header["id"]
    request = request_from_json(header["request"])
    good = bytes(8 * round(frames_exact(request, header["rate"])))
    result = {"type": "result", "id": job, "notes": [[0, 1, 60, 90, 0, False]],
              "loudness_lufs": -18.0, "provenance": {"maker": header["maker"]}}
    if mode == "dies":
        os._exit(9)
    if mode == "hangs":
        os.kill(os.getpid(), signal.SIGSTOP)
    if mode == "garbage":
        sock.sendall(b"GET / HTTP/1.1 and so on and so on")
    elif mode == "huge":
        sock.sendall(PREFIX.pack(b"SGP1", 10, 4_000_000_000))
    elif mode == "not json":
        sock.sendall(PREFIX.pack(b"SGP1", 4, 0) + b"{{{{")
    elif mode == "deep json":
        sock.sendall(PREFIX.pack(b"SGP1", 200000, 0) + b"[" * 200000)
    elif mode == "wrong job":
        sock.sendall(pack({**result, "id": 999}, good))
    elif mode == "short audio":
        sock.sendall(pack(result, good[:-8]))
    elif mode == "nan audio":
        sock.sendall(pack(result, b"\\x00\\x00\\xc0\\x7f" + good[4:]))
    elif mode == "loud audio":
        sock.sendall(pack(result, b"\\x00\\x00\\x80\\x40" + good[4:]))
    elif mode == "notes outside":
        sock.sendall(pack({**result, "notes": [[15, 9, 60, 90, 0, False]]}, good))
    elif mode == "notes odd":
        sock.sendall(pack({**result, "notes": [["x"], 3]}, good))
    elif mode == "progress odd":
        sock.sendall(pack({"type": "progress", "id": job, "fraction": 7}))
    elif mode == "closes":
        sock.shutdown(socket.SHUT_RDWR)
        signal.pause()
    elif mode == "error":
        sock.sendall(pack({"type": "error", "id": job, "text": "out of ideas"}))
    elif mode != "waits":
        sock.sendall(pack(result, good))
"""


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    pools: list[Pool] = []
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)

    def make(mode: str, workers: int = 1) -> Driver:
        command = (sys.executable, str(script))
        pools.append(Pool(SOUNDFONT, 48000, workers, (mode,), command))
        return Driver(pools[-1])

    yield make
    for pool in pools:
        pool.close()
        assert all(row["pid"] is None for row in pool.status())


def submit(driver: Driver, maker: str = "orpheus", deadline_ns: int = 0) -> int:
    request = StemRequest(1, "bass", 1, 240.0, seed=1)
    return driver.pool.submit(maker, request, 33, False, {}, deadline_ns=deadline_ns)


def test_a_good_worker_answers(drive: Callable[..., Driver]) -> None:
    d = drive("good")
    jobs = [submit(d), submit(d), submit(d, "rules")]
    d.until(lambda: len(d.ends()) == 3)
    assert sorted(e.job for e in d.ends()) == jobs
    for event in d.ends():
        assert event.stem is not None
        assert event.stem.audio is not None
        assert event.stem.audio.shape == (2, 48000)
        assert event.stem.provenance["fallback"] is False


@pytest.mark.parametrize(
    "mode",
    ["garbage", "huge", "not json", "deep json", "wrong job", "short audio", "nan audio",
     "loud audio", "notes outside", "notes odd", "progress odd", "error"],
)  # fmt: skip
def test_nonsense_is_answered_by_the_rules(drive: Callable[..., Driver], mode: str) -> None:
    d = drive(mode)
    job = submit(d)
    d.until(d.ends)
    (event,) = d.ends()
    assert (event.kind, event.job) == (EventKind.READY, job)
    assert event.stem is not None
    assert event.stem.provenance["fallback"] is True
    assert event.stem.provenance["maker"] == "rules"
    assert event.stem.provenance["asked"] == "orpheus"
    assert event.stem.provenance["reason"]


@pytest.mark.parametrize("mode", ["dies", "closes"])
def test_a_job_whose_worker_dies_is_tried_once_more_then_answered(
    drive: Callable[..., Driver], mode: str
) -> None:
    d = drive(mode)
    submit(d)
    d.until(d.ends, move_ns=SECOND // 10)
    (event,) = d.ends()
    assert event.stem is not None
    assert event.stem.provenance["fallback"] is True
    assert str(event.stem.provenance["reason"]).count("died") == 2


def test_a_worker_killed_in_its_job_is_replaced(drive: Callable[..., Driver]) -> None:
    d = drive("waits", 2)
    submit(d)
    d.until(lambda: d.states()[:2].count("busy") == 1 and "starting" not in d.states())
    busy = next(row for row in d.pool.status() if row["state"] == "busy")
    os.kill(busy["pid"], signal.SIGKILL)
    d.until(lambda: any(
        row["state"] == "busy" and row["pid"] != busy["pid"] for row in d.pool.status()
    ), move_ns=SECOND // 100)  # fmt: skip
    assert not d.ends()


def test_a_hung_worker_is_killed_reaped_and_replaced(drive: Callable[..., Driver]) -> None:
    d = drive("hangs")
    d.until(lambda: d.states() == ["idle", "idle"])
    pid = d.pool.status()[0]["pid"]
    submit(d, deadline_ns=d.now_ns + 2 * SECOND)
    d.until(lambda: d.states()[0] == "busy")
    d.now_ns += 2 * SECOND
    d.until(d.ends)  # answered before the hung worker is given up
    assert [e.kind for e in d.events] == [EventKind.LATE, EventKind.READY]
    d.until(lambda: d.pool.status()[0]["pid"] not in (pid, None), move_ns=SECOND // 10)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_late_job_still_waiting_is_answered_by_the_rules(drive: Callable[..., Driver]) -> None:
    d = drive("never starts")
    submit(d, deadline_ns=d.now_ns + SECOND)
    d.until(d.ends, move_ns=SECOND // 50)
    assert [e.kind for e in d.events] == [EventKind.LATE, EventKind.READY]
    assert d.states()[0] == "starting"


def test_a_worker_that_never_starts_is_replaced(drive: Callable[..., Driver]) -> None:
    d = drive("never starts")
    d.until(lambda: d.states()[0] == "starting")
    pid = d.pool.status()[0]["pid"]
    d.until(lambda: d.pool.status()[0]["pid"] not in (pid, None), move_ns=SECOND)
    with pytest.raises(ProcessLookupError):  # killed and reaped before its successor
        os.kill(pid, 0)


def test_a_crash_loop_backs_off(drive: Callable[..., Driver]) -> None:
    d = drive("dies at once")
    waits = []
    for crashes in range(1, 6):
        d.until(
            lambda n=crashes: d.states()[0] == "back-off" and d.pool.status()[0]["crashes"] == n
        )
        worker = d.pool._workers()[0]
        waits.append(worker.due_ns - d.now_ns)
        d.now_ns = worker.due_ns
    assert waits == [SECOND // 5 * 2**n for n in range(5)]


def test_a_cancelled_job_ends_without_an_event(drive: Callable[..., Driver]) -> None:
    d = drive("waits")
    d.until(lambda: d.states() == ["idle", "idle"])
    running, queued = submit(d), submit(d)
    d.until(lambda: d.states()[0] == "busy")
    pid = d.pool.status()[0]["pid"]
    d.pool.cancel(running)
    d.pool.cancel(queued)
    d.pool.cancel(queued)  # again: ignored
    d.until(lambda: d.pool.status()[0]["pid"] not in (pid, None), move_ns=SECOND // 10)
    assert d.events == []


def test_poll_never_waits_for_a_stopped_worker(drive: Callable[..., Driver]) -> None:
    """Jobs for a worker that does not read fill its socket; the pool goes on."""
    d = drive("hangs")
    d.until(lambda: d.states() == ["idle", "idle"])
    os.kill(d.pool.status()[0]["pid"], signal.SIGSTOP)
    from engine.stem import StemNote

    heard = tuple(StemNote(-1.0, 0.5, 60, 90) for _ in range(19_000))
    request = StemRequest(1, "bass", 1, 240.0, context=heard)
    d.pool.submit("orpheus", request, 33, False, {}, deadline_ns=d.now_ns + SECOND)
    d.until(lambda: d.states()[0] == "busy")
    assert d.pool.write_filenos()
    other = submit(d, "rules")
    d.until(lambda: [e.job for e in d.ends()] == [other])


def test_steps_that_are_not_in_the_table_are_refused() -> None:
    worker = WorkerProcess("w", ["true"], [])
    for state in WorkerState:
        for to in WorkerState:
            worker.state = state
            if to in WORKER_STEPS[state]:
                worker.step(to)
            else:
                with pytest.raises(WorkerStepError):
                    worker.step(to)


def test_real_workers_make_sound_and_survive_a_kill() -> None:
    """engine.worker with the real rules: its result, then the same after SIGKILL."""
    pool = Pool(SOUNDFONT, 48000, 1, ("rules",))
    try:
        d = Driver(pool)
        request = StemRequest(1, "melody", 4, 124.0, seed=5)
        pool.submit("rules", request, 73, False, {})
        d.until(d.ends)
        os.kill(pool.status()[1]["pid"], signal.SIGKILL)
        pool.submit("rules", request, 73, False, {})
        pool.submit("no such maker", request, 73, False, {})
        d.until(lambda: len(d.ends()) == 3, move_ns=SECOND // 1000)
        first, second, third = (e.stem for e in d.ends())
        assert first is not None
        assert second is not None
        assert third is not None
        assert first.frames_exact == pytest.approx(371612.903, abs=1e-3)
        assert (first.audio == second.audio).all()  # type: ignore[union-attr]
        fallback = [s for s in (second, third) if s.provenance["fallback"]]
        assert len(fallback) == 1
        assert "no such maker" in str(fallback[0].provenance["reason"])
    finally:
        pool.close()


ORPHAN = """
import sys, select, time
from pathlib import Path
from engine.pool import Pool
pool = Pool(Path(sys.argv[1]), 48000, 1, ("rules",))
while any(row["state"] != "idle" for row in pool.status()):
    pool.poll(time.monotonic_ns())
    select.select(pool.filenos(), [], [], 0.1)
print(*(row["pid"] for row in pool.status()), flush=True)
select.select([], [], [])
"""


def test_workers_die_with_their_pool() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(SOUNDFONT)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        pids = [int(p) for p in parent.stdout.readline().split()]
        assert len(pids) == 2
        handles = [os.pidfd_open(p) for p in pids]
        assert [Path(f"/proc/{p}/oom_score_adj").read_text().strip() for p in pids] == ["500"] * 2
        assert all(os.getpriority(os.PRIO_PROCESS, p) >= 10 for p in pids)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()  # type: ignore[union-attr]
    for handle in handles:
        assert select.select([handle], [], [], 30.0)[0]
        os.close(handle)

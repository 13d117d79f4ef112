"""Risk: a session's disk that takes nothing, or nothing for a while, takes the conductor or the
start of a night with it, or loses lines without saying so."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.conductor_process import ConductorProcess
from engine.journal import Journal, LogWriter
from engine.layout import REPORT, ReportKind
from engine.patch import Patch
from engine.process import Stop
from engine.session import read_lines
from engine.shm import Shared
from engine.shm_records import CLOCK

LINES = 20_000  # a pipe holds 64 KiB, which is less


def test_a_log_that_cannot_be_opened_is_said_and_the_state_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = tmp_path / "session"
    session.write_text("no folder")
    journal = Journal(tmp_path, session)
    journal.write({"event": "stem", "frame": 1})
    journal.save({"tempo": 120})
    journal.close()
    assert "no log" in caplog.text
    successor = Journal(tmp_path, None)
    assert successor.load() == {"tempo": 120}
    successor.close()


def stalled(folder: Path) -> int:
    """A log that takes 64 KiB and then nothing until somebody reads here."""
    os.mkfifo(folder / "log.jsonl")
    return os.open(folder / "log.jsonl", os.O_RDONLY | os.O_NONBLOCK)


def rest_of(reader: int) -> list[dict[str, Any]]:
    os.set_blocking(reader, True)
    with os.fdopen(reader, "rb") as file:
        return [json.loads(line) for line in file.read().splitlines()]


def test_a_disk_that_stalls_keeps_nobody_and_has_every_line_once_it_goes_on(
    tmp_path: Path,
) -> None:
    reader = stalled(tmp_path)
    journal = Journal(tmp_path, tmp_path)
    for frame in range(LINES):
        journal.write({"event": "stem", "frame": frame})  # would wait for the reader for ever
    journal._log.close(wait_s=0.0)
    lines = rest_of(reader)
    assert [line["frame"] for line in lines] == list(range(LINES))


def test_a_disk_that_never_opens_keeps_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.jsonl")
    journal = Journal(tmp_path, tmp_path)
    for frame in range(LINES):
        journal.write({"event": "stem", "frame": frame})
    journal._log.close(wait_s=0.0)
    reader = os.open(tmp_path / "log.jsonl", os.O_RDONLY)  # so that the thread can end
    assert len(rest_of(reader)) == LINES


def test_lines_that_found_no_room_are_counted_in_the_log(tmp_path: Path) -> None:
    reader = stalled(tmp_path)
    writer = LogWriter(tmp_path / "log.jsonl", waiting=100)
    for frame in range(LINES):
        writer.write(b'{"frame": %d}\n' % frame)
    writer.close(wait_s=0.0)
    lines = rest_of(reader)
    lost = sum(line["lines"] for line in lines if line.get("event") == "log_lost")
    written = [line for line in lines if "event" not in line]
    assert lost > 0
    assert len(written) + lost == LINES


def test_lines_that_a_full_disk_refused_are_counted_once_it_has_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b" " * 5000 + b"\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5010, before[1]))
    try:
        full = LogWriter(path)
        full.write(b'{"frame": 1, "event": "stem"}\n')
        full.write(b'{"frame": 2, "event": "stem"}\n')
        while not full._broken:
            pass  # the other thread is at it
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    full.write(b'{"frame": 3, "event": "stem"}\n')
    full.close()
    lines = read_lines(path)
    assert lines[-1]["event"] == "log_lost" or lines[-1]["frame"] == 3
    frames = [line["frame"] for line in lines if line.get("event") == "stem"]
    lost = sum(line["lines"] for line in lines if line.get("event") == "log_lost")
    assert frames[-1] == 3
    assert len(frames) + lost == 3
    assert caplog.text.count("cannot be written") == 1


TICKS = 40
A_TICK = 200  # reports, each a line of the log


def test_the_conductor_goes_on_beside_a_disk_that_stalls(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    reader = stalled(session)
    shared = Shared.create(tmp_path / "performance", Patch(), session=str(session))
    handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    process = ConductorProcess(shared, Stop())
    for number, handler in zip((signal.SIGTERM, signal.SIGINT), handlers, strict=True):
        signal.signal(number, handler)
    clock = np.zeros(1, CLOCK)
    clock["callbacks"], clock["rate"], clock["t"] = 1, 48_000.0, 1000
    shared.sections["clock"].write(clock)
    reports = np.zeros(A_TICK, REPORT)
    reports["kind"] = ReportKind.MISSED
    for tick in range(TICKS):
        reports["frame"] = np.arange(A_TICK) + tick * A_TICK
        shared.ring("reports").push(reports)
        process.tick()  # would wait for the disk, and be killed as hung
    process.journal._log.close(wait_s=0.0)
    lines = rest_of(reader)
    assert lines[0]["performance"] == shared.meta["performance"]
    missed = [line["frame"] for line in lines if line["event"] == "missed"]
    assert missed == list(range(TICKS * A_TICK))

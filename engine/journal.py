"""The conductor's memory outside itself: its state (one file, replaced whole) and the log (one line
an event, with its frame). Written by the conductor only.

The state lies in the shared folder, which is memory: a restarted conductor finds it and a restarted
machine does not. The log lies in the session's folder where there is one, else beside the state;
that may be a disk that stalls, so a thread of its own writes it (LogWriter) and the conductor's
tick only lines up.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from engine.layout import ReportKind
from engine.shm import Shared

LINES_WAITING = 65_536  # a disk that stalls for minutes may be behind by so many
LINES_A_WRITE = 1024
REPORTS_MOST = 8192  # what their ring holds
CLOSE_S = 1.0  # at most, for what waits to reach the disk
log = logging.getLogger("segue.journal")


class LogWriter:
    """A file that gets lines from one thread, written by another. A line that finds too many before
    it is dropped and counted; the count goes into the file as soon as it takes lines again."""

    def __init__(self, path: Path, waiting: int = LINES_WAITING) -> None:
        self._path, self._most = path, waiting
        self._lines: deque[bytes] = deque()
        self._refused = self._lost = self._said = 0  # lines: the tick's, then the thread's
        self._more = threading.Event()
        self._stop = False
        self._broken = False
        self._thread = threading.Thread(target=self._serve, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Line up; never waits."""
        if len(self._lines) >= self._most:
            self._refused += 1
        else:
            self._lines.append(line)
        self._more.set()

    def close(self, wait_s: float = CLOSE_S) -> None:
        """Write what waits, if the disk takes it in time."""
        self._stop = True
        self._more.set()
        self._thread.join(wait_s)

    # ---- the thread's

    def _serve(self) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            log.warning("no log: %s", error)
            self._most = 0  # nobody waits for it
            self._lines.clear()
            return
        try:
            while not (self._stop and not self._lines):
                self._more.wait()
                self._more.clear()
                self._drain(file)
        finally:
            os.close(file)

    def _drain(self, file: int) -> None:
        while self._lines:
            some = [self._lines.popleft() for _ in range(min(len(self._lines), LINES_A_WRITE))]
            lines = len(some)
            missing = self._refused + self._lost - self._said
            if missing:
                some.append(line_of({"event": "log_lost", "frame": 0, "lines": missing}))
            if self._put(file, b"".join(some)):
                self._said += missing
            else:
                self._lost += lines

    def _put(self, file: int, data: bytes) -> bool:
        """A full disk is said once, until something can be written again."""
        try:
            if self._broken:
                data = b"\n" + data  # what was cut off is no part of what follows
            while data:
                data = data[os.write(file, data) :]
        except OSError as error:
            if not self._broken:
                log.warning("the log cannot be written: %s", error)
            self._broken = True
            return False
        self._broken = False
        return True


def event_of(report: np.void) -> dict[str, Any]:
    """A layout.REPORT as an event. Raises ValueError for one of no kind."""
    kind = ReportKind(int(report["kind"])).name.lower()
    return {"event": kind, **{k: int(report[k]) for k in ("frame", "slot", "a", "b", "id")}}


def keep_last_words(shared: Shared, session: Path) -> None:
    """When conductor and audio process have ended: what the one said and the other read no more,
    into the log. Raises OSError."""
    said = shared.ring("reports").pop(REPORTS_MOST)
    if len(said):
        opened = {"event": "log_opened", "frame": 0, "performance": shared.meta.get("performance")}
        with (session / "log.jsonl").open("ab") as log_file:
            log_file.write(b"".join(map(line_of, [opened, *map(event_of, said)])))


def line_of(event: dict[str, Any]) -> bytes:
    """One event as a line of the log."""
    return json.dumps(event).encode() + b"\n"


class Journal:
    """performance: this one's mark (engine/shm.py), for whoever reads a folder of several."""

    def __init__(self, folder: Path, session: Path | None, performance: str | None = None) -> None:
        self._state = folder / "conductor.json"
        self._log = LogWriter((session or folder) / "log.jsonl")
        self._last = ""
        self._full = False
        if performance is not None:
            self.write({"event": "log_opened", "frame": 0, "performance": performance})

    def load(self) -> dict[str, Any] | None:
        """What a predecessor left, or None. Unreadable: said, and begun anew."""
        if not self._state.exists():
            return None
        try:
            saved = json.loads(self._state.read_text())
        except ValueError as error:
            log.error("journal %s cannot be read (%s); beginning anew", self._state, error)
            return None
        return saved if isinstance(saved, dict) else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state, if it has changed."""
        text = json.dumps(state)
        if text == self._last:
            return
        temporary = self._state.with_suffix(".new")
        try:
            temporary.write_text(text)
            os.replace(temporary, self._state)
        except OSError as error:
            if not self._full:
                log.warning("the state cannot be written: %s", error)
            self._full = True
            return
        self._full = False
        self._last = text

    def write(self, event: dict[str, Any]) -> None:
        """One line; never waits for a disk."""
        self._log.write(line_of(event))

    def close(self) -> None:
        self._log.close()

"""The two ends of the line between the conductor and a process that makes stems for it (the pool,
capture): a Unix socket, one JSON object a line.

Such a process outlives a conductor and may be restarted under one. So it greets every conductor
with {"jobs": [...]}, the ids it knows of, and keeps what it has to say until somebody hears it.
Nothing here is real-time safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RETRY_S = 0.1
READ_BYTES = 1 << 16
LINE_MAX = 1 << 20
log = logging.getLogger("segue.jobs")

Message = dict[str, Any]


class JobServer:
    """The end of the process that makes stems: one conductor at a time, the newest. Blocks nowhere
    but in sending; `readers` are for select()."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(2)
        self._conductor: socket.socket | None = None
        self._partial = b""
        self._unsaid: list[Message] = []

    @property
    def readers(self) -> list[socket.socket]:
        return [s for s in (self._listener, self._conductor) if s is not None]

    def hear(self, ready: Iterable[Any], jobs: Callable[[], Iterable[int]]) -> list[Message]:
        """What the conductor asks. ready: of `readers`, those with something to read; jobs: ids of
        what is being made, for a conductor that is new."""
        ready = list(ready)
        if self._listener in ready:
            self._welcome(jobs())
            return []
        return self._read() if self._conductor in ready else []

    def say(self, message: Message) -> None:
        """With the next send()."""
        self._unsaid.append(message)

    def send(self) -> None:
        """Everything unsaid; without a conductor it is kept."""
        if self._conductor is None or not self._unsaid:
            return
        text = "".join(json.dumps(m) + "\n" for m in self._unsaid).encode()
        with contextlib.suppress(OSError):
            self._conductor.sendall(text)
            self._unsaid.clear()

    def close(self) -> None:
        for end in self.readers:
            end.close()

    def _welcome(self, jobs: Iterable[int]) -> None:
        if self._conductor is not None:
            self._conductor.close()
        self._conductor, _ = self._listener.accept()
        self._partial = b""
        self._unsaid = [m for m in self._unsaid if "job" in m]  # a greeting nobody heard is stale
        self._unsaid.insert(0, {"jobs": [*jobs, *(m["job"] for m in self._unsaid)]})

    def _read(self) -> list[Message]:
        assert self._conductor is not None
        try:
            data = self._conductor.recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._conductor.close()
            self._conductor = None
            return []
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [json.loads(line) for line in lines]


class JobLink:
    """The conductor's end, in asyncio. known: told the ids the other end knows, after each
    connection; heard: told every message that follows."""

    def __init__(
        self, name: str, known: Callable[[set[int]], None], heard: Callable[[Message], None]
    ) -> None:
        self._name, self._known, self._heard = name, known, heard
        self._writer: asyncio.StreamWriter | None = None

    def send(self, messages: list[Message]) -> None:
        """Say them and empty the list; without a connection they stay in it."""
        if self._writer is not None:
            for message in messages:
                self._writer.write(json.dumps(message).encode() + b"\n")
            messages.clear()

    async def keep(self, path: Path) -> None:
        """Connect, again and again."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path, limit=LINE_MAX)
                self._known(set(json.loads(await reader.readline())["jobs"]))
                self._writer = writer
                while line := await reader.readline():
                    self._heard(json.loads(line))
            except (OSError, ValueError, KeyError) as error:
                log.debug("%s: %s", self._name, error)
            self._writer = None
            await asyncio.sleep(RETRY_S)

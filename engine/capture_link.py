"""The conductor's side of `capture.sock` (engine/capture_host.py): requests out, events in.
asyncio; nothing here blocks."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

from engine.conductor import Conductor

RETRY_S = 0.1
GONE = "what was remembered is gone: the capture process was started anew"
log = logging.getLogger("segue.capture")


class CaptureLink:
    """now: the present frame."""

    def __init__(self, conductor: Conductor, now: Callable[[], int]) -> None:
        self._conductor, self._now = conductor, now
        self._writer: asyncio.StreamWriter | None = None

    def send(self) -> None:
        """What the conductor asked for since the last call; without a connection it waits."""
        if self._writer is not None:
            for message in self._conductor.book.captures_asked:
                self._writer.write(json.dumps(message).encode() + b"\n")
            self._conductor.book.captures_asked.clear()

    async def keep(self, path: Path) -> None:
        """Connect, again and again. Jobs that a restarted process does not know have failed."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path)
                hello = json.loads(await reader.readline())
                self._forget(set(hello["jobs"]))
                self._writer = writer
                while line := await reader.readline():
                    self._conductor.book.pool_event(json.loads(line), self._now())
            except (OSError, ValueError, KeyError) as error:
                log.debug("capture: %s", error)
            self._writer = None
            await asyncio.sleep(RETRY_S)

    def _forget(self, known: set[int]) -> None:
        book = self._conductor.book
        known |= {m["job"] for m in book.captures_asked}
        for entry in list(book.entries.values()):
            if entry.source and entry.state.value == "requested" and entry.id not in known:
                event = {"job": entry.id, "event": "failed", "reason": GONE}
                book.pool_event(event, self._now())

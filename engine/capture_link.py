"""The conductor's side of `capture.sock` (engine/capture_host.py): requests out, events in.
asyncio; nothing here blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.conductor import Conductor
from engine.job_socket import JobLink, Message

GONE = "what was remembered is gone: the capture process was started anew"


class CaptureLink:
    """now: the present frame."""

    def __init__(self, conductor: Conductor, now: Callable[[], int]) -> None:
        self._conductor, self._now = conductor, now
        self._link = JobLink("capture", self._forget, self._heard)

    def send(self) -> None:
        """What the conductor asked for since the last call; without a connection it waits."""
        self._link.send(self._conductor.book.captures_asked)

    async def keep(self, path: Path) -> None:
        """Connect, again and again. Jobs that a restarted process does not know have failed."""
        await self._link.keep(path)

    def _heard(self, event: Message) -> None:
        self._conductor.book.pool_event(event, self._now())

    def _forget(self, known: set[int]) -> None:
        book = self._conductor.book
        known |= {m["job"] for m in book.captures_asked}
        for entry in list(book.entries.values()):
            if entry.source and entry.state.value == "requested" and entry.id not in known:
                self._heard({"job": entry.id, "event": "failed", "reason": GONE})

"""Which notes sound, so that each on gets exactly one off, whatever happens in between.

Pure bookkeeping: no I/O, no clock. One thread. A note is known by (port, channel, key as played);
the ledger remembers what was *emitted* for it, so an off finds it after a change of transposition.
Ports are small integers chosen by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

IDS = 1 << 32  # note ids wrap like the u4 field they travel in


@dataclass(frozen=True, slots=True)
class Held:
    """A sounding note. key: as emitted. played: as it came in. id: the emitter's number for it."""

    port: int
    channel: int
    played: int
    key: int
    id: int


class Ledger:
    """Sounding notes by (port, channel, played key)."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int, int], Held] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(tuple(self._held.values()))

    def on(self, port: int, channel: int, played: int, key: int) -> tuple[Held, Held | None]:
        """Enter a note; return it and the one it replaces, whose off must be sent first."""
        replaced = self._held.pop((port, channel, played), None)
        note = Held(port, channel, played, key, self._next_id)
        self._next_id = (self._next_id + 1) % IDS or 1
        self._held[(port, channel, played)] = note
        return note, replaced

    def off(self, port: int, channel: int, played: int) -> Held | None:
        """Strike a note out; None when it does not sound (an off without an on)."""
        return self._held.pop((port, channel, played), None)

    def release(self, which: Callable[[Held], bool] = lambda note: True) -> list[Held]:
        """Strike out every note for which `which` holds and return them, oldest first."""
        gone = [note for note in self._held.values() if which(note)]
        for note in gone:
            del self._held[(note.port, note.channel, note.played)]
        return gone

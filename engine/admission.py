"""What enters a block: commands, notes and safe messages, taken from their rings in `forward`.

Notes wait in order of frame until their block; every producer has a ledger of what it sounds, so
that a successor (another epoch) starts from silence. Real-time safe: bounded work a block, and only
short-lived objects.
"""

from __future__ import annotations

import heapq

from engine.kernel import lib
from engine.layout import ALL_VOICES, MAX_VOICES, NoteKind
from engine.ring import Ring
from engine.sampler import VoiceEvent

PENDING_MAX = 4096
NOTES_A_BLOCK = 128

Due = tuple[int, int, int, int, int, int, int]  # frame, order, voice, kind, key, velocity, value


class NoteIntake:
    """One producer's notes. `held` maps (voice, key) to velocity: what this producer sounds."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.held: dict[tuple[int, int], int] = {}
        self.epoch = ring.epoch
        self._header = ring.pointer
        self._pending: list[Due] = []
        self._order = 0

    def release(self) -> list[Due]:
        """Offs for everything held; what waits is dropped."""
        self._pending.clear()
        offs: list[Due] = [(0, 0, v, NoteKind.OFF, k, 0, 0) for v, k in self.held]
        self.held.clear()
        return offs

    def take(self, until: int, due: list[Due]) -> None:
        """Append events with frame < until, in order."""
        self._renew(due)
        if lib.seg_ring_count(self._header):
            for n in self.ring.pop(NOTES_A_BLOCK).tolist():
                self._admit(n, due)
        while self._pending and self._pending[0][0] < until:
            self._book(heapq.heappop(self._pending), due)

    def _renew(self, due: list[Due]) -> None:
        """A new producer has taken over: what the old one left is released."""
        epoch = self._header.epoch
        if epoch != self.epoch:
            self.epoch = epoch
            due.extend(self.release())

    def _admit(self, n: tuple, due: list[Due]) -> None:
        frame, _, value, epoch, voice, kind, _, key, velocity, _ = n
        self._renew(due)
        sane = key < 128 and velocity < 128 and (voice < MAX_VOICES or voice == ALL_VOICES)
        if sane and epoch == self.epoch and len(self._pending) < PENDING_MAX:
            self._order += 1
            event = (frame, self._order, voice, kind, key, velocity, value)
            heapq.heappush(self._pending, event)

    def _book(self, event: Due, due: list[Due]) -> None:
        frame, order, voice, kind, key, velocity, _ = event
        if kind == NoteKind.ON and velocity:
            if (voice, key) in self.held:
                due.append((frame, order, voice, NoteKind.OFF, key, 0, 0))
            self.held[voice, key] = velocity
            due.append(event)
        elif kind in (NoteKind.OFF, NoteKind.ON):
            if self.held.pop((voice, key), None) is not None:
                due.append((frame, order, voice, NoteKind.OFF, key, 0, 0))
        elif kind == NoteKind.ALL_OFF:
            for v, k in list(self.held):
                if voice in (v, ALL_VOICES):
                    del self.held[v, k]
                    due.append((frame, order, v, NoteKind.OFF, k, 0, 0))
        else:
            due.append(event)


def by_voice(due: list[Due], t: int, n: int, voices: int) -> list[list[VoiceEvent]]:
    """Sort into one list a voice; late events get offset 0, which is now."""
    events: list[list[VoiceEvent]] = [[] for _ in range(voices)]
    for frame, _, voice, kind, key, velocity, value in sorted(due):
        if voice < voices:
            events[voice].append((min(max(0, frame - t), n - 1), kind, key, velocity, value))
    return events

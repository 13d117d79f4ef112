"""The queue of the conductor's book of stems: what a hand lets in, takes back, retires or keeps,
and the boundary each of them waits for. Pure; see engine/stem_book.py."""

from __future__ import annotations

from dataclasses import dataclass

from engine.stem import StemState
from engine.stem_orders import STOP_FADE_FRAMES, StemOrders
from engine.timeline import Boundary, Timeline

LATEST_S = 0.06  # a boundary nearer than this is left to the next one
_S = StemState


@dataclass
class StemQueue(StemOrders):
    """Hands: each method says whether it did what was asked."""

    def enqueue(self, id_: int, line: Timeline, now: int) -> bool:
        """Let a ready (or done) stem in at its role's boundary. False: it is neither."""
        entry = self.entries.get(id_)
        if entry is None or entry.state not in (_S.READY, _S.DONE):
            return False
        for other in self.of(entry.role, _S.QUEUED):
            if not other.sent:
                self.unqueue(other.id, now)
        entry.become(_S.QUEUED)
        entry.sent, entry.stop_frame = False, 0
        entry.beat = self._next_beat(entry.role, line, now)
        self._say(entry, now)
        return True

    def unqueue(self, id_: int, now: int) -> bool:
        entry = self.entries.get(id_)
        if entry is None or entry.state is not _S.QUEUED or entry.sent:
            return False
        entry.become(_S.READY)
        entry.beat = None
        self._say(entry, now)
        return True

    def enter(self, role: str, line: Timeline, now: int) -> bool:
        """The freshest ready stem of a role; False when there is none."""
        if self.of(role, _S.QUEUED):
            return True
        ready = self.of(role, _S.READY) or self.of(role, _S.DONE)
        return bool(ready) and self.enqueue(ready[0].id, line, now)

    def leave(self, role: str, line: Timeline, now: int) -> bool:
        """Stop what plays at the role's boundary, and drop what waits. False: neither."""
        waiting = self.of(role, _S.QUEUED)
        for entry in waiting:
            if not self.unqueue(entry.id, now) and not entry.stop_frame:
                # Cut short at once what has no sample out yet; READY again when that is answered.
                soon = entry.start_frame - now < LATEST_S * line.rate / 2
                self._stop(entry, now, STOP_FADE_FRAMES if soon else 1)
        playing = self.playing(role)
        if playing is None:
            return bool(waiting)
        playing.become(_S.RETIRING)
        playing.beat, playing.sent = self._next_beat(role, line, now), False
        self._say(playing, now)
        return True

    def keep(self, id_: int, now: int) -> bool:
        """A stem that was to stop plays on, if that was not sent yet."""
        entry = self.entries.get(id_)
        if entry is None or entry.state is not _S.RETIRING or entry.sent:
            return False
        entry.become(_S.PLAYING)
        entry.beat, entry.stop_frame = None, 0
        self._say(entry, now)
        return True

    def panic(self, now: int) -> None:
        for entry in self.entries.values():
            if entry.state is _S.QUEUED and not entry.sent:
                self.unqueue(entry.id, now)

    def _next_beat(self, role: str, line: Timeline, now: int) -> float:
        boundary = Boundary(self.patch.roles[role].enter)
        soon = now + round(LATEST_S * line.rate)
        for other in self.of(role, _S.QUEUED):
            if other.sent:  # it can no longer be called back: the next one comes after it
                soon = max(soon, other.start_frame + 1)
        frame = line.next_boundary(soon, boundary)
        return round(line.beat_at(frame) * 1000) / 1000

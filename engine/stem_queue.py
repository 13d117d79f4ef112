"""The queue of the conductor's book of stems: what a hand lets in, takes back, retires or keeps,
and the boundary each of them waits for. Pure; see engine/stem_book.py."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.stem import Play, StemState
from engine.stem_entry import StemEntry
from engine.stem_orders import STOP_FADE_FRAMES, StemOrders
from engine.timeline import Boundary, Timeline

LATEST_S = 0.06  # a boundary nearer than this is left to the next one
_S = StemState
_SOUNDING = (_S.PLAYING, _S.RETIRING)


@dataclass
class StemQueue(StemOrders):
    """Hands: each method says whether it did what was asked. at: the boundary to wait for, None:
    the role's own. The programme's: not_before, a beat: nothing enters in a count-in; closed: what
    waits goes on waiting (standby)."""

    not_before: float | None = None
    closed: bool = False

    def open(self, line: Timeline, now: int) -> None:
        """What has waited behind a standby waits for its boundary from here, maybe on another
        line."""
        self.closed = False
        for entry in self.entries.values():
            if entry.state is _S.QUEUED and not entry.sent:
                self._plan(entry, line, now)

    def enqueue(
        self,
        id_: int,
        line: Timeline,
        now: int,
        at: Boundary | None = None,
        play: Play | None = None,
    ) -> bool:
        """Let a ready (or done) stem in, in place of what else of its choke groups waits. play: how
        this time. False: it is neither, or was made for another song or scene."""
        entry = self.entries.get(id_)
        if entry is None or entry.state not in (_S.READY, _S.DONE) or not self.fits(entry):
            return False
        for other in self.rivals(entry):
            if other.state is _S.QUEUED and not other.sent:
                self.unqueue(other.id, now)
        entry.become(_S.QUEUED)
        entry.sent, entry.stop_frame, entry.held = False, 0, False
        entry.at, entry.turn = at, play or entry.play
        if self.closed and self.at_once(entry):
            entry.at = Boundary.BEAT
        self._plan(entry, line, now)
        self._say(entry, now)
        return True

    def unqueue(self, id_: int, now: int) -> bool:
        entry = self.entries.get(id_)
        if entry is None or entry.state is not _S.QUEUED or entry.sent:
            return False
        entry.become(_S.READY)
        entry.beat = entry.until = None
        self._say(entry, now)
        return True

    def enter(self, role: str, line: Timeline, now: int, at: Boundary | None = None) -> bool:
        """The freshest ready stem of a role; False when there is none."""
        if self.of(role, _S.QUEUED):
            return True
        ready = self.ready(role)
        return bool(ready) and self.enqueue(ready[0].id, line, now, at)

    def leave(self, role: str, line: Timeline, now: int, at: Boundary | None = None) -> bool:
        """Stop what plays at the role's boundary, and drop what waits. False: neither."""
        waiting = self.of(role, _S.QUEUED)
        for entry in waiting:
            if not self.unqueue(entry.id, now) and not entry.stop_frame:
                # Cut short at once what has no sample out yet; READY again when that is answered.
                soon = entry.start_frame - now < LATEST_S * line.rate / 2
                self._stop(entry, now, STOP_FADE_FRAMES if soon else 1)
        playing = self.of(role, _S.PLAYING)
        for entry in playing:
            entry.become(_S.RETIRING)
            entry.beat, entry.sent = self._leaving_beat(role, line, now, at), False
            self._say(entry, now)
        if at is not None:  # sooner or later than it was told before, if there is still time
            for entry in self.of(role, _S.RETIRING):
                if not entry.sent:
                    entry.beat = self._leaving_beat(role, line, now, at)
        return bool(waiting or playing)

    def keep(self, id_: int, now: int) -> bool:
        """A stem that was to stop plays on, if that was not sent yet."""
        entry = self.entries.get(id_)
        if entry is None or entry.state is not _S.RETIRING or entry.sent:
            return False
        entry.become(_S.PLAYING)
        entry.beat, entry.stop_frame = None, 0
        self._say(entry, now)
        return True

    def release(self, role: str) -> None:
        """A hand asks for a role: what is held of it may enter."""
        for entry in self.of(role, _S.READY):
            entry.held = False

    def panic(self, now: int) -> None:
        for entry in self.entries.values():
            if entry.state is _S.QUEUED and not entry.sent:
                self.unqueue(entry.id, now)

    def ending(self) -> StemEntry | None:
        """The stem that ends the song, once it waits or plays."""
        states = (_S.QUEUED, *_SOUNDING)
        ends = (e for e in self.entries.values() if e.turn is Play.ENDING and e.state in states)
        return next(ends, None)

    # ---- boundaries

    def _plan(self, entry: StemEntry, line: Timeline, now: int) -> None:
        """Set the beat where a queued stem begins, and where one that plays once ends."""
        boundary = entry.at or Boundary(self.patch.roles[entry.role].enter)
        soon = now + round(LATEST_S * line.rate)
        if self.not_before is not None:
            soon = max(soon, line.frame_at(self.not_before))
        for other in self.rivals(entry):
            if other.state is _S.QUEUED and other.sent:
                # it can no longer be called back: the next one comes after it
                soon = max(soon, other.start_frame + 1)
        grid = line.beats_of(boundary)
        if boundary is Boundary.NOW:
            entry.beat = line.beat_at(now)
        elif entry.turn is Play.FILL and entry.beats:
            soonest = line.beat_at(soon) + entry.beats
            entry.beat = math.ceil(soonest / grid - 1e-9) * grid - entry.beats
        else:
            frame = line.next_boundary(soon, boundary)
            entry.beat = round(line.beat_at(frame) * 1000) / 1000
        once = entry.turn is not Play.LOOP and entry.beats > 0
        entry.until = entry.beat + entry.beats if once else None

    def _leaving_beat(self, role: str, line: Timeline, now: int, at: Boundary | None) -> float:
        settings = self.patch.roles[role]
        boundary = at or Boundary(settings.leave or settings.enter)
        if boundary is Boundary.NOW:
            return line.beat_at(now)
        soon = now + round(LATEST_S * line.rate)
        return round(line.beat_at(line.next_boundary(soon, boundary)) * 1000) / 1000

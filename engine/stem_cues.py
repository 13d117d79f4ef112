"""The book of stems at a song's or scene's boundary: in and out on a given beat, and out at once.
Pure; see engine/stem_book.py."""

from __future__ import annotations

from dataclasses import dataclass

from engine.stem import Play, StemState
from engine.stem_entry import StemEntry
from engine.stem_orders import STOP_FADE_FRAMES
from engine.stem_queue import StemQueue
from engine.timeline import Boundary, Timeline

_S = StemState


@dataclass
class StemCues(StemQueue):
    """The programme's: see engine/programme_change.py."""

    def enter_at(
        self, role: str, line: Timeline, now: int, beat: float, anchor: float | None = None
    ) -> bool:
        """The freshest fitting stem of a role, at a beat of the line (anchor: which beat that is of
        the line that begins there). False: none is ready."""
        if any(not e.stop_frame for e in self.of(role, _S.QUEUED)):
            return True
        ready = self.ready(role)
        if ready and not ready[0].variation and not ready[0].stretch_of:
            self._settle(ready[0])
        if not ready or not self.enqueue(ready[0].id, line, now, Boundary.PHRASE):
            return False
        entry = ready[0]
        self._place_at(entry, beat, anchor)
        return True

    def end_with(self, id_: int, line: Timeline, now: int, beat: float) -> bool:
        """A ready stem, as the song's ending, at a beat of the line."""
        if not self.enqueue(id_, line, now, Boundary.PHRASE, Play.ENDING):
            return False
        self._place_at(self.entries[id_], beat)
        return True

    @staticmethod
    def _place_at(entry: StemEntry, beat: float, anchor: float | None = None) -> None:
        if entry.until is not None:
            entry.until = (beat if anchor is None else anchor) + entry.beats
        entry.beat, entry.anchor = beat, anchor

    def leave_at(self, role: str, line: Timeline, now: int, beat: float) -> None:
        """Stop what plays at a beat of the line, and drop what waits."""
        self.leave(role, line, now)
        for entry in self.of(role, _S.RETIRING):
            if not entry.sent:
                entry.beat = beat

    def cut(self, role: str, now: int) -> None:
        """Stop and drop everything of a role at once (it is silent already, or fades)."""
        for entry in self.of(role, _S.QUEUED):
            if not self.unqueue(entry.id, now) and not entry.stop_frame:
                self._stop(entry, now, STOP_FADE_FRAMES)
        for entry in self.of(role, _S.PLAYING, _S.RETIRING):
            if entry.state is _S.PLAYING:
                entry.become(_S.RETIRING)
                self._say(entry, now)
            if not (entry.sent and entry.stop_frame <= now):
                self._stop(entry, now, STOP_FADE_FRAMES)
                entry.sent = True

"""The conductor's book of stems: what was asked for, what is ready, what plays, what comes next.

Pure: frames and a Timeline in, requests for the pool and commands for the audio process out. One
writer, the conductor; everything in it goes to the journal and comes back (to_dict, from_dict).

A stem is sent to the audio process once its boundary is less than SEND_BEATS away; until then its
place follows the timeline. From then on its frame is fixed; what plays follows the timeline in the
audio process itself (engine/slices.py).
What the audio process was told and never spoke of (it died with the command) is tried again after
LOST_S. engine/stem_recovery.py compares a journal with what really sounds.

In layers, each a module: engine/stem_shelf.py (requests, arena), engine/stem_orders.py (commands to
the audio process), engine/stem_queue.py (hands), and here time and the audio process's answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.stem import StemState
from engine.stem_entry import StemEntry
from engine.stem_orders import CHANGE_FADE_FRAMES, STOP_FADE_FRAMES
from engine.stem_queue import LATEST_S, StemQueue
from engine.timeline import Timeline

SEND_BEATS = 1.0
LOST_S = 3.0  # longer than the audio process takes to come back
_S = StemState


@dataclass
class StemBook(StemQueue):
    """The whole book: time moves it, the audio process answers it."""

    # ---- time

    def advance(self, line: Timeline, now: int) -> None:
        """Send what is due within SEND_BEATS, and again what was lost."""
        for entry in list(self.entries.values()):
            due = entry.stop_frame if entry.state is _S.RETIRING else entry.start_frame
            if entry.sent and now - due > LOST_S * line.rate:
                self._lost(entry, line, now)
            elif entry.state is _S.QUEUED and not entry.sent:
                self._arm(entry, line, now)
            elif (
                entry.state is _S.RETIRING
                and not entry.sent
                and entry.beat is not None
                and line.frame_at(entry.beat) - now < SEND_BEATS * line.frames_per_beat
            ):
                self._stop(entry, max(line.frame_at(entry.beat), now), STOP_FADE_FRAMES)
                entry.sent = True

    def _arm(self, entry: StemEntry, line: Timeline, now: int) -> None:
        assert entry.beat is not None
        frame = line.frame_at(entry.beat)
        if frame - now > SEND_BEATS * line.frames_per_beat:
            return
        if frame - now < LATEST_S * line.rate / 2:
            entry.beat = self._next_beat(entry.role, line, now)
            return
        if any(e.sent for e in self.of(entry.role, _S.QUEUED)):
            return
        voice = self._free_voice()
        if voice is None:
            return
        for other in self.of(entry.role, _S.PLAYING, _S.RETIRING):
            if other.state is _S.PLAYING:
                other.become(_S.RETIRING)
            elif other.sent and other.stop_frame <= frame:
                continue  # it ends before that: do not hold it longer
            self._stop(other, frame, CHANGE_FADE_FRAMES)
            other.sent = True
        entry.voice, entry.start_frame, entry.sent = voice, frame, True
        self._play(entry, line)

    def _lost(self, entry: StemEntry, line: Timeline, now: int) -> None:
        """The audio process never spoke of what it was told."""
        left = entry.stop_frame != 0
        self._stop(entry, now, STOP_FADE_FRAMES)
        if entry.state is _S.RETIRING:
            self.ended(entry.id, entry.voice, now)
        else:
            entry.stop_frame = int(left)
            self.refused(entry.id, entry.voice, line, now)

    # ---- what the audio process says

    def started(self, id_: int, frame: int) -> None:
        entry = self.entries.get(id_)
        if entry is None or entry.state is not _S.QUEUED:
            return
        entry.become(_S.PLAYING)
        entry.start_frame, entry.beat, entry.sent = frame, None, False
        self._say(entry, frame)
        if entry.stop_frame:  # it was told to stop before it was heard
            entry.become(_S.RETIRING)
            entry.sent = True
            self._say(entry, frame)

    def ended(self, id_: int, voice: int, frame: int) -> None:
        """voice: the slot that fell silent; a stem that was let in again plays in another."""
        entry = self.entries.get(id_)
        if entry is None or entry.voice != voice:
            return
        if entry.state is _S.QUEUED:
            entry.become(_S.READY)
        elif entry.state in (_S.PLAYING, _S.RETIRING):
            entry.become(_S.DONE)
        self._put_away(entry, frame)

    def _put_away(self, entry: StemEntry, frame: int) -> None:
        entry.voice, entry.beat, entry.sent, entry.stop_frame = -1, None, False, 0
        self._say(entry, frame)

    def refused(self, id_: int, voice: int, line: Timeline, now: int, fits: bool = True) -> None:
        """Too late for its frame: the next boundary. fits False: it never can be played."""
        entry = self.entries.get(id_)
        if entry is None or entry.voice != voice or not entry.sent:
            return
        left = entry.stop_frame != 0
        if entry.state is not _S.QUEUED:
            return
        entry.become(_S.READY)
        self._put_away(entry, now)
        if not fits:
            entry.become(_S.REJECTED)
            entry.slot, entry.reason = -1, "does not fit the arena"
            self._say(entry, now)
        elif not left and not self.of(entry.role, _S.QUEUED):
            self.enqueue(entry.id, line, now)

"""The conductor's book of stems: what was asked for, what is ready, what plays, what comes next.

Pure: frames and a Timeline in, requests for the pool and commands for the audio process out. One
writer, the conductor; everything in it goes to the journal and comes back (to_dict, restore).

A stem is sent to the audio process once its boundary is less than SEND_BEATS away; until then its
place follows the timeline. From then on its frame is fixed; what plays follows the timeline in the
audio process itself (engine/slices.py).
What the audio process was told and never spoke of (it died with the command) is tried again after
LOST_S. engine/stem_recovery.py compares a journal with what really sounds.

In layers, each a module: engine/stem_shelf.py (what there is, arena), engine/stem_asking.py
(requests), engine/stem_orders.py (commands to the audio process), engine/stem_queue.py (hands),
engine/stem_cues.py (songs and scenes), and here time and the audio process's answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.stem import Play, StemState
from engine.stem_cues import StemCues
from engine.stem_entry import StemEntry
from engine.stem_orders import CHANGE_FADE_FRAMES, STOP_FADE_FRAMES
from engine.stem_queue import LATEST_S
from engine.timeline import Timeline

SEND_BEATS = 1.0
LOST_S = 3.0  # longer than the audio process takes to come back
_S = StemState


@dataclass
class StemBook(StemCues):
    """The whole book: time moves it, the audio process answers it. over: an ending was played to
    its end; whoever acts on it resets it."""

    over: bool = False

    # ---- time

    def advance(self, line: Timeline, now: int) -> None:
        """Send what is due within SEND_BEATS, and again what was lost."""
        for entry in list(self.entries.values()):
            due = entry.stop_frame if entry.state is _S.RETIRING else entry.start_frame
            if entry.sent and now - due > LOST_S * line.rate:
                self._lost(entry, line, now)
            elif entry.state is _S.QUEUED and not entry.sent and not self.closed:
                self._arm(entry, line, now)
            elif (
                entry.state is _S.RETIRING
                and not entry.sent
                and entry.beat is not None
                and line.frame_at(entry.beat) - now < SEND_BEATS * line.frames_per_beat
            ):
                self._stop(entry, max(line.frame_at(entry.beat), now), STOP_FADE_FRAMES)
                entry.sent = True
            elif entry.state is _S.PLAYING and entry.until is not None:
                self._end_turn(entry, entry.until, line, now)

    def _arm(self, entry: StemEntry, line: Timeline, now: int) -> None:
        assert entry.beat is not None
        at_once = self.at_once(entry)
        if at_once:  # it may have waited for a rival
            self._plan(entry, line, now)
        frame = now if at_once else line.frame_at(entry.beat)
        if frame - now > SEND_BEATS * line.frames_per_beat:
            return
        if not at_once and frame - now < LATEST_S * line.rate / 2:
            self._plan(entry, line, now)
            return
        rivals = self.rivals(entry)
        if any(e.sent for e in rivals if e.state is _S.QUEUED):
            return
        voice = self._free_voice()
        if voice is None:
            return
        if entry.turn is Play.ENDING:
            rivals = [e for e in self.entries.values() if e is not entry]
        for other in rivals:
            if entry.turn is Play.FILL and other.turn is Play.LOOP:
                assert entry.until is not None
                self.hush(other, 0 if at_once else frame, line.frame_at(entry.until))
            else:
                self._make_room(other, frame, at_once)
        entry.voice, entry.start_frame, entry.sent = voice, frame, True
        self._play(entry, line)

    def _make_room(self, other: StemEntry, frame: int, at_once: bool) -> None:
        """Stop a stem where another begins, or keep it from beginning then."""
        if other.state is _S.QUEUED:
            if not other.sent:
                self.unqueue(other.id, frame)
            elif not other.stop_frame:
                self._stop(other, max(frame, other.start_frame), CHANGE_FADE_FRAMES)
        elif other.state in (_S.PLAYING, _S.RETIRING):
            if other.state is _S.PLAYING:
                other.become(_S.RETIRING)
            elif other.sent and other.stop_frame <= frame:
                return  # it ends before that: do not hold it longer
            self._stop(other, frame, CHANGE_FADE_FRAMES, at_once)
            other.sent = True

    def _end_turn(self, entry: StemEntry, beat: float, line: Timeline, now: int) -> None:
        """What plays once is gone at a beat, faded: it may have been made to go on. Told late, so
        that the tempo of then decides. What a fill covered goes on from there."""
        until = line.frame_at(beat)
        if entry.sent or until - now > SEND_BEATS * line.frames_per_beat / 2:
            return
        entry.become(_S.RETIRING)
        entry.beat, entry.sent = beat, True
        self._stop(entry, max(until - CHANGE_FADE_FRAMES, now), CHANGE_FADE_FRAMES)
        self._say(entry, now)

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
        if entry.beat is not None:
            entry.began = entry.beat if entry.anchor is None else entry.anchor
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
            if entry.turn is Play.ENDING:
                self.over = True
            entry.become(_S.DONE)
        self._lift(entry, frame)
        self._put_away(entry, frame)

    def _lift(self, entry: StemEntry, frame: int) -> None:
        """A fill that is over before its time, or never was, covers nothing any more."""
        if entry.turn is Play.FILL and not entry.stop_frame:
            self._uncover(entry, frame)

    def _put_away(self, entry: StemEntry, frame: int) -> None:
        entry.voice, entry.beat, entry.sent, entry.stop_frame = -1, None, False, 0
        entry.until = entry.anchor = None
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
        self._lift(entry, now)
        self._put_away(entry, now)
        if not fits:
            entry.become(_S.REJECTED)
            entry.slot, entry.variation, entry.reason = -1, 0, "does not fit the arena"
            self._say(entry, now)
        elif not left and not self.of(entry.role, _S.QUEUED):
            self.enqueue(entry.id, line, now, entry.at, entry.turn)

"""What enters a block: commands, notes and safe messages, taken from their rings in `forward`.

Notes wait in order of frame until their block; every producer has a ledger of what it sounds, so
that a successor (another epoch) starts from silence. Real-time safe: bounded work a block, and only
short-lived objects.
"""

from __future__ import annotations

import heapq

import numpy as np

from engine.admitted import AdmissionLog, AdmittedKind
from engine.kernel import lib
from engine.layout import ALL_VOICES, MAX_VOICES, NoteKind
from engine.ring import Ring
from engine.sampler import VoiceEvent
from engine.state import INTAKE
from engine.voice_memory import BEND_MIDDLE, SUSTAIN, SUSTAINED_FROM

PENDING_MAX = 4096
NOTES_A_BLOCK = 128
BEFORE_ALL = -(2**62)  # the frame of a release: ahead of whatever follows it
LATE_KEPT = 4  # late notes that are told of, a producer and block
VALUE_MAX = 16383
U64_MAX = 2**64 - 1

Due = tuple[int, int, int, int, int, int, int]  # frame, order, voice, kind, key, velocity, value


class NoteIntake:
    """One producer's notes. `held` maps (voice, key) to velocity: what this producer sounds;
    `pedals` and `bent` are the voices whose pedal is down and whose wheel is turned by it.
    place: its INTAKE record in the state (engine/state.py), from which a successor goes on.
    late: (frame, voice) of notes that came too late; dropped: how many came to nothing. trouble:
    there are any of either; whoever tells of them calls told()."""

    def __init__(
        self,
        ring: Ring,
        place: np.ndarray | None = None,
        log: AdmissionLog | None = None,
        which: int = 0,
    ) -> None:
        self.ring = ring
        self._log, self._which = log, which
        self._place = np.zeros((), INTAKE) if place is None else place
        self.held: dict[tuple[int, int], int] = {}
        self.pedals: set[int] = set()
        self.bent: set[int] = set()
        self.epoch = ring.epoch
        self._header = ring.pointer
        self._pending: list[Due] = []
        self._order = 0
        self.trouble = False
        self.late: list[tuple[int, int]] = []
        self.dropped = 0
        self._refused = self._header.dropped
        self._back = False  # a successor's, before its first block

    def told(self) -> None:
        self.trouble, self.dropped = False, 0
        self.late.clear()

    def _drop(self, count: int) -> None:
        self.dropped += count
        self.trouble = self.trouble or count > 0

    def mark(self) -> None:
        """Note the place. Called at a fresh start; then it is kept by take()."""
        self._place["read"], self._place["epoch"] = self._header.read, self.epoch

    def skip(self, t: int) -> None:
        """Drop the notes that wait: they were meant for a time before our first block, at t.
        Programs, controllers and bends stay. Not real-time safe."""
        records = self.ring.pop(self.ring.capacity)
        kept = np.isin(records["kind"], (NoteKind.CC, NoteKind.BEND, NoteKind.PROGRAM))
        if kept.any():
            self.take_again(records[kept], t)
        self.mark()

    def resume(self, t: int, held: dict[tuple[int, int], int]) -> None:
        """Go on from the snapshot in `place`, which stopped before frame t with `held` sounding:
        what the predecessor took and had not sounded by then is taken again. Not real-time safe."""
        read = int(self._place["read"])
        self.epoch, self.held, self._back = int(self._place["epoch"]), held, True
        first, records = self.ring.taken()
        places = np.arange(first, first + len(records))
        mine = ((places >= read) | (records["frame"] >= t)) & (records["epoch"] == self.epoch)
        self.take_again(records[mine], t)

    def take_again(self, records: np.ndarray, t: int) -> None:
        """Notes that the predecessor took and had not sounded before frame t."""
        if self._log is not None:
            self._log.note(AdmittedKind.NOTES_AGAIN, self._which, t, records)
        due: list[Due] = []
        for record in records.tolist():
            self._put(record, due)

    def release(self) -> list[Due]:
        """Offs for everything held, pedals up, wheels in the middle; what waits is dropped."""
        self._pending.clear()
        offs: list[Due] = []
        self._let_go(ALL_VOICES, BEFORE_ALL, 0, offs)
        return offs

    def _let_go(self, voice: int, frame: int, order: int, due: list[Due]) -> None:
        """Of one voice or all: notes off, pedal up, wheel in the middle."""
        for v, k in [held for held in self.held if voice in (held[0], ALL_VOICES)]:
            del self.held[v, k]
            due.append((frame, order, v, NoteKind.OFF, k, 0, 0))
        for v in [v for v in self.pedals if voice in (v, ALL_VOICES)]:
            self.pedals.discard(v)
            due.append((frame, order, v, NoteKind.CC, SUSTAIN, 0, 0))
        for v in [v for v in self.bent if voice in (v, ALL_VOICES)]:
            self.bent.discard(v)
            due.append((frame, order, v, NoteKind.BEND, 0, 0, BEND_MIDDLE))

    def take(self, until: int, due: list[Due], late: int = BEFORE_ALL) -> None:
        """Append events with frame < until, in order. late: notes for frames before this one are
        told of as late."""
        most = self.ring.capacity if self._back else NOTES_A_BLOCK
        records = self.ring.pop(most) if lib.seg_ring_count(self._header) else None
        self._renew(self._header.epoch, until, due)  # read once: the log can tell what it was
        if records is not None:
            if self._log is not None:
                self._log.note(AdmittedKind.NOTES, self._which, until, records)
            for n in records.tolist():
                if n[3] == self.epoch:
                    self._put(n, due)
            self.mark()
            if self._header.dropped != self._refused:
                self._drop(int(self._header.dropped - self._refused) & U64_MAX)
                self._refused = self._header.dropped
        if self._back:
            self._back = False
            self._leave_out(late)
        while self._pending and self._pending[0][0] < until:
            event = heapq.heappop(self._pending)
            if event[0] < late and event[3] == NoteKind.ON and len(self.late) < LATE_KEPT:
                self.late.append((event[0], event[2]))
                self.trouble = True
            self._book(event, due)

    def _leave_out(self, before: int) -> None:
        """Forget notes that began and ended before a frame, while nobody played: all at once they
        would be a chord that nobody struck. What is held still sounds, late."""
        kept: dict[int, Due] = {}
        begun: dict[tuple[int, int], int] = {}  # by voice and key, the order of what began it
        for event in sorted(self._pending):
            frame, order, voice, kind, key, velocity, _ = event
            kept[order] = event
            if frame >= before or kind not in (NoteKind.ON, NoteKind.OFF, NoteKind.ALL_OFF):
                continue
            ends = [k for k in begun if voice in (k[0], ALL_VOICES)]
            if kind != NoteKind.ALL_OFF:
                ends = [k for k in ends if k == (voice, key)]
            for ended in ends:
                del kept[begun.pop(ended)]
            if kind == NoteKind.ON and velocity:
                begun[voice, key] = order
        self._pending = sorted(kept.values())

    def _renew(self, epoch: int, t: int, due: list[Due]) -> None:
        """A new producer has taken over: what the old one left is released."""
        if epoch != self.epoch:
            if self._log is not None:
                self._log.epoch(self._which, t, epoch)
            self.epoch = epoch
            due.extend(self.release())
            self.mark()

    def _put(self, n: tuple, due: list[Due]) -> None:
        frame, _, value, _, voice, kind, _, key, velocity, _ = n
        sane = key < 128 and velocity < 128 and (voice < MAX_VOICES or voice == ALL_VOICES)
        if not sane or not 0 <= value <= VALUE_MAX:
            self._drop(1)
            return
        if len(self._pending) >= PENDING_MAX:  # what cannot wait may be an off: begin anew
            self._drop(len(self._pending))
            due.extend(self.release())
        self._order += 1
        heapq.heappush(self._pending, (frame, self._order, voice, kind, key, velocity, value))

    def _book(self, event: Due, due: list[Due]) -> None:
        frame, order, voice, kind, key, velocity, value = event
        if kind == NoteKind.ON and velocity:
            if (voice, key) in self.held:
                due.append((frame, order, voice, NoteKind.OFF, key, 0, 0))
            self.held[voice, key] = velocity
            due.append(event)
        elif kind in (NoteKind.OFF, NoteKind.ON):
            if self.held.pop((voice, key), None) is not None:
                due.append((frame, order, voice, NoteKind.OFF, key, 0, 0))
        elif kind == NoteKind.ALL_OFF:
            self._let_go(voice, frame, order, due)
        else:
            if kind == NoteKind.BEND:
                (self.bent.discard if value == BEND_MIDDLE else self.bent.add)(voice)
            elif kind == NoteKind.CC and key == SUSTAIN:
                (self.pedals.add if value >= SUSTAINED_FROM else self.pedals.discard)(voice)
            due.append(event)


def by_voice(due: list[Due], t: int, n: int, voices: int) -> list[list[VoiceEvent]]:
    """Sort into one list a voice; late events get offset 0, which is now."""
    events: list[list[VoiceEvent]] = [[] for _ in range(voices)]
    for frame, _, voice, kind, key, velocity, value in sorted(due):
        if voice < voices:
            events[voice].append((min(max(0, frame - t), n - 1), kind, key, velocity, value))
    return events

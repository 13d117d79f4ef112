"""Stems played as MIDI: the notes of a role with a `voice`, each at its own beat of the timeline.

A MIDI stem has an audio stem's life: the audio process plays its slot of the arena unheard (at gain
0) from boundary to boundary and reports it. Its notes lie in that slot (`store`), and the conductor
sends each to the voice LOOK_AHEAD_S before it is due, at frame_at(its beat), so every change of
tempo is followed note by note. Each leaves together with its end: whoever dies, nothing hangs. What
was sent and is stopped before its end gets another end at the stop.

Not real-time safe; a successor of the conductor goes on with the next note.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from engine.layout import NOTE, NoteKind
from engine.patch import Patch
from engine.shm import Shared
from engine.stem import Play, StemNote, StemState
from engine.stem_book import StemBook
from engine.stem_entry import StemEntry
from engine.timeline import Timeline

RING = "stem_notes"
LOOK_AHEAD_S = 0.03
LATE_BEATS = 0.25  # what was due longer ago than this is left out: the line has leapt
HELD = 0.97  # of its length: with the tempo rising, its end is still before the key's next note
COLUMNS = 4  # of a stored note: start, duration (beats), key, velocity
_S = StemState


def has_midi(patch: Patch) -> bool:
    """Whether any role is played by a voice."""
    return any(role.voice for role in patch.roles.values())


def store(shared: Shared, slot: int, frames: int, notes: list[StemNote]) -> None:
    """Put notes into a slot of 2 * `frames` floats, in place of audio; what does not fit is left
    out."""
    base = slot * shared.slot_frames * 2
    area = shared.arena[base : base + 2 * frames]
    rows = [(n.start, n.duration, n.key, n.velocity) for n in notes[: (2 * frames - 1) // COLUMNS]]
    area[:] = 0.0
    area[0] = len(rows)
    area[1 : 1 + COLUMNS * len(rows)] = np.array(rows, np.float32).reshape(-1)


def stored(shared: Shared, slot: int, frames: int) -> np.ndarray:
    """What `store` put there: float64 (notes, COLUMNS), in order of start."""
    base = slot * shared.slot_frames * 2
    area = shared.arena[base : base + 2 * frames]
    count = min(int(area[0]), (2 * frames - 1) // COLUMNS)
    rows = area[1 : 1 + COLUMNS * count].reshape(count, COLUMNS).astype(np.float64)
    return rows[np.argsort(rows[:, 0], kind="stable")]


@dataclass
class _Part:
    """One stem that plays. sent: the beat up to which its notes are; sounding: ends by key."""

    voice: int
    notes: np.ndarray
    sent: float
    stopped: bool = False
    sounding: dict[int, int] = field(default_factory=dict)


class StemNotes:
    """The conductor's; pushes to RING."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._parts: dict[int, _Part] = {}
        self._ring = shared.ring(RING) if has_midi(shared.patch) else None

    def turn(
        self, book: StemBook, line: Timeline | None, now: int, coming: Timeline | None = None
    ) -> None:
        """Send what is due by now + LOOK_AHEAD_S. coming: the line that was told for a frame ahead,
        by which the stems play that begin there."""
        if self._ring is None or line is None:
            return
        playing = {e.id: e for e in book.entries.values() if _plays(e)}
        for id_ in [i for i in self._parts if i not in playing]:
            self._end(self._parts.pop(id_), now)
        here = line
        for entry in playing.values():
            ahead = coming is not None and entry.start_frame >= coming.frame
            line = coming if coming is not None and ahead else here
            part = self._parts.get(entry.id) or self._begin(entry, line, now)
            if entry.stop_frame and not part.stopped:
                part.stopped = True
                self._end(part, max(now, entry.stop_frame))
            self._send(book, entry, part, line, now)

    def _begin(self, entry: StemEntry, line: Timeline, now: int) -> _Part:
        voice = list(self._shared.patch.voices).index(self._shared.patch.roles[entry.role].voice)
        sent = _began(entry) if entry.state is _S.QUEUED else line.beat_at(now)
        part = _Part(voice, stored(self._shared, entry.slot, entry.frames), sent)
        self._parts[entry.id] = part
        return part

    def _send(
        self, book: StemBook, entry: StemEntry, part: _Part, line: Timeline, now: int
    ) -> None:
        until = line.beat_at(now + round(LOOK_AHEAD_S * line.rate))
        if part.sent > until + 1.0:  # the line went back
            part.sent = until
        since = max(part.sent, line.beat_at(now) - LATE_BEATS)
        if until <= since:
            return
        part.sent = until
        for beat, length, key, velocity in _due(entry, part.notes, since, until):
            frame = max(line.frame_at(beat), entry.start_frame)
            end = max(frame + 1, line.frame_at(beat + HELD * length))
            if entry.stop_frame and frame >= entry.stop_frame:
                continue
            if _covered(book, entry, beat):
                continue
            if entry.stop_frame:
                end = min(end, entry.stop_frame)
            self._push(part.voice, NoteKind.ON, frame, key, velocity)
            self._push(part.voice, NoteKind.OFF, end, key, 0)
            part.sounding[key] = end

    def _end(self, part: _Part, frame: int) -> None:
        """Whatever still sounds at a frame ends there."""
        for key, end in part.sounding.items():
            if end > frame:
                self._push(part.voice, NoteKind.OFF, frame, key, 0)
        part.sounding.clear()

    def _push(self, voice: int, kind: NoteKind, frame: int, key: int, velocity: int) -> None:
        assert self._ring is not None
        record = np.zeros(1, NOTE)
        record["frame"], record["kind"], record["voice"] = frame, kind, voice
        record["key"], record["velocity"], record["epoch"] = key, velocity, self._ring.epoch
        self._ring.push(record)


def _plays(entry: StemEntry) -> bool:
    sounds = entry.state in (_S.PLAYING, _S.RETIRING)
    return entry.midi and entry.voice >= 0 and (sounds or (entry.state is _S.QUEUED and entry.sent))


def _began(entry: StemEntry) -> float:
    """The beat of its first note, on the line that holds there."""
    if entry.state is not _S.QUEUED or entry.beat is None:
        return entry.began
    return entry.beat if entry.anchor is None else entry.anchor


def _due(
    entry: StemEntry, notes: np.ndarray, since: float, until: float
) -> Iterator[tuple[float, float, int, int]]:
    """(beat, duration, key, velocity) of the notes of every turn with since <= beat < until."""
    began, length = _began(entry), entry.beats
    if length <= 0 or not len(notes):
        return
    turn = max(0, int((since - began) // length))
    while (first := began + turn * length) < until:
        if turn and entry.turn is not Play.LOOP:
            return
        starts = first + notes[:, 0]
        for row in np.flatnonzero((starts >= since) & (starts < until)).tolist():
            _, duration, key, velocity = notes[row].tolist()
            yield float(starts[row]), duration, int(key), int(velocity)
        turn += 1


def _covered(book: StemBook, entry: StemEntry, beat: float) -> bool:
    """Whether a fill plays in place of a loop at a beat."""
    if entry.turn is not Play.LOOP:
        return False
    fills = (e for e in book.rivals(entry) if e.turn is Play.FILL and e.voice >= 0)
    return any(f.until is not None and _began(f) <= beat < f.until for f in fills)

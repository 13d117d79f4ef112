"""The conductor's book of stems: what was asked for, what is ready, what plays, what comes next.

Pure: frames and a Timeline in, requests for the pool and commands for the audio process out. One
writer, the conductor; everything in it goes to the journal and comes back (to_dict, from_dict).

A stem is sent to the audio process once its boundary is less than SEND_BEATS away; until then its
place follows the timeline. From then on its frame is fixed. Exact loops drift from a tempo that
moves, so a playing stem is struck again at a phrase boundary when it is off by DRIFT_S.
What the audio process was told and never spoke of (it died with the command) is tried again after
LOST_S. engine/stem_recovery.py compares a journal with what really sounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.layout import COMMAND, MAX_STEMS, CommandKind
from engine.mixer import linear
from engine.patch import Patch
from engine.stem import StemRequest, StemState
from engine.stem_entry import StemEntry
from engine.timeline import Boundary, Timeline

SEND_BEATS = 1.0
LATEST_S = 0.06  # a boundary nearer than this is left to the next one
CHANGE_FADE_FRAMES = 240
STOP_FADE_FRAMES = 960
DRIFT_S = 0.002
DEADLINE_BARS = 8
SAME_TEMPO = 0.06  # a stem made for a tempo farther away than this share is of no use
LOST_S = 3.0  # longer than the audio process takes to come back
FAILED_WAIT_S = 1.0  # a role whose stem failed is asked again this long after that was asked for
FAILED_KEPT = 8  # of failed and rejected stems, for people to look at
GENERATED = (StemState.REQUESTED, StemState.GENERATING, StemState.LATE)
_S = StemState


@dataclass
class StemBook:
    """slots: arena slots; slot_frames: their size."""

    patch: Patch
    slots: int
    slot_frames: int
    entries: dict[int, StemEntry] = field(default_factory=dict)
    next_id: int = 1
    last_voice: int = -1
    commands: list[np.ndarray] = field(default_factory=list)
    requests: list[tuple[StemEntry, StemRequest]] = field(default_factory=list)
    news: list[dict[str, Any]] = field(default_factory=list)

    # ---- looking

    def of(self, role: str, *states: StemState) -> list[StemEntry]:
        return [e for e in self.entries.values() if e.role == role and e.state in states]

    def playing(self, role: str) -> StemEntry | None:
        return next(iter(self.of(role, _S.PLAYING)), None)

    def queue(self) -> list[StemEntry]:
        """What waits for its boundary, soonest first."""
        waiting = [e for e in self.entries.values() if e.state is _S.QUEUED]
        return sorted(waiting, key=lambda e: e.beat or 0.0)

    # ---- asking

    def set_aside(self, line: Timeline, now: int) -> None:
        """Reject ready stems that were made for another tempo; fill() asks for others."""
        for entry in list(self.entries.values()):
            if entry.state is _S.READY and abs(entry.bpm / line.bpm - 1.0) > SAME_TEMPO:
                entry.become(_S.REJECTED)
                entry.reason = f"made for {entry.bpm:.1f} BPM"
                self._say(entry, now)
                del self.entries[entry.id]

    def fill(self, line: Timeline, now: int) -> None:
        """Ask for stems until each role has as many ahead as the patch says."""
        for name, role in self.patch.roles.items():
            coming = self.of(name, *GENERATED, _S.READY, _S.QUEUED)
            failed = max((e.requested_frame for e in self.of(name, _S.FAILED)), default=None)
            again = failed is None or now - failed >= FAILED_WAIT_S * line.rate
            if len(coming) < role.ahead and again:
                self.ask(name, line, now)

    def ask(self, role_name: str, line: Timeline, now: int) -> StemEntry | None:
        """One more stem of a role; None when the arena is full of what is needed."""
        slot = self._free_slot()
        role = self.patch.roles[role_name]
        frames = role.bars * line.beats_per_bar * line.frames_per_beat
        if slot is None or frames + 1 > self.slot_frames:
            return None
        entry = StemEntry(self.next_id, role_name, _S.REQUESTED, slot, line.bpm, self.next_id, now)
        self.next_id += 1
        self.entries[entry.id] = entry
        self._forget_failed()
        deadline = now + round(DEADLINE_BARS * line.beats_per_bar * line.frames_per_beat)
        request = replace(self.request_of(entry, line), deadline_frame=deadline)
        self.requests.append((entry, request))
        self._say(entry, now)
        return entry

    def _forget_failed(self) -> None:
        failed = [e.id for e in self.entries.values() if e.state in (_S.FAILED, _S.REJECTED)]
        for id_ in failed[:-FAILED_KEPT]:
            del self.entries[id_]

    def _free_slot(self) -> int | None:
        taken = {e.slot for e in self.entries.values() if e.slot >= 0}
        for slot in range(self.slots):
            if slot not in taken:
                return slot
        done = [e for e in self.entries.values() if e.state is _S.DONE]
        if not done:
            return None
        oldest = min(done, key=lambda e: e.id)
        oldest.become(_S.REJECTED)
        del self.entries[oldest.id]
        return oldest.slot

    def request_of(self, entry: StemEntry, line: Timeline) -> StemRequest:
        """What the pool is asked for; again, in no hurry, when the pool was restarted."""
        role, clock = self.patch.roles[entry.role], self.patch.clock
        return StemRequest(
            id=entry.id,
            role=str(role.config.get("role", entry.role)),
            bars=role.bars,
            bpm=entry.bpm,
            beats_per_bar=line.beats_per_bar,
            key=clock.key,
            minor=clock.minor,
            density=role.density,
            seed=entry.seed,
        )

    # ---- what the pool says

    def pool_event(self, event: dict[str, Any], now: int) -> None:
        """{job, event: progress|ready|late|failed, ...}; events of forgotten jobs are ignored."""
        entry = self.entries.get(int(event["job"]))
        if entry is None or entry.state not in GENERATED:
            return
        kind = event["event"]
        if kind == "progress" and entry.state is _S.REQUESTED:
            entry.become(_S.GENERATING)
        elif kind == "late" and entry.state is not _S.LATE:
            entry.become(_S.LATE)
        elif kind == "failed":
            entry.become(_S.FAILED)
            entry.reason = str(event.get("reason", ""))
            entry.slot = -1
        elif kind == "ready":
            if entry.state is _S.REQUESTED:
                entry.become(_S.GENERATING)
            entry.become(_S.READY)
            entry.frames, entry.loop = int(event["frames"]), float(event["loop"])
            entry.provenance = dict(event.get("provenance", {}))
        else:
            return
        self._say(entry, now)

    # ---- what a hand says

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

    # ---- time

    def advance(self, line: Timeline, now: int) -> None:
        """Send what is due within SEND_BEATS, and again what was lost."""
        for entry in list(self.entries.values()):
            due = entry.stop_frame if entry.state is _S.RETIRING else entry.start_frame
            if entry.sent and now - due > LOST_S * line.rate:
                self._lost(entry, line, now)
            elif entry.state is _S.QUEUED and not entry.sent:
                self._arm(entry, line, now)
            elif entry.state is _S.RETIRING and not entry.sent and entry.beat is not None:
                if line.frame_at(entry.beat) - now < SEND_BEATS * line.frames_per_beat:
                    self._stop(entry, max(line.frame_at(entry.beat), now), STOP_FADE_FRAMES)
                    entry.sent = True
            elif entry.state is _S.PLAYING:
                self._strike_again(entry, line, now)

    def _next_beat(self, role: str, line: Timeline, now: int) -> float:
        boundary = Boundary(self.patch.roles[role].enter)
        soon = now + round(LATEST_S * line.rate)
        for other in self.of(role, _S.QUEUED):
            if other.sent:  # it can no longer be called back: the next one comes after it
                soon = max(soon, other.start_frame + 1)
        frame = line.next_boundary(soon, boundary)
        return round(line.beat_at(frame) * 1000) / 1000

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
        self._play(entry)

    def _play(self, entry: StemEntry) -> None:
        roles = list(self.patch.roles)
        self._command(
            CommandKind.STEM_PLAY,
            slot=entry.voice,
            frame=entry.start_frame,
            a=entry.slot * self.slot_frames * 2,
            b=entry.frames,
            x=linear(self.patch.roles[entry.role].gain_db),
            y=entry.loop,
            id=entry.id,
            c=roles.index(entry.role),
        )

    def silence(self, voice: int, now: int) -> None:
        """Stop whatever a slot of the audio process plays."""
        self._command(CommandKind.STEM_STOP, slot=voice, frame=now, a=STOP_FADE_FRAMES)

    def _stop(self, entry: StemEntry, frame: int, fade: int) -> None:
        if entry.voice >= 0:
            entry.stop_frame = frame
            self._command(CommandKind.STEM_STOP, slot=entry.voice, frame=frame, a=fade)

    def _strike_again(self, entry: StemEntry, line: Timeline, now: int) -> None:
        """At a phrase boundary where its loop would be off the grid: start it anew on the grid."""
        if not entry.loop or entry.sent or self.of(entry.role, _S.QUEUED):
            return
        boundary = line.next_boundary(now + round(LATEST_S * line.rate), Boundary.PHRASE)
        ahead = boundary - now
        if not 0 < ahead < SEND_BEATS * line.frames_per_beat or boundary <= entry.start_frame:
            return
        turns = (boundary - entry.start_frame) / entry.loop
        off = abs(turns - round(turns)) * entry.loop
        voice = self._free_voice()
        if off > DRIFT_S * line.rate and voice is not None:
            self._stop(entry, boundary, CHANGE_FADE_FRAMES)
            entry.voice, entry.start_frame, entry.stop_frame = voice, boundary, 0
            entry.sent = True
            self._play(entry)

    def _free_voice(self) -> int | None:
        """Slots of the audio process, going round: one that was left still sounds for a while."""
        used = {e.voice for e in self.entries.values() if e.voice >= 0}
        for i in range(1, MAX_STEMS + 1):
            voice = (self.last_voice + i) % MAX_STEMS
            if voice not in used:
                self.last_voice = voice
                return voice
        return None

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
        if entry is None:
            return
        if entry.state is _S.PLAYING:  # struck again
            entry.sent = False
        elif entry.state is _S.QUEUED:
            entry.become(_S.PLAYING)
            entry.start_frame, entry.beat, entry.sent = frame, None, False
            self._say(entry, frame)
            if entry.stop_frame:  # it was told to stop before it was heard
                entry.become(_S.RETIRING)
                entry.sent = True
                self._say(entry, frame)

    def ended(self, id_: int, voice: int, frame: int) -> None:
        """voice: the slot that fell silent; a stem that was struck again plays in another."""
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
        if entry.state is _S.QUEUED:
            entry.become(_S.READY)
        elif entry.state is _S.PLAYING:  # struck again in vain: silent from that boundary on
            entry.become(_S.DONE)
        else:
            return
        self._put_away(entry, now)
        if not fits:
            entry.become(_S.REJECTED)
            entry.slot, entry.reason = -1, "does not fit the arena"
            self._say(entry, now)
        elif not left and not self.of(entry.role, _S.QUEUED):
            self.enqueue(entry.id, line, now)

    def panic(self, now: int) -> None:
        for entry in self.entries.values():
            if entry.state is _S.QUEUED and not entry.sent:
                self.unqueue(entry.id, now)

    # ---- telling

    def _command(self, kind: CommandKind, **fields: float) -> None:
        record = np.zeros(1, COMMAND)
        record["kind"] = kind
        for name, value in fields.items():
            record[name] = value
        self.commands.append(record)

    def _say(self, entry: StemEntry, frame: int) -> None:
        self.news.append(
            {
                "event": "stem",
                "frame": frame,
                "id": entry.id,
                "role": entry.role,
                "state": entry.state.value,
                "beat": entry.beat,
                "start_frame": entry.start_frame,
                "maker": entry.provenance.get("maker"),
                "reason": entry.reason,
            }
        )

    # ---- the journal

    def to_dict(self) -> dict[str, Any]:
        rows = [{**vars(e), "state": e.state.value} for e in self.entries.values()]
        return {"entries": rows, "next_id": self.next_id, "last_voice": self.last_voice}

    def restore(self, saved: dict[str, Any]) -> None:
        self.next_id, self.last_voice = int(saved["next_id"]), int(saved["last_voice"])
        for row in saved["entries"]:
            entry = StemEntry(**{**row, "state": StemState(row["state"])})
            self.entries[entry.id] = entry

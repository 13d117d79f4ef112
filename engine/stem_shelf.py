"""The shelf of the conductor's book of stems: what was asked for, what the pool has made of it, in
which slot of the arena each lies.

Pure, like all of the book (engine/stem_book.py): frames and a Timeline in, requests for the pool
out; everything goes to the journal and comes back (to_dict, restore).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.arena import Arena
from engine.patch import Patch
from engine.song_wants import Want, first_wants
from engine.stem import VARIATIONS, Play, StemRequest, StemState
from engine.stem_entry import StemEntry
from engine.timeline import Boundary, Timeline

FAILED_KEPT = 8  # of failed and rejected stems, for people to look at
TELLING = 0.05  # a maker's progress from which on its time can be told
GENERATED = (StemState.REQUESTED, StemState.GENERATING, StemState.LATE)
_S = StemState


@dataclass
class StemShelf:
    """slots: arena slots; slot_frames: their size; captures, capture_frames: of those for captured
    stems, which follow them (engine/arena.py). commands: layout.COMMAND records for the audio
    process; requests: for the pool; captures_asked: for the capture process; news: for the log.
    Each is emptied by whoever carries it. asked: how often, of roles with a folder; took:
    frames from asking to ready, of each role's last stem; told: what was
    said once. want: by role, what a stem must be made for to be let in now; later: what is asked
    for ahead of the next scene and song. Both are the programme's (engine/programme.py)."""

    patch: Patch
    slots: int
    slot_frames: int
    entries: dict[int, StemEntry] = field(default_factory=dict)
    next_id: int = 1
    last_voice: int = -1
    commands: list[np.ndarray] = field(default_factory=list)
    requests: list[tuple[StemEntry, StemRequest]] = field(default_factory=list)
    captures_asked: list[dict[str, Any]] = field(default_factory=list)
    news: list[dict[str, Any]] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    took: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    captures: int = 0
    capture_frames: int = 0
    want: dict[str, Want] = field(default_factory=dict)
    later: list[tuple[str, Want]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.want:
            self.want = first_wants(self.patch)

    @property
    def places(self) -> Arena:
        return Arena(self.slots, self.slot_frames, self.captures, self.capture_frames)

    # ---- looking

    def of(self, role: str, *states: StemState) -> list[StemEntry]:
        return [e for e in self.entries.values() if e.role == role and e.state in states]

    def playing(self, role: str) -> StemEntry | None:
        """What a role plays; what a fill covers, not the fill."""
        found = sorted(self.of(role, _S.PLAYING), key=lambda e: e.turn is Play.FILL)
        return found[0] if found else None

    def variation(self, role: str, number: int) -> StemEntry | None:
        """What lies in a place of a role, 1 to VARIATIONS."""
        return next(
            (e for e in self.entries.values() if e.role == role and e.variation == number), None
        )

    def rivals(self, entry: StemEntry) -> list[StemEntry]:
        """All others of its choke groups; a role is a group."""
        mine = self._groups(entry)
        return [e for e in self.entries.values() if e is not entry and mine & self._groups(e)]

    def rival_roles(self, role: str) -> list[str]:
        """Other roles of a role's choke group."""
        group = self.patch.roles[role].choke
        return [n for n, r in self.patch.roles.items() if n != role and group and r.choke == group]

    def _groups(self, entry: StemEntry) -> set[tuple[str, str]]:
        """An empty name is no group."""
        chokes = {self.patch.roles[entry.role].choke, entry.choke} - {"", None}
        return {("role", entry.role), *(("choke", str(c)) for c in chokes)}

    def fits(self, entry: StemEntry) -> bool:
        """Made for this song and scene, or for none in particular."""
        return not entry.want or entry.want == self.want[entry.role]

    def ready(self, role: str) -> list[StemEntry]:
        """What may enter: ready ones, else those that are done."""
        for state in (_S.READY, _S.DONE):
            if found := [e for e in self.of(role, state) if self.fits(e) and not e.held]:
                return found
        return []

    def stale(self, role: str) -> bool:
        """What plays was made for another scene, and something better is ready."""
        playing = self.playing(role)
        return playing is not None and not self.fits(playing) and bool(self.ready(role))

    def queue(self) -> list[StemEntry]:
        """What waits for its boundary, soonest first."""
        waiting = [e for e in self.entries.values() if e.state is _S.QUEUED]
        return sorted(waiting, key=lambda e: e.beat or 0.0)

    def ready_in(self, entry: StemEntry, line: Timeline, now: int) -> float | None:
        """Phrases until a stem that is being made will be ready: by its maker's progress, else by
        how long its role's last one took. None: nothing is known, or it is not being made."""
        if entry.state not in GENERATED:
            return None
        gone = now - entry.requested_frame
        if entry.progress >= TELLING:
            frames = gone * (1.0 - entry.progress) / entry.progress
        elif entry.role in self.took:
            frames = max(0.0, float(self.took[entry.role] - gone))
        else:
            return None
        return frames / line.frames_per_beat / line.beats_of(Boundary.PHRASE)

    # ---- making room

    def drop(self, entry: StemEntry, now: int, reason: str) -> None:
        """Give up a stem that is ready, or was asked for."""
        entry.become(_S.REJECTED)
        entry.reason = reason
        self._say(entry, now)
        del self.entries[entry.id]

    def _capture_slot(self) -> int | None:
        mine = [e for e in self.entries.values() if e.slot >= self.slots]
        free = set(range(self.slots, self.slots + self.captures)) - {e.slot for e in mine}
        if free:
            return min(free)
        loose = [e for e in mine if e.state in (_S.DONE, _S.READY) and not (e.pinned or e.fresh)]
        if not loose:
            return None
        return self._take_away(min(loose, key=lambda e: (e.state is not _S.DONE, e.id)))

    def _place(self, role: str, replaces: bool = False, captured: bool = False) -> int | None:
        """A place for one more variation: a free one, else that of the stem that was done first, or
        where it replaces, of the one ready longest. What is pinned stays, and what was captured
        where the new one is not."""
        taken = {e.variation for e in self.entries.values() if e.role == role}
        free = [n for n in range(1, VARIATIONS + 1) if n not in taken]
        if free:
            return free[0]
        for state in (_S.DONE, _S.READY)[: 1 + replaces]:
            mine = [e for e in self.of(role, state) if captured or not e.source]
            loose = [e for e in mine if e.variation and not (e.pinned or e.fresh)]
            if loose:
                return min(loose, key=lambda e: e.id).variation
        return None

    def _make_way(self, role: str, place: int) -> None:
        old = self.variation(role, place)
        if old is not None:
            self._take_away(old)

    def pin(self, id_: int, now: int) -> bool | None:
        """Keep a stem in its place, or no longer; whether it is kept. None: it has no place."""
        entry = self.entries.get(id_)
        if entry is None or not entry.variation:
            return None
        entry.pinned = not entry.pinned
        self._say(entry, now)
        return entry.pinned

    def _forget_failed(self) -> None:
        failed = [e.id for e in self.entries.values() if e.state in (_S.FAILED, _S.REJECTED)]
        for id_ in failed[:-FAILED_KEPT]:
            del self.entries[id_]

    def _free_slot(self) -> int | None:
        taken = {e.slot for e in self.entries.values() if e.slot >= 0}
        for slot in range(self.slots):
            if slot not in taken:
                return slot
        stretched = {e.stretch_of for e in self.entries.values() if e.state in GENERATED}
        done = [
            e
            for e in self.entries.values()
            if e.state is _S.DONE and not e.pinned and e.id not in stretched and e.slot < self.slots
        ]
        if not done:
            return None
        return self._take_away(min(done, key=lambda e: e.id))

    def _take_away(self, entry: StemEntry) -> int:
        """Of one that is done or ready; the slot it leaves."""
        entry.become(_S.REJECTED)
        del self.entries[entry.id]
        return entry.slot

    # ---- what the pool says

    def pool_event(self, event: dict[str, Any], now: int) -> None:
        """{job, event: progress|ready|late|failed, ...}; events of forgotten jobs are ignored."""
        entry = self.entries.get(int(event["job"]))
        if entry is None or entry.state not in GENERATED:
            return
        kind = event["event"]
        if kind == "progress":
            entry.progress = min(1.0, max(entry.progress, float(event.get("progress", 0.0))))
            if entry.state is not _S.REQUESTED:
                return
            entry.become(_S.GENERATING)
        elif kind == "late" and entry.state is not _S.LATE:
            entry.become(_S.LATE)
        elif kind == "failed":
            entry.become(_S.FAILED)
            entry.reason = str(event.get("reason", ""))
            entry.slot, entry.variation = -1, 0
        elif kind == "ready":
            if entry.state is _S.REQUESTED:
                entry.become(_S.GENERATING)
            entry.become(_S.READY)
            self.took[entry.role] = now - entry.requested_frame
            entry.frames, entry.loop = int(event["frames"]), float(event["loop"])
            entry.midi = bool(event.get("midi"))
            entry.provenance = dict(event.get("provenance", {}))
            self._heed(entry, now)
        else:
            return
        self._say(entry, now)

    def _heed(self, entry: StemEntry, now: int) -> None:
        """What a file's side-car says of its stem, and which files before it were no use: each is
        told once."""
        told = entry.provenance
        if told.get("play"):
            entry.play = entry.turn = Play(told["play"])
        entry.choke = str(told.get("choke") or entry.choke)
        for text in str(told.get("skipped", "")).splitlines():
            self._tell_once(entry.role, now, "stem_file", text)

    # ---- telling

    def _tell_once(self, role: str, now: int, event: str, reason: str) -> None:
        """What a player or a patch should know, but not every tick: once for each role, what runs
        out of room, and for each file, what is wrong with it."""
        mark = reason if event == "stem_file" else f"{event} {role}"
        if mark not in self.told:
            self.told.add(mark)
            self.news.append({"event": event, "frame": now, "role": role, "reason": reason})

    def _say(self, entry: StemEntry, frame: int) -> None:
        self.news.append(
            {
                "event": "stem",
                "frame": frame,
                "id": entry.id,
                "role": entry.role,
                "state": entry.state.value,
                "play": entry.turn.value,
                "variation": entry.variation,
                "seed": entry.seed,
                "bpm": entry.bpm,
                "source": entry.source,
                "beat": entry.beat,
                "start_frame": entry.start_frame,
                "maker": entry.provenance.get("maker"),
                "reason": entry.reason,
            }
        )

    # ---- the journal

    def to_dict(self) -> dict[str, Any]:
        rows = [e.to_dict() for e in self.entries.values()]
        return {
            "entries": rows,
            "next_id": self.next_id,
            "last_voice": self.last_voice,
            "asked": self.asked,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self.next_id, self.last_voice = int(saved["next_id"]), int(saved["last_voice"])
        self.asked = dict(saved["asked"])
        for row in saved["entries"]:
            entry = StemEntry.from_dict(row)
            self.entries[entry.id] = entry

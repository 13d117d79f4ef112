"""What the conductor's book of stems asks for: of the pool and of the capture process, in time, no
more than there is room for. Pure; see engine/stem_book.py."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.patch import CAPTURE_MAKER
from engine.song_wants import Want
from engine.stem import Play, StemRequest, StemState
from engine.stem_entry import StemEntry
from engine.stem_shelf import GENERATED, StemShelf
from engine.timeline import Timeline

DEADLINE_BARS = 8
SAME_TEMPO = 0.06  # a stem made for a tempo farther away than this share is of no use
FAILED_WAIT_S = 1.0  # a role whose stem failed is asked again this long after that was asked for
_S = StemState


@dataclass
class StemAsking(StemShelf):
    """The shelf, and who fills it."""

    def set_aside(self, line: Timeline, now: int) -> None:
        """Reject ready stems that were made for another tempo; fill() asks for others."""
        for entry in list(self.entries.values()):
            away = abs(entry.bpm / line.bpm - 1.0) > SAME_TEMPO
            loose = not (entry.pinned or entry.midi or entry.source)
            if entry.state is _S.READY and away and loose and self.fits(entry):
                self.drop(entry, now, f"made for {entry.bpm:.1f} BPM")

    def set_others_aside(self, now: int) -> None:
        """Reject ready stems that no song or scene wants, now or next; give those made ahead their
        place among the variations once their time has come."""
        for entry in list(self.entries.values()):
            wanted = self.fits(entry) or (entry.role, entry.want) in self.later
            if entry.state is _S.READY and entry.undone:
                self.drop(entry, now, "undone")
            elif entry.state is _S.READY and not wanted and not entry.pinned:
                self.drop(entry, now, "made for another song or scene")
            elif entry.state is _S.READY and not (entry.variation or entry.stretch_of):
                self._settle(entry)

    def _settle(self, entry: StemEntry) -> None:
        place = self._place(entry.role) if entry.want and self.fits(entry) else None
        if place is not None:
            self._make_way(entry.role, place)
            entry.variation = place

    def fill(self, line: Timeline, now: int) -> None:
        """Ask for stems until each role has as many ahead as the patch says; then for one of each
        that the next scene and song will want."""
        enough = True
        for name, role in self.patch.roles.items():
            if role.maker == CAPTURE_MAKER and not role.folder:
                continue
            missing = len(self._coming(name, self.want[name])) < role.ahead
            again = missing and self._may_ask_again(name, line, now)
            if again and self._place(name) is not None:
                enough = False
                self.ask(name, line, now)
        for name, want in self.later if enough else ():
            if not self._coming(name, want) and self._may_ask_again(name, line, now):
                self.ask(name, line, now, ahead=want)

    def _coming(self, role: str, want: Want) -> list[StemEntry]:
        states = (*GENERATED, _S.READY, _S.QUEUED)
        here = want == self.want[role]
        return [e for e in self.of(role, *states) if e.want == want or (here and not e.want)]

    def _may_ask_again(self, role: str, line: Timeline, now: int) -> bool:
        failed = max((e.requested_frame for e in self.of(role, _S.FAILED)), default=None)
        return failed is None or now - failed >= FAILED_WAIT_S * line.rate

    def ask(
        self,
        role_name: str,
        line: Timeline,
        now: int,
        replaces: bool = False,
        ahead: Want | None = None,
    ) -> StemEntry | None:
        """One more stem of a role; None when the arena is full of what is needed, or all places of
        the role are. replaces: a ready stem may make way. ahead: for a song or scene to come; it
        has no place yet."""
        role, want = self.patch.roles[role_name], ahead or self.want[role_name]
        bpm = line.bpm if ahead is None else float(ahead["bpm"])
        beats = float(role.bars * want["beats_per_bar"])
        place = self._place(role_name, replaces) if ahead is None else 0
        if role.maker == CAPTURE_MAKER and not role.folder:
            return None
        if place is None:
            return None
        seconds = beats * 60.0 / bpm
        if seconds * line.rate + 1 > self.slot_frames:
            needed, there = (x * 8 / 1e6 for x in (seconds * line.rate, self.slot_frames))
            reason = f"{role.bars} bars at {bpm:.1f} BPM need {needed:.1f} MB, a place of the stem "
            reason += f"arena has {there:.1f} MB"
            self._tell_once(role_name, now, "no_room", reason)
            return None
        if ahead is None:
            self._make_way(role_name, place)
        slot = self._free_slot()
        if slot is None:
            reason = f"all {self.slots} places of the stem arena are taken"
            self._tell_once(role_name, now, "no_room", reason)
            return None
        seed = self.next_id
        if role.folder is not None:  # its files in turn
            seed = self.asked[role_name] = self.asked.get(role_name, -1) + 1
        entry = StemEntry(self.next_id, role_name, _S.REQUESTED, slot, bpm, seed, now)
        entry.variation, entry.play, entry.want = place, Play(role.play), want
        entry.turn, entry.beats = entry.play, beats
        self.next_id += 1
        self.entries[entry.id] = entry
        self._forget_failed()
        deadline = now + round(DEADLINE_BARS * line.beats_per_bar * line.frames_per_beat)
        request = replace(self.request_of(entry, line), deadline_frame=deadline)
        self.requests.append((entry, request))
        self._say(entry, now)
        return entry

    def ask_stretched(self, source: StemEntry, line: Timeline, now: int) -> StemEntry | None:
        """A loop at the line's tempo (engine/stem_stretch.py). None: the arena is full, or it could
        not enter, because something else than the tempo is wanted by now."""
        want = self.want[source.role]
        if source.want and {**source.want, "bpm": want["bpm"]} != want:
            return None
        slot = self._free_slot()
        if slot is None or source.loop * source.bpm / line.bpm + 1 > self.slot_frames:
            return None
        entry = StemEntry(
            self.next_id, source.role, _S.REQUESTED, slot, line.bpm, source.seed, now,
            beats=source.beats, choke=source.choke, stretch_of=source.stretch_of or source.id,
            want=want if source.want else {},
        )  # fmt: skip
        self.next_id += 1
        self.entries[entry.id] = entry
        self.requests.append((entry, self.request_of(entry, line)))
        self._say(entry, now)
        return entry

    def ask_capture(
        self, role: str, source: str, bpm: float, beats: float, now: int
    ) -> StemEntry | None:
        """One more captured stem; the oldest that neither plays nor waits nor is pinned makes way.
        None: there is none."""
        slot = self._capture_slot()
        if slot is None:
            return None
        place = self._place(role, captured=True)
        if place is not None:
            self._make_way(role, place)
        entry = StemEntry(self.next_id, role, _S.REQUESTED, slot, bpm, self.next_id, now)
        entry.beats, entry.source, entry.fresh = float(beats), source, True
        entry.variation, entry.play = place or 0, Play(self.patch.roles[role].play)
        self.next_id += 1
        self.entries[entry.id] = entry
        self._forget_failed()
        self._say(entry, now)
        return entry

    def request_of(self, entry: StemEntry, line: Timeline) -> StemRequest:
        """What the pool is asked for; again, in no hurry, when the pool was restarted."""
        role, want = self.patch.roles[entry.role], entry.want or self.want[entry.role]
        return StemRequest(
            id=entry.id,
            role=str(role.config.get("role", entry.role)),
            bars=role.bars,
            bpm=entry.bpm,
            beats_per_bar=want["beats_per_bar"],
            key=want["key"],
            minor=want["minor"],
            density=want["density"],
            seed=entry.seed,
        )

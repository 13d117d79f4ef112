"""What steers `forward`: commands of the conductor, and the safe path (DRY, panic, master).

A command that names a frame to come (TIMELINE, CLICK, GAIN, LEVEL) waits for it, and forward cuts
its block there; all others are obeyed at the start of the block that finds them. Everything here
happens inside forward and is real-time safe: bounded work, and reports collected as plain tuples
that leave in one push at the block's end.
"""

from __future__ import annotations

from bisect import insort
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from engine.admitted import AdmittedKind
from engine.kernel import lib
from engine.layout import (
    ALL_COMMANDS,
    MAX_STEMS,
    REPORT,
    CommandKind,
    LevelKind,
    ReportKind,
    SafeKind,
)
from engine.mixer import is_generated
from engine.slices import end_of, follows, hold, is_line
from engine.state import FOREVER, MAX_BUSES

if TYPE_CHECKING:
    from engine.admission import Due
    from engine.performance import LivePerformance
    from engine.ring import Ring

DRY_FADE_FRAMES = 960  # 20 ms; all AI is out within 50 ms, block and bus included
MASTER_FADE_FRAMES = 480
PANIC_FADE_FRAMES = 960
HUSH_IN_FRAMES = 64  # the kernel's HUSH_IN
COMMANDS_A_BLOCK = 64
SAFE_A_BLOCK = 16
WAITING_MAX = 1024
AHEAD_MAX = 1 << 26  # frames that a command may wait: 23 minutes at 48 kHz
FRAMES_MAX = 1 << 40  # of a ramp, or to a timeline's anchor: beyond is nonsense
METRE_MAX = 1024
FRAMED = frozenset(
    (CommandKind.TIMELINE, CommandKind.CLICK, CommandKind.GAIN, CommandKind.LEVEL)
)  # they hold from their frame on
_FRAMED = [int(kind) for kind in sorted(FRAMED)]
_frame_of = itemgetter(0)
REPORTS_A_BLOCK = 256
LEVEL_KINDS = frozenset(int(k) for k in LevelKind)

Report = tuple[int, int, int, int, int, int]  # frame, a, b, id, kind, slot


def _within(value: int, least: int, most: int = FRAMES_MAX) -> int:
    return min(max(value, least), most)


class Control:
    """One performance's; works on its state in place."""

    def __init__(self, performance: LivePerformance) -> None:
        self._p = performance
        self._safe = performance.shared.ring("midi_safe")
        self._commands = performance.shared.ring("commands")
        self._reports_ring = performance.shared.ring("reports")
        self._reports: list[Report] = []
        self._panic = int(performance.state["panic"][0])  # when its fade is over; 0: there is none
        self.steered = False  # something was obeyed that no snapshot holds yet; its taker resets it
        self._waiting: list[tuple] = []  # of FRAMED, in order of frame
        self._asked = performance.state["asked"][0]
        self._again = [np.zeros(0, r.dtype) for r in (self._safe, self._commands)]
        self._generated = [
            is_generated(performance.patch, f"voice.{v}") for v in performance.patch.voices
        ]

    # ---- reports

    def report(
        self, kind: ReportKind, frame: int, slot: int = 0, a: int = 0, b: int = 0, id: int = 0
    ) -> None:
        if len(self._reports) < REPORTS_A_BLOCK:
            self._reports.append((frame, a, b, id, int(kind), slot))

    def report_stems(self, t: int, n: int, started: int, ended: int) -> None:
        """started, ended: one bit a slot."""
        stems = self._p.state[0]["stems"]
        for slot in range(MAX_STEMS):
            stem = stems[slot]
            if started >> slot & 1:
                frame = max(t, int(stem["start"]))
                self.report(ReportKind.STEM_STARTED, frame, slot=slot, id=int(stem["id"]))
            if ended >> slot & 1:
                frame = min(max(t, end_of(stem)), t + n)
                self.report(ReportKind.STEM_ENDED, frame, slot=slot, id=int(stem["id"]))

    def flush(self) -> None:
        if self._reports:
            self._reports_ring.push(np.array(self._reports, REPORT))
            self._reports.clear()

    # ---- admission

    def take_again(self) -> None:
        """A successor's, from the snapshot in the state: what its predecessor took of the rings and
        died with, and commands that waited for their frame. Not real-time safe."""
        for which, ring in enumerate((self._safe, self._commands)):
            first, records = ring.taken()
            lost = first + np.arange(len(records)) >= int(self._asked[which])
            if ring is self._commands:
                lost |= np.isin(records["kind"], _FRAMED) & (
                    records["frame"] >= int(self._p.state["t"][0])
                )
            self._again[which] = records[lost]

    def _take(self, which: int, ring: Ring, most: int) -> np.ndarray:
        """Up to `most` records: first what is to be done again."""
        again = self._again[which]
        taken = again[:most] if len(again) else ring.pop(most)
        self._again[which] = again[most:]
        if len(again) <= most:
            self._asked[which] = ring.pointer.read
        return taken

    def admit(self, t: int) -> list[Due]:
        """Take what waits at the start of a block; returns note-offs that follow from it."""
        due: list[Due] = []
        self.reach(t, due)
        if lib.seg_ring_count(self._safe.pointer) or len(self._again[0]):
            self.steered = True
            asked = self._take(0, self._safe, SAFE_A_BLOCK)
            self._p.log.note(AdmittedKind.SAFE, 0, t, asked)
            for kind, value in asked.tolist():
                self.safe(kind, value, t, due)
        if lib.seg_ring_count(self._commands.pointer) or len(self._again[1]):
            self.steered = True
            commands = self._take(1, self._commands, COMMANDS_A_BLOCK)
            self._p.log.note(AdmittedKind.COMMAND, 0, t, commands)
            for command in commands.tolist():
                if command[0] <= t or command[7] not in FRAMED:
                    self._obey(command, t, t, due)
                elif len(self._waiting) < WAITING_MAX and command[0] - t <= AHEAD_MAX:
                    insort(self._waiting, command, key=_frame_of)
                else:
                    self.report(ReportKind.DROPPED, t, slot=ALL_COMMANDS, a=1)
        return due

    def cut(self, end: int) -> int:
        """Where the block that ends at `end` is to be cut: the next frame from which a command
        holds or at which a panic is over, or its end."""
        if self._panic and self._panic < end:
            end = self._panic
        return min(end, self._waiting[0][0]) if self._waiting else end

    def reach(self, t: int, due: list[Due]) -> None:
        """Do what waited for frames up to t, in their order."""
        if self._panic and t >= self._panic:
            self._finish_panic(t)
        if not self._waiting:
            return
        passed = 0
        while passed < len(self._waiting) and self._waiting[passed][0] <= t:
            command = self._waiting[passed]
            self._obey(command, t, command[0], due)
            passed += 1
        if passed:
            self.steered = True
            del self._waiting[:passed]

    def _obey(self, command: tuple, t: int, since: int, due: list[Due]) -> None:
        """At the start of a stretch, t. since: the frame from which it holds, t or what a gap has
        passed over."""
        frame, a, b, x, y, z, id_, kind, slot, c, d, _, w = command
        p = self._p
        if kind == CommandKind.TIMELINE:
            near = abs(frame - t) <= FRAMES_MAX
            if near and is_line(x, y) and 0 < a <= METRE_MAX and 0 < b <= METRE_MAX:
                p.state["timeline"][0] = (frame, x, y, p.rate, z, a, b)
                hold(p.mixer.desk, frame, x, p.rate * 60.0 / y)
                p.effects.tempo(y)
        elif kind == CommandKind.STEM_PLAY:
            self._play(slot, frame, a, b, x, y, z, w, id_, c, d, t)
        elif kind == CommandKind.STEM_STOP:
            if slot < MAX_STEMS:
                stem = p.state[0]["stems"][slot]
                if stem["stop"] > t or not stem["state"]:  # else it fades already
                    stem["stop"], stem["fade"] = _within(frame, t, FOREVER), _within(a, 1)
        elif kind == CommandKind.STEM_HUSH:
            if slot < MAX_STEMS:
                stem = p.state[0]["stems"][slot]
                if not stem["hush"] <= t < stem["unhush"]:  # else it is covered already
                    stem["hush"] = _within(frame or t, 0, FOREVER)
                stem["unhush"] = _within(b, t + HUSH_IN_FRAMES, FOREVER)
        elif kind == CommandKind.GAIN:
            if slot < len(p.mixer.names) and c < MAX_BUSES and 0 <= x <= 16:
                self._gain(slot, c, since, a, x)
        elif kind == CommandKind.SAFE:
            self.safe(slot, x, t, due)
        elif kind == CommandKind.VOICE_OFF:
            for intake in p.intakes:
                mine = [key for voice, key in intake.held if voice == slot]
                for key in mine:
                    del intake.held[slot, key]
                    due.append((t, 0, slot, 0, key, 0, 0))
        elif kind == CommandKind.LEVEL:
            self._level(slot, c, since, a, x)
        elif kind == CommandKind.STRIP:
            p.set_strip(slot, c, x, t)
        elif kind == CommandKind.CV_FREEZE:
            p.cv_in.freeze(bool(slot))
        elif kind == CommandKind.CLICK:
            p.state["click"] = 1 if slot else 0

    def _gain(self, source: int, bus: int, frame: int, frames: int, gain: float) -> None:
        ramp = self._p.state[0]["gains"][source, bus]
        pointer = self._p.mixer.ramp(source, bus)
        ramp["g0"] = lib.seg_ramp_at(pointer, frame)
        ramp["f0"], ramp["f1"], ramp["g1"] = frame, frame + _within(frames, 0), gain

    def _level(self, slot: int, kind: int, frame: int, frames: int, gain: float) -> None:
        mixer = self._p.mixer
        if kind not in LEVEL_KINDS or slot >= mixer.slots(LevelKind(kind)) or not 0 <= gain <= 16:
            return
        ramp = mixer.level(LevelKind(kind), slot)
        ramp.g0 = lib.seg_ramp_at(ramp, frame)
        ramp.f0, ramp.f1, ramp.g1 = frame, frame + _within(frames, 0), gain

    def _play(
        self,
        slot: int,
        start: int,
        offset: int,
        length: int,
        gain: float,
        loop: float,
        per_beat: float,
        beat: float,
        id_: int,
        role: int,
        ease: int,
        t: int,
    ) -> None:
        fits = (
            slot < MAX_STEMS
            and role < self._p.mixer.desk.role_count
            and offset >= 0
            and length > 0
            and offset + 2 * length <= self._p.shared.arena.size
            and (loop == 0 or length - 1 <= loop <= length + 1)
            and (per_beat == 0 or follows(beat, per_beat, self._p.rate))
            and 0 <= gain <= 16
        )
        if not start:  # with this block
            line = self._p.state[0]["timeline"]
            start = t
            beat = float(line["beat"] + (t - line["frame"]) * line["bpm"] / (60.0 * line["rate"]))
        if not fits or start < t:
            late = _within(t - start, 1, FOREVER) if fits else -1
            self.report(ReportKind.STEM_REFUSED, t, slot=slot, a=late, id=id_)
            return
        self._p.state[0]["stems"][slot] = (
            start,
            FOREVER,
            offset,
            length,
            loop,
            gain,
            1,
            id_,
            role,
            1,
            ease,
            beat,
            per_beat,
            0,
            -start,
            -start,
            0,
            0.0,
            0,
            0,
        )

    # ---- the safe path

    def safe(self, kind: int, value: float, t: int, due: list[Due]) -> None:
        """Obey DRY, panic, master, from whichever hand."""
        p = self._p
        s = p.state[0]
        if kind in (SafeKind.DRY_ON, SafeKind.DRY_OFF, SafeKind.DRY_TOGGLE):
            dry = kind == SafeKind.DRY_ON or (kind == SafeKind.DRY_TOGGLE and not s["dry"])
            if dry != bool(s["dry"]):
                p.state["dry"] = 1 if dry else 0
                if dry or not self._panic:  # else once that is over
                    p.set_ramp("ai", t, 0.0 if dry else 1.0, DRY_FADE_FRAMES)
                if dry:
                    p.cv.dry(t)
                else:
                    p.cv.open(t)
                self.report(ReportKind.DRY, t, slot=int(dry))
        elif kind == SafeKind.PANIC:
            for intake in p.intakes:
                due.extend(intake.release())
            p.set_ramp("ai", t, 0.0, PANIC_FADE_FRAMES)
            p.state["panic"] = self._panic = t + PANIC_FADE_FRAMES
            p.cv.dry(t)
            self.report(ReportKind.PANIC, t)
        elif kind == SafeKind.MASTER and 0.0 <= value <= 2.0:
            p.set_ramp("master", t, float(value), MASTER_FADE_FRAMES)

    def _finish_panic(self, t: int) -> None:
        """Its fade is over: nothing generated is left to be heard."""
        s = self._p.state[0]
        ended = 0
        for slot in range(MAX_STEMS):
            if s["stems"][slot]["state"]:
                s["stems"][slot]["state"] = 0
                ended |= 1 << slot
        self.report_stems(t, 0, 0, ended)
        self._p.silence_generated(self._generated)
        self._p.state["panic"] = self._panic = 0
        self._p.set_ramp("ai", t, 0.0 if s["dry"] else 1.0, DRY_FADE_FRAMES)

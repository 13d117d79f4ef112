"""The people of the night: when who plays, presses and kills what, and doing it.

One thread; not real-time safe.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.gig.hands import PADS, call, role_pad, stop_button, together, transport_pad
from engine.gig.night import Fault
from engine.gig.song import Cue, Do, Evening, SongPlan, Truth
from engine.gig.stage import PATCHES, GigError, Missed, Segue, Stage, wait_to
from engine.patch_load import load_patch
from engine.stem_queue import LATEST_S

PATCH = PATCHES / "gig.yaml"
RATE = 48000
HAND_S = 0.006  # standard deviation of a press
GO_S = LATEST_S + 0.004  # a count-in begins so long after standby is left, the press's way included
LOOK_BARS = 3.0  # a hand waits so long for a stem to be ready
CHECK_EVERY_S = 1.0
log = logging.getLogger("segue.gig")


@dataclass
class Happening:
    """Something that is to be done at a frame of the night."""

    frame: int
    do: Callable[[], None]


@dataclass
class NightPlayed:
    """What the night left beside the captures. presses: (frame, what for, role)."""

    presses: list[tuple[int, Do, str]] = field(default_factory=list)
    notes: list[int] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)  # frames at which standby was left
    faults: list[Fault] = field(default_factory=list)
    missed_cues: list[str] = field(default_factory=list)
    misses: list[Missed] = field(default_factory=list)

    def pressed(self, what: Do) -> list[int]:
        """Frames of the presses for something, in order."""
        return [frame for frame, do, _ in self.presses if do is what]


class Players:
    """Plays an evening on a stage. One thread; run() returns after the last frame."""

    def __init__(self, plan: Evening, stage: Stage) -> None:
        self.plan, self.stage = plan, stage
        self.played = NightPlayed()
        self._hand = random.Random(7)
        self._segue: Segue | None = None
        self._wanted: list[tuple[SongPlan, Cue, int]] = []  # queued by hand until this frame
        self._shown = _roles()[0]  # a role that the pads show, with its neighbours
        self._agenda = sorted(self._happenings(), key=lambda h: h.frame)
        self._checked = 0

    # ---- the plan

    def _happenings(self) -> list[Happening]:
        agenda: list[Happening] = []
        for before, after in itertools.pairwise(self.plan.songs):
            middle = (before.end + int(after.frames[0])) // 2
            agenda.append(Happening(middle, lambda: self._press(Do.SONG)))
            agenda.append(Happening(after.at(-1.0) - round(GO_S * RATE), self._leave_standby))
        for number, song in enumerate(self.plan.songs):
            agenda.append(Happening(int(song.frames[0]), lambda s=song: self._say(s)))  # type: ignore[misc]
            agenda += [
                Happening(self._hand_at(song, cue), lambda s=song, c=cue: self._cue(s, c))  # type: ignore[misc]
                for cue in song.plan.cues
            ]
            for k, bar in enumerate(song.plan.calls):
                agenda += [
                    Happening(song.at(bar + beat / 4.0), lambda k=key, v=velocity: self._note(k, v))  # type: ignore[misc]
                    for beat, key, velocity in call(k + 10 * number)
                ]
        return agenda

    def _hand_at(self, song: Truth, cue: Cue) -> int:
        late = 0.0 if cue.do is Do.KILL else self._hand.gauss(0.0, HAND_S)
        return song.at(cue.bar) + round(late * RATE)

    # ---- the night

    def run(self) -> NightPlayed:
        stage = self.stage
        self._segue = stage.start_segue(PATCH, f"gig-{os.getpid()}", ["--no-rig"])
        stage.begin(self._segue)
        while (now := stage.frame) < self.plan.frames:
            stage.pads.look(stage.seconds)
            self._queue(now)
            self._watch(now)
            while self._agenda and self._agenda[0].frame <= now:
                self._agenda.pop(0).do()
            until = self._agenda[0].frame if self._agenda else self.plan.frames
            wait_to((until - now) / RATE)
        self._count()
        return self.played

    def _watch(self, now: int) -> None:
        if now - self._checked > CHECK_EVERY_S * RATE:
            self._checked = now
            self.stage.check()
            if self._segue is None:
                return
            if self._segue.ended:
                raise GigError(f"segue run ended by itself: {self._segue.tail()}")
            self._segue.look()

    def _say(self, song: Truth) -> None:
        log.info("%s: %d bars at about %g", song.plan.name, song.plan.bars, song.plan.bpm)

    def _count(self) -> None:
        if self._segue is not None:
            self.played.misses.append(self._segue.missed())

    # ---- hands

    def _note_press(self, what: Do, role: str = "") -> None:
        self.played.presses.append((self.stage.frame, what, role))

    def _press(self, what: Do, role: str = "") -> None:
        self.stage.pads.press(transport_pad(PADS[what]))
        self._note_press(what, role)

    def _leave_standby(self) -> None:
        self._press(Do.STANDBY)
        self.played.begun.append(self.stage.frame)

    def _note(self, key: int, velocity: int) -> None:
        self.stage.keyboard.note(key, velocity)
        self.played.notes.append(self.stage.frame)

    def _look_at(self, role: str) -> None:
        """Pick a role: captures go into it, and it and its neighbours are shown."""
        self.stage.pads.press(role_pad(_roles(), role))
        self._shown = role

    def _cue(self, song: Truth, cue: Cue) -> None:
        log.info("  bar %5.2f  %s %s", cue.bar, cue.do.value, cue.what)
        if cue.do in (Do.QUEUE, Do.FILL):
            self._wanted.append((song.plan, cue, song.at(cue.bar + LOOK_BARS)))
        elif cue.do is Do.PAGE:
            self._look_at(cue.what)
        elif cue.do is Do.STOP:
            self._look_at(cue.what)
            self.stage.pads.press(stop_button(_roles(), cue.what))
            self._note_press(cue.do, cue.what)
        elif cue.do is Do.KILL:
            done = self._segue is not None and self._segue.kill_part("engine.conductor_process")
            if not done:
                raise GigError("there is no conductor to kill")
            self.played.faults.append(Fault("conductor killed", self.stage.frame))
            self._shown = _roles()[0]  # as its successor has it
        else:
            if cue.do is Do.TAP and cue.bar == 0.0:
                self.played.faults.append(Fault("wrong tempo", self.stage.frame))
            self._press(cue.do, cue.what)

    def _queue(self, now: int) -> None:
        """Press the newest ready stem of each role that is wanted, as soon as there is one."""
        for wish in list(self._wanted):
            plan, cue, until = wish
            if not together(_roles(), cue.what, self._shown):
                if wish is self._wanted[0]:
                    self._look_at(cue.what)
                continue
            ready = self.stage.pads.ready(_roles(), cue.what, self.stage.seconds)
            if ready:
                self.stage.pads.press(ready[-1])
                self._note_press(cue.do, cue.what)
            elif now > until:
                self.played.missed_cues.append(f"{plan.name}: no {cue.what} was ready")
                log.warning("%s", self.played.missed_cues[-1])
            if ready or now > until:
                self._wanted.remove(wish)


@functools.cache
def _roles() -> list[str]:
    return list(load_patch(PATCH).roles)

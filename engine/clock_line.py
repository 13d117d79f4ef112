"""The line that the performance's clock keeps, and the ways it changes: on in another tempo without
a jump (the tracker's), or another line altogether (a hand's). See engine/clock.py. Pure."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from engine.clock_evidence import TapSeries
from engine.clock_follow import SLEW, Follower
from engine.clock_state import CLOCK_STEPS, ClockState
from engine.timeline import Timeline, Timestamp, check_bpm

_C = ClockState


@dataclass(frozen=True)
class AtBar:
    """A change of octave that waits for a bar line."""

    beat: float  # the bar line waited for
    factor: float  # of the tempo
    shift: float  # beats
    by_hand: bool


class ClockLine:
    """follow: listen to BEAT observations (patch clock.source: listener). bpm_range: tempi that
    taps, commands and the tracker are held to."""

    def __init__(
        self, line: Timeline, follow: bool = False, bpm_range: tuple[float, float] = (40.0, 240.0)
    ) -> None:
        low, high = (check_bpm(b) for b in bpm_range)
        self.low, self.high = min(low, line.bpm), max(high, line.bpm)  # what a song says, goes
        self.line = line
        self.state = _C.SEARCHING if follow else _C.INTERNAL
        self.follow = follow
        self.held = False
        self.beat_by_hand = False  # a hand has said where the beat is
        self.one_by_hand = False  # a hand has said where the one is
        self._follower = Follower(line.rate, line.bpm, self.low, self.high)
        self._taps = TapSeries(line.rate)
        self._trust = 0.2 if follow else 1.0
        self._now = line.frame
        self._last_evidence = line.beat  # the beat of the last evidence that counted
        self._bend_until = math.inf  # the beat at which a bend ends
        self._wanted: float | None = None  # a tempo for the next advance
        self._at_bar: AtBar | None = None
        # Lines of the last beats with the frame each came into force: beats are observed late.
        self._past: deque[tuple[int, Timeline]] = deque([(line.frame, line)], maxlen=16)
        self._changed = True

    @property
    def _beat(self) -> float:
        return self.line.beat_at(self._now)

    def _next_bar(self) -> float:
        bar = self.line.beats_per_bar
        return float((math.floor(self._beat / bar) + 1) * bar)

    def _in_range(self, bpm: float) -> float:
        """The tempo, in the octave that lies in the range."""
        while bpm < self.low:
            bpm *= 2.0
        while bpm > self.high:
            bpm /= 2.0
        return max(bpm, self.low)

    def _become(self, state: ClockState) -> None:
        if state not in CLOCK_STEPS[self.state]:
            raise ValueError(f"clock is {self.state.value}, cannot become {state.value}")
        self.state = state

    def _line_at(self, frame: Timestamp) -> Timeline:
        for start, line in reversed(self._past):
            if start <= frame:
                return line
        return self._past[0][1]

    def _step(self, frame: Timestamp, beat: float, bpm: float) -> None:
        """Another line altogether; past evidence is read by it from now on."""
        self.line = replace(self.line, frame=round(frame), beat=beat, bpm=bpm)
        self._follower.set_base(bpm)
        self._past.clear()
        self._past.append((self._now, self.line))
        self._bend_until, self._wanted = math.inf, None
        self._last_evidence = self._beat
        self._changed = True

    def _run_at(self, bpm: float) -> None:
        """Another tempo from now on, phase kept, within SLEW of every tempo of the last beat."""
        since = self._now - 0.9 * self.line.frames_per_beat  # evidence comes a bit early, too
        while len(self._past) > 1 and self._past[1][0] <= since:
            self._past.popleft()
        recent = [line.bpm for _, line in self._past]
        bpm = min(max(bpm, max(recent) * (1.0 - SLEW)), min(recent) * (1.0 + SLEW))
        bpm = min(max(bpm, self.low), self.high)
        if bpm != self.line.bpm:
            self.line = self.line.with_tempo(self._now, bpm)
            self._past.append((self._now, self.line))
            self._changed = True

    def _by_hand(self, frame: float, beat: float, bpm: float) -> None:
        if bpm != self.line.bpm:
            self._at_bar = None
        self._follower.forget()
        whole = round(frame)
        self._step(whole, beat + (whole - frame) * bpm / (60.0 * self.line.rate), bpm)
        self.beat_by_hand = True
        self._trust = 1.0
        if self.state is _C.EXTERNAL and not self.follow:
            self._become(_C.INTERNAL)
        elif self.state in {_C.SEARCHING, _C.EXTERNAL}:
            self._become(_C.COASTING)

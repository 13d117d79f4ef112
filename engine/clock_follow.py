"""The tracker's loop: from beat evidence to a tempo, or to a doubt about octave and half-beat.

Pure; used by engine/clock.py alone, which limits how fast the line really changes and decides
whether a doubt may be acted on. Errors are in beats of the clock, positive when the clock is early.

Where a hand has said the beat, a tracker that has gone over to the off-beats is not believed about
the beat, but it still tells tempo and phase: left alone, the clock would run free for as long as
the tracker errs, and come back on another beat of the bar.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from engine.clock_evidence import BeatSeries
from engine.timeline import Timestamp

WINDOW_BEATS = 0.12  # evidence farther than this from a beat is not evidence about it
SLEW = 0.02  # share of the tempo that may change within one beat
GAIN_PHASE = 0.8  # share of a phase error bent away in a second ...
GAIN_TEMPO = 0.5  # ... that moves the tempo, a second squared: drummers drift in seconds
GAIN_MOST = 0.5  # of either in one beat: above, the loop rings at SLEW
RELOCK = 0.15  # tempo distance within which returning evidence is met by bending
RELOCK_PHASE = 0.25  # beats; farther than this the half-beat is in doubt
PULL_GAIN = 0.25  # share of the error bent away in a beat while it is met
PULL_MAX = 0.06  # share of the tempo bent for that, at most
PULL_LOST = 1.5  # beats of error at which meeting it is given up
LOCK_BEATS = 5  # consistent beats that start a lock
CONSISTENT = 8  # consistent beats that change the octave or the half-beat
ASTRAY = 0.02  # share by which the loop's tempo may leave that of the last beats together
BESIDE = 0.2  # beats around the half-beat, where the tracker is on the other side
SILENT_BEATS = 2.5  # without a beat: what was before says nothing any more
SAME = 0.06  # share within which two tempi count as the same


@dataclass(frozen=True)
class Verdict:
    """What one observed beat means. play: run at this tempo (beats a minute). locked: it fits, and
    so well (0..1). factor, shift: the octave or the half-beat is in doubt, and so to be changed."""

    play: float | None = None
    locked: float | None = None
    factor: float = 1.0
    shift: float = 0.0


NOTHING = Verdict()


class Follower:
    """Second-order loop around `base`, the tempo without the bend."""

    def __init__(self, rate: float, bpm: float, low: float, high: float) -> None:
        self._rate = rate
        self.base = bpm
        self._low, self._high = low, high
        self.forget()

    def forget(self) -> None:
        """Drop all evidence; the tempo stays."""
        self.series = BeatSeries(self._rate)
        self._per_beat = 1.0  # beats of the clock for one of the tracker's
        self._aside = 0.0  # beats by which the tracker's beats lie beside those a hand has said
        self._heard = math.inf  # the clock's beat at the last one, whatever became of it
        self._errors: deque[float] = deque(maxlen=CONSISTENT)
        self._last_index: int | None = None
        self._steady = 0.0  # beats a minute of the last evidence taken; 0: too little
        self._target: float | None = None  # the clock's beat at the last evidence, as to be met
        self._target_frame = 0

    def first(self) -> tuple[Timestamp, float] | None:
        """Where a search has ended: (frame of a beat, beats a minute), or None."""
        if self.series.consistent < LOCK_BEATS:
            return None
        heard = self.series.bpm
        fits = [f for f in (1.0, 0.5, 2.0) if self._low <= heard * f <= self._high]
        near = [f for f in fits if abs(heard * f / self.base - 1.0) <= RELOCK]
        if not fits:
            return None
        self._per_beat = (near or fits)[0]
        return self.series.last, heard * self._per_beat

    def hear(
        self, frame: Timestamp, beat: float, locked: bool, by_hand: bool, sure: bool = True
    ) -> Verdict:
        """Weigh a beat observed at `frame`, where the clock said `beat`. sure: the tracker is; else
        it is one that was expected, has to be one of many, and moves nothing but tempo and phase.
        """
        if beat - self._heard > SILENT_BEATS:
            self._errors.clear()
        self._heard = beat
        beat -= self._aside
        index, error = round(beat), beat - round(beat)
        if not sure and not self._confirms():
            return NOTHING
        self._errors.append(error)
        if self._target is not None:
            return self._meet(frame, beat)
        if abs(error) <= WINDOW_BEATS and (locked or self._agrees()):
            if self._last_index is not None and index <= self._last_index:
                return NOTHING
            self._last_index = index
            limit = SLEW * self.base
            period = 60.0 / self.base
            moved = self.base * (1.0 - min(GAIN_TEMPO * period**2, GAIN_MOST) * error)
            if self._confirms():
                self._steady = self._pace()
                moved = min(
                    max(moved, self._steady * (1.0 - ASTRAY)), self._steady * (1.0 + ASTRAY)
                )
            self.set_base(min(max(moved, self.base - limit), self.base + limit))
            return Verdict(
                play=self.base * (1.0 - self._phase_gain() * error),
                locked=1.0 - 0.5 * abs(error) / WINDOW_BEATS,
            )
        if sure and not by_hand and (doubt := self._doubt()) is not None:
            return doubt
        if sure and by_hand and self._went_aside():
            self._aside = 0.5 - self._aside
            self._errors.clear()
            self._last_index = None
            return NOTHING
        if not locked and self._may_meet(error):
            self._target, self._target_frame = float(index), frame
            return self._meet(frame, beat)
        return NOTHING

    def expects(self, beat: float) -> bool:
        """Whether a beat is anywhere near where the clock says `beat`."""
        beat -= self._aside
        return abs(beat - round(beat)) <= RELOCK_PHASE

    def _confirms(self) -> bool:
        """After a lost cycle aubio may say for a quarter of a minute that it is not sure, of beats
        that are right to a hundredth. Even beats at our tempo and phase need no word of it."""
        even = self.series.spanning >= LOCK_BEATS
        return even and abs(self._pace() / self.base - 1.0) <= SAME

    def settle(self) -> None:
        """Nothing is heard any more. Go on at the tempo of the last beats together: the loop's own
        may be in the midst of a correction."""
        if abs(self._steady / self.base - 1.0) <= SAME:
            self.set_base(self._steady)

    def _pace(self) -> float:
        """Beats a minute of the last beats, in the octave they were taken in."""
        return 60.0 * self._rate / self.series.pace * self._per_beat

    def set_base(self, bpm: float) -> None:
        self._low, self._high = min(self._low, bpm), max(self._high, bpm)
        self.base = bpm

    def _phase_gain(self) -> float:
        return min(GAIN_PHASE * 60.0 / self.base, GAIN_MOST)

    def _ratio(self) -> float:
        """The tracker's tempo, in the octave it was taken in, over ours."""
        return self.series.bpm * self._per_beat / self.base

    def _agrees(self) -> bool:
        """Coasting: two beats in a row at our tempo (or its octaves) are evidence again."""
        heard = self.series.bpm
        return any(abs(heard * f / self.base - 1.0) <= RELOCK for f in (1.0, 0.5, 2.0))

    def _may_meet(self, error: float) -> bool:
        """Coasting: is this series near enough in tempo and phase to be met?"""
        if self.series.consistent < LOCK_BEATS or abs(error) > RELOCK_PHASE:
            return False
        for factor in (1.0, 0.5, 2.0):
            if abs(self.series.bpm * factor / self.base - 1.0) <= RELOCK:
                self._per_beat = factor
                return True
        return False

    def _meet(self, frame: Timestamp, beat: float) -> Verdict:
        """Bend towards returning evidence, its beats numbered from where it was taken up."""
        period = self.series.period
        if not period or self._target is None:
            self._target = None
            return NOTHING
        self._target += self._per_beat * round((frame - self._target_frame) / period)
        self._target_frame = frame
        error = beat - self._target
        heard = self.series.bpm * self._per_beat
        if abs(error) > PULL_LOST or abs(heard / self.base - 1.0) > 2 * RELOCK:
            self._target = None
            return NOTHING
        bend = min(max(PULL_GAIN * error, -PULL_MAX), PULL_MAX)
        step = min(max(heard, self.base * (1.0 - SLEW)), self.base * (1.0 + SLEW))
        self.set_base(step)
        if abs(error) <= WINDOW_BEATS / 2 and abs(heard / self.base - 1.0) <= SLEW:
            self._target, self._last_index = None, round(beat)
            return Verdict(play=self.base * (1.0 - self._phase_gain() * error), locked=0.7)
        return Verdict(play=self.base * (1.0 - bend))

    def _went_aside(self) -> bool:
        """The tracker's beats are half a beat off those that it told before; sooner believed while
        it was followed, since a drummer's drift soon hides which way it went."""
        followed = any(abs(e) <= WINDOW_BEATS for e in self._errors)
        needed = LOCK_BEATS if followed else CONSISTENT
        if self.series.consistent < needed or len(self._errors) < needed:
            return False
        if abs(self._ratio() - 1.0) > SAME:
            return False
        return all(abs(abs(e) - 0.5) <= BESIDE for e in list(self._errors)[-needed:])

    def _doubt(self) -> Verdict | None:
        if self.series.consistent < CONSISTENT or len(self._errors) < CONSISTENT:
            return None
        ratio = self._ratio()
        if abs(ratio - 1.0) <= SAME:
            off = all(abs(abs(e) - 0.5) <= WINDOW_BEATS for e in self._errors)
            return Verdict(shift=0.5) if off else None
        for factor in (2.0, 0.5):
            if abs(ratio / factor - 1.0) <= SAME and (
                self._low <= self.base * factor <= self._high
            ):
                return Verdict(factor=factor)
        return None

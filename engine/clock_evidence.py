"""What the clock hears: a series of observed beats, and a series of taps.

Pure, frames in; used by engine/clock.py alone.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from engine.timeline import Timestamp

LONGEST_S = 3.0  # between two beats of one series (20 BPM)
SHORTEST_S = 0.12  # a bounce, not a second beat or tap
EVEN = 0.10  # share by which intervals of a consistent series may differ from their median
LEFT_OUT = 2  # beats in a row that a series may leave out
TAP_TIMEOUT_S = 2.0  # after a single tap; later two of its own intervals
TAP_EVEN = 0.30  # share by which a tap may miss; beyond it starts a new series
TAPS_FIT = 8  # the last so many count
TAPS_SET = 4  # from so many on, taps set the clock


class BeatSeries:
    """Observed beats, and how many of the last agree with each other."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._frames: deque[int] = deque(maxlen=12)
        self.consistent = 0  # beats in the even tail
        self.period = 0.0  # frames, mean of that tail; 0 below two beats
        self.spanning = 0  # beats in the tail that is even but for beats left out
        self.pace = 0.0  # frames, mean of that tail; 0 below two beats

    def add(self, frame: Timestamp) -> bool:
        """Take a beat; False (and nothing taken) for one that goes back or bounces."""
        if self._frames:
            interval = frame - self._frames[-1]
            if interval < SHORTEST_S * self._rate:
                return False
            if interval > LONGEST_S * self._rate:
                self._frames.clear()
        self._frames.append(frame)
        self._measure()
        return True

    @property
    def bpm(self) -> float:
        return 60.0 * self._rate / self.period if self.period else 0.0

    @property
    def last(self) -> Timestamp:
        return self._frames[-1]

    def _measure(self) -> None:
        intervals = np.diff(np.array(self._frames, np.float64))
        self.consistent = self.spanning = min(len(self._frames), 1)
        self.period = self.pace = 0.0
        if not len(intervals):
            return
        middle = float(np.median(intervals[-4:]))
        if tail := _even_tail(intervals, middle):
            self.consistent = tail + 1
            self.period = float(np.mean(intervals[-tail:]))
        folded = intervals / np.clip(np.round(intervals / middle), 1, LEFT_OUT + 1)
        if tail := _even_tail(folded, middle):
            self.spanning = tail + 1
            self.pace = float(np.mean(folded[-tail:]))


def _even_tail(intervals: np.ndarray, middle: float) -> int:
    """How many of the last intervals are about `middle`."""
    even = np.abs(intervals / middle - 1.0) <= EVEN
    return len(even) if even.all() else int(np.argmin(even[::-1]))


class TapSeries:
    """Taps of a hand. add() fits from the fourth on; finish() ends a series that timed out."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._frames: list[int] = []

    @property
    def count(self) -> int:
        return len(self._frames)

    def add(self, frame: Timestamp) -> tuple[float, float] | None:
        """Take a tap. (beats a minute, frame of this tap as fitted) from the fourth on."""
        if self._frames:
            interval = frame - self._frames[-1]
            if interval < SHORTEST_S * self._rate:
                return None
            if len(self._frames) > 1 and abs(interval / self._interval() - 1.0) > TAP_EVEN:
                self._frames.clear()
        self._frames.append(frame)
        return self._fit() if self.count >= TAPS_SET else None

    def finish(self, now: Timestamp) -> tuple[float, float] | None:
        """End the series when it has timed out at `now`; the fit of one with two or three taps."""
        if not self._frames:
            return None
        wait = TAP_TIMEOUT_S * self._rate if self.count == 1 else 2.0 * self._interval()
        if now - self._frames[-1] <= wait:
            return None
        fit = self._fit() if 2 <= self.count < TAPS_SET else None
        self._frames.clear()
        return fit

    def forget(self) -> None:
        """End the series, whatever it was to be."""
        self._frames.clear()

    def _interval(self) -> float:
        return (self._frames[-1] - self._frames[0]) / (self.count - 1)

    def _fit(self) -> tuple[float, float]:
        """Least squares of the last taps over their index."""
        y = np.array(self._frames[-TAPS_FIT:], np.float64)
        x = np.arange(len(y)) - (len(y) - 1) / 2.0
        slope = float(x @ y / (x @ x))
        return 60.0 * self._rate / slope, float(y.mean() + slope * x[-1])

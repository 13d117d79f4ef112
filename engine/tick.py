"""The metronome: a short sine on every beat of the timeline, higher on the one. Real-time safe."""

from __future__ import annotations

import math

import numpy as np

from engine.shm_records import timeline_of

TICK_S = 0.03


def _tick(rate: float, hertz: float) -> np.ndarray:
    x = np.arange(round(TICK_S * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * x) * np.exp(-x / 0.006)).astype(np.float32)


class Tick:
    """What has begun sounds to its end, whatever becomes of click and timeline, and nothing begins
    within it: a line that steps back a little gives no second tick."""

    def __init__(self, rate: float) -> None:
        self._one = _tick(rate, 1760.0)
        self._other = _tick(rate, 1174.7)
        self._sound = self._one
        self._begun = -len(self._one)  # frame at which the last tick began
        self._silent = False

    def render(self, state: np.ndarray, t: int, n: int, target: np.ndarray) -> None:
        """target float32 (2, >= n): both rows get the ticks of [t, t+n)."""
        length = len(self._one)
        on = state["click"][0]
        if not on and t >= self._begun + length:
            if not self._silent:
                target[:] = 0.0
                self._silent = True
            return
        self._silent = False
        target[:, :n] = 0.0
        self._go_on(t, t, n, target)
        if not on:
            return
        line = timeline_of(state["timeline"])
        beat = math.floor(line.beat_at(t))
        while (frame := line.frame_at(beat)) < t + n:
            if frame >= max(t, self._begun + length):
                self._begun = frame
                self._sound = self._one if beat % line.beats_per_bar == 0 else self._other
                self._go_on(frame, t, n, target)
            beat += 1

    def _go_on(self, since: int, t: int, n: int, target: np.ndarray) -> None:
        """The last tick's frames [since, t+n), of the block at t."""
        end = min(t + n, self._begun + len(self._sound))
        if since < end:
            target[:, since - t : end - t] = self._sound[since - self._begun : end - self._begun]

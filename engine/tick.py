"""The metronome: a short sine on every beat of the timeline, higher on the one. Real-time safe."""

from __future__ import annotations

import numpy as np

from engine.shm_records import timeline_of

TICK_S = 0.03


def _tick(rate: float, hertz: float) -> np.ndarray:
    x = np.arange(round(TICK_S * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * x) * np.exp(-x / 0.006)).astype(np.float32)


class Tick:
    def __init__(self, rate: float) -> None:
        self._one = _tick(rate, 1760.0)
        self._other = _tick(rate, 1174.7)
        self._sounded = True

    def render(self, state: np.ndarray, t: int, n: int, target: np.ndarray) -> None:
        """target float32 (2, >= n): both rows get the ticks of [t, t+n)."""
        if not state["click"][0]:
            if self._sounded:
                target[:] = 0.0
                self._sounded = False
            return
        self._sounded = True
        target[:, :n] = 0.0
        line = timeline_of(state["timeline"])
        length = len(self._one)
        beat = int(np.ceil(line.beat_at(t - length)))
        while (frame := line.frame_at(beat)) < t + n:
            sound = self._one if beat % line.beats_per_bar == 0 else self._other
            a, b = max(t, frame), min(t + n, frame + length)
            if a < b:
                target[:, a - t : b - t] = sound[a - frame : b - frame]
            beat += 1

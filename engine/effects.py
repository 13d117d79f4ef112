"""The two shared effects, a reverb and a delay in time with the timeline: what their settings mean,
and their memory. The kernel runs them (engine/effects.c), wet only.

They were pedalboard's until those were measured: 7 and 4 us of a 2667 us block in a hot loop, three
times that in the audio process, other samples at blocks of fewer than 64 frames, and a delay whose
time could not change without a click. A successor of a dead audio process begins with them empty.

Real-time safe after __init__.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.kernel import ffi, pointer
from engine.patch import Effects

# Frames at 48 kHz, primes, so that no two lines ring together.
LINES = (1123, 1361, 1487, 1693, 1907, 2131, 2341, 2551)
DIFFUSE = (149, 211, 307, 401)
SHORTEST = 65  # frames: the kernel works in stretches of 64
REVERB_LEVEL = 0.32
DAMPING_MOST = 0.8  # of the low-pass in each line
DELAY_S = 4.0  # echoes further apart come twice as often, or four times ...
CROSSFADE_S = 0.03


def _power_of_two(frames: float) -> int:
    return 1 << int(np.ceil(np.log2(frames)))


def _touched(rows: int, size: int) -> np.ndarray:
    """Zeros whose pages are there already."""
    memory = np.empty((rows, size), np.float32)
    memory.fill(0.0)
    return memory


class SharedEffects:
    """rate: frames a second. reverb, delay: the kernel's structs, for as long as this lives."""

    def __init__(self, settings: Effects, rate: float) -> None:
        self._settings, self._rate = settings, rate
        lengths = [max(SHORTEST, round(n * rate / 48000)) for n in (*LINES, *DIFFUSE)]
        self._lines = _touched(len(lengths), _power_of_two(max(lengths) + 64))
        self._echoes = _touched(2, _power_of_two(DELAY_S * rate))
        self.reverb: Any = ffi.new("seg_reverb *")
        self.delay: Any = ffi.new("seg_delay *")
        r, d = self.reverb, self.delay
        r.lines, r.size = pointer(self._lines), self._lines.shape[1]
        r.length, r.diffuse = lengths[:8], lengths[8:]
        decay = np.array([10.0 ** (-3.0 * n / (settings.reverb.decay_s * rate)) for n in r.length])
        damp = DAMPING_MOST * settings.reverb.damping
        r.gain, r.damp = (decay * (1.0 - damp)).tolist(), [damp] * len(LINES)
        r.level = REVERB_LEVEL
        d.line, d.size = pointer(self._echoes), self._echoes.shape[1]
        d.fade_frames, d.feedback = round(CROSSFADE_S * rate), settings.delay.feedback

    def tempo(self, bpm: float) -> None:
        """The delay goes over to this tempo, without a click."""
        seconds = self._settings.delay.beats * 60.0 / bpm
        if seconds > DELAY_S:
            seconds *= 2.0 ** -math.ceil(math.log2(seconds / DELAY_S))
        self.delay.wanted = max(1, min(round(seconds * self._rate), self.delay.size))

    def reset(self) -> None:
        """Forget what was heard (after NaN, at panic); behind a fade."""
        self._lines.fill(0.0)
        self.reverb.low = [0.0] * 8
        self.delay.written = self.delay.fade = 0

"""Streaming sample-rate conversion for checkpoints made for another rate than the interface's."""

from __future__ import annotations

import math

import numpy as np

TAPS = 64


class Resampler:
    """float32 (channels, n) at `source` Hz -> (channels, about n * target / source) at `target`.

    A windowed sinc of TAPS source frames, exact rational steps: how the stream is cut into calls
    changes nothing, and no drift adds up. Delay: TAPS / 2 source frames. Allocates.
    """

    def __init__(self, source: int, target: int, channels: int) -> None:
        divisor = math.gcd(source, target)
        self._up, self._down = target // divisor, source // divisor
        self._channels = channels
        # Passband 92 % of the lower rate's half: the rest is the window's slope.
        cutoff = 0.92 * min(1.0, target / source)
        phase = np.arange(self._up)[:, None] / self._up
        x = np.arange(TAPS) - (TAPS // 2 - 1) - phase
        window = np.i0(9.0 * np.sqrt(np.clip(1 - (x / (TAPS / 2)) ** 2, 0, 1))) / np.i0(9.0)
        table = cutoff * np.sinc(cutoff * x) * window
        self._table = (table / table.sum(1, keepdims=True)).astype(np.float32)
        self.reset()

    def reset(self) -> None:
        self._past = np.zeros((self._channels, TAPS - 1), np.float32)
        self._at = 0  # place of the next output in `_past`, in 1 / _up of a source frame

    def process(self, x: np.ndarray) -> np.ndarray:
        x = np.concatenate([self._past, x], axis=1)
        room = (x.shape[1] - TAPS + 1) * self._up - self._at
        count = max(0, -(-room // self._down))
        places = self._at + self._down * np.arange(count)
        base, phase = places // self._up, places % self._up
        pieces = x[:, base[:, None] + np.arange(TAPS)]
        y = np.einsum("cnt,nt->cn", pieces, self._table[phase]).astype(np.float32)
        self._at += self._down * count
        done = min(self._at // self._up, x.shape[1])
        self._past, self._at = x[:, done:], self._at - done * self._up
        return y

"""The two shared effects, made of pedalboard's plug-ins.

Output is the same at any block of 64 frames or more; pedalboard guesses which axis is time, wrongly
for one or two frames, so shorter blocks pass untouched. process() is real-time safe in the sense of
this engine: bounded, no lock that another thread holds, arrays that live for one block.
"""

from __future__ import annotations

import numpy as np
from pedalboard import Delay, Pedalboard, Plugin, Reverb

FRAMES_MIN = 3


class Chain:
    """Plug-ins in a row with streaming state. channels: 1 or 2, fixed."""

    def __init__(self, plugins: list[Plugin], rate: float, channels: int) -> None:
        self._board = Pedalboard(plugins)
        self._rate = rate
        silence = np.zeros((channels, 256), np.float32)
        for _ in range(8):
            self._board(silence, rate, reset=False)
        self._board.reset()

    def process(self, x: np.ndarray) -> None:
        """In place. x float32 (channels, n)."""
        if x.shape[1] >= FRAMES_MIN:
            x[:] = self._board(x, self._rate, reset=False)

    def reset(self) -> None:
        """Forget filters' and tails' state (after NaN, at panic)."""
        self._board.reset()


def effect_chain(name: str, rate: float, bpm: float) -> Chain:
    """The shared effect of a send bus; wet only."""
    if name == "reverb":
        return Chain([Reverb(room_size=0.7, damping=0.5, wet_level=0.33, dry_level=0)], rate, 2)
    if name == "delay":
        dotted_eighth = 0.75 * 60.0 / bpm
        return Chain([Delay(min(dotted_eighth, 2.0), feedback=0.35, mix=1.0)], rate, 2)
    raise ValueError(f"effect {name!r}, expected reverb or delay")

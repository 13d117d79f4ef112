"""Input strips and the two shared effects, made of pedalboard's plug-ins.

Output is the same at any block of 64 frames or more; pedalboard guesses which axis is time, wrongly
for one or two frames, so shorter blocks pass untouched. process() is real-time safe in the sense of
this engine: bounded, no lock that another thread holds, arrays that live for one block.
"""

from __future__ import annotations

import numpy as np
from pedalboard import (
    Compressor,
    Delay,
    HighpassFilter,
    HighShelfFilter,
    LowShelfFilter,
    NoiseGate,
    PeakFilter,
    Pedalboard,
    Plugin,
    Reverb,
)

from engine.patch import Strip

FRAMES_MIN = 3


def plugins_of(strip: Strip) -> list[Plugin]:
    """The stages a strip asks for, in order: high-pass, gate, EQ, compressor (3:1)."""
    stages: list[Plugin] = []
    if strip.highpass_hz is not None:
        stages.append(HighpassFilter(strip.highpass_hz))
    if strip.gate_db is not None:
        stages.append(NoiseGate(strip.gate_db, ratio=10, attack_ms=1, release_ms=100))
    if strip.low_db is not None:
        stages.append(LowShelfFilter(200, strip.low_db, 0.7))
    if strip.mid_db is not None:
        stages.append(PeakFilter(1000, strip.mid_db, 0.7))
    if strip.high_db is not None:
        stages.append(HighShelfFilter(5000, strip.high_db, 0.7))
    if strip.compressor_db is not None:
        stages.append(Compressor(strip.compressor_db, ratio=3, attack_ms=5, release_ms=120))
    return stages


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


def strip_chain(strip: Strip, rate: float) -> Chain | None:
    """None for a strip without stages: its input stays bit-transparent."""
    stages = plugins_of(strip)
    return Chain(stages, rate, 1) if stages else None


def effect_chain(name: str, rate: float, bpm: float) -> Chain:
    """The shared effect of a send bus; wet only."""
    if name == "reverb":
        return Chain([Reverb(room_size=0.7, damping=0.5, wet_level=0.33, dry_level=0)], rate, 2)
    if name == "delay":
        dotted_eighth = 0.75 * 60.0 / bpm
        return Chain([Delay(min(dotted_eighth, 2.0), feedback=0.35, mix=1.0)], rate, 2)
    raise ValueError(f"effect {name!r}, expected reverb or delay")

"""The reference pitch: what A4 is tonight. Pure; real-time safe."""

from __future__ import annotations

import math

A4_HZ = 440.0
A4_LOW_HZ, A4_HIGH_HZ = 400.0, 480.0  # historical pitches, and what a cold hall does to brass
A4_KEY = 69


def semitones(tuning_hz: float) -> float:
    """How far an A4 of tuning_hz lies above 440 Hz, in semitones of equal temperament; an octave of
    control voltage is 12 of them."""
    return 12.0 * math.log2(tuning_hz / A4_HZ)


def frequency(key: float, tuning_hz: float = A4_HZ) -> float:
    """Hz of a MIDI key (fractions allowed) in equal temperament."""
    return tuning_hz * 2.0 ** ((key - A4_KEY) / 12.0)

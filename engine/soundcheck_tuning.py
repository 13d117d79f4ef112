"""The reference pitch from a held note: figures of a pitch tracker in, A4 out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.tuning import A4_HIGH_HZ, A4_HZ, A4_LOW_HZ, frequency

SURE = 0.9  # confidence of the tracker
LEAST_S = 1.0  # of sure pitch; less is an attack
STEADY_CENTS = 12.0  # between the 16th and 84th percentile, halved: more is vibrato, or a tune
NEAR_CENTS = 150.0  # from the note that was asked for, in any octave


class NoReference(ValueError):
    """No reference to be had from this: says why, and what to do."""


@dataclass(frozen=True)
class Reference:
    """tuning_hz: A4. spread_cents: half of what lies between the 16th and 84th percentile. seconds:
    of sure pitch that it rests on."""

    tuning_hz: float
    spread_cents: float
    seconds: float


def reference(pitches: np.ndarray, sure: np.ndarray, hop_s: float, key: int = 69) -> Reference:
    """pitches (Hz) and their confidences, one a hop; key: the note that was asked for, in whatever
    octave it was played. Raises NoReference."""
    good = (sure >= SURE) & (pitches > 20.0) & np.isfinite(pitches)
    seconds = float(np.count_nonzero(good)) * hop_s
    if seconds < LEAST_S:
        raise NoReference(
            f"only {seconds:.1f} s of clear pitch, at least {LEAST_S:g}: one long note, alone"
        )
    cents = 1200.0 * np.log2(pitches[good] / frequency(key))
    cents -= 1200.0 * np.round(np.median(cents) / 1200.0)  # another octave is the same note
    middle = float(np.median(cents))
    low, high = np.percentile(cents, [16.0, 84.0])
    spread = float(high - low) / 2.0
    if spread > STEADY_CENTS:
        raise NoReference(f"the pitch moves by {spread:.0f} cents: one long note without vibrato")
    tuning_hz = A4_HZ * 2.0 ** (middle / 1200.0)
    if abs(middle) > NEAR_CENTS or not A4_LOW_HZ <= tuning_hz <= A4_HIGH_HZ:
        raise NoReference(f"that note is {middle:+.0f} cents from the one asked for: that one")
    return Reference(tuning_hz, spread, seconds)

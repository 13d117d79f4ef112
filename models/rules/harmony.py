"""Scales, progressions and voicings. Pitch classes 0-11 (0 = C); keys are MIDI; degrees from 0.

The progression depends on mode and vibe alone, never on the seed: stems of different roles and
seeds that sound together agree on the chord of every bar.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)

PROGRESSIONS_MAJOR = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 1, 4), (0, 2, 3, 4))
PROGRESSIONS_MINOR = ((0, 5, 2, 6), (0, 3, 5, 6), (0, 6, 5, 6), (0, 2, 6, 3), (0, 5, 3, 4))


@dataclass(frozen=True)
class Harmony:
    """A tonic pitch class and the chord (scale degree of its root) of each bar."""

    tonic: int
    minor: bool
    degrees: tuple[int, ...]

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the key, from its tonic."""
        return tuple((self.tonic + s) % 12 for s in (MINOR if self.minor else MAJOR))

    def pitch_classes(self, bar: int, size: int = 3) -> tuple[int, ...]:
        """Pitch classes of a bar's chord, root first: stacked thirds, 3 or 4 of them."""
        degree = self.degrees[bar % len(self.degrees)]
        return tuple(self.scale[(degree + 2 * i) % 7] for i in range(size))

    def ladder(self, low: int, high: int) -> list[int]:
        """Every key of the scale from low to high, rising."""
        return [k for k in range(low, high + 1) if k % 12 in self.scale]


def harmony(key: int, minor: bool, bars: int, vibe: str = "") -> Harmony:
    """The chords of `bars` bars: a four-bar progression chosen by mode and vibe, over and over."""
    choices = PROGRESSIONS_MINOR if minor else PROGRESSIONS_MAJOR
    chosen = choices[zlib.crc32(vibe.strip().lower().encode()) % len(choices)]
    return Harmony(key % 12, minor, tuple(chosen[b % 4] for b in range(max(1, bars))))


def nearest(pitch_class: int, to: int) -> int:
    """The key of a pitch class that lies nearest to `to` (the lower one of two equals)."""
    below = to - (to - pitch_class) % 12
    return below if to - below <= below + 12 - to else below + 12


def voice_lead(pitch_classes: tuple[int, ...], before: list[int], centre: int) -> list[int]:
    """Spread a chord near `centre`, each voice as near as can be to the chord before."""
    if not before:
        root = nearest(pitch_classes[0], centre - 4)
        return [root] + [root + (pc - pitch_classes[0]) % 12 for pc in pitch_classes[1:]]
    inversions: list[list[int]] = []
    for turn in range(len(pitch_classes)):
        order = pitch_classes[turn:] + pitch_classes[:turn]
        for low in (nearest(order[0], centre - 9), nearest(order[0], centre - 3)):
            inversions.append([low] + [low + (pc - order[0]) % 12 for pc in order[1:]])

    def cost(voices: list[int]) -> float:
        moved = sum(min(abs(v - b) for b in before) for v in voices)
        return moved + 0.3 * abs(sum(voices) / len(voices) - centre)

    best: list[int] = min(inversions, key=cost)
    return sorted(best)

"""What a patch may ask of the answers, and which keys they may strike.

Steering    the player's config, checked. Seconds, MIDI keys and 0..1 amounts, as named below.
KeyFinder   guesses the scale from what was heard (Krumhansl and Kessler's profiles, 1982).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from engine.adapter import AdapterError, config_number

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "minor_pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "chromatic": tuple(range(12)),
}
NOTE_NAMES = ("c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b")
FLAT_NAMES = {"db": 1, "eb": 3, "gb": 6, "ab": 8, "bb": 10}
ANSWERS = ("together", "call_response")
CONTROLS = 4  # that hands have on it
INSTRUMENTS = 320  # Notochord's: 1-128 General MIDI, 129-256 drums, 257-320 anonymous
# key: lowest, highest; whole numbers where both are ints
_NUMBERS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "instrument": (1, INSTRUMENTS),
    "performer_instrument": (1, INSTRUMENTS),
    "temperature": (0.05, 2.0),
    "density": (0.0, 1.0),
    "leap": (1, 127),
    "polyphony": (1, 16),
    "max_note_s": (0.1, 30.0),
    "pause_s": (0.1, 10.0),
    "linger_s": (0.1, 60.0),
    "max_gap_s": (0.1, 10.0),
}

_MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
_FORGET = 0.97  # weight of the past at each new note
_ENOUGH = 7.0  # weighted notes (some 8) before a guess is worth more than none
_OFTEN = 0.08  # share of the notes from which a pitch class outside the scale is allowed too


@dataclass(frozen=True)
class Steering:
    """answer: together (at any time) or call_response (once nobody struck a key for pause_s).

    instrument, performer_instrument: Notochord's numbers, which only colour what it plays.
    key: pitch class, "auto" (from what is heard) or None (no constraint; scale is then unused).
    leap: largest step from its last note, in semitones. polyphony: its notes at a time.
    temperature: below 1 keeps to the likelier choices. density: 0.5 as the model would have it.
    linger_s: goes on so long after the last thing heard. max_gap_s: longest wait for its next note.
    """

    seed: int = 0
    answer: str = "together"
    instrument: int = 12
    performer_instrument: int = 1
    key: int | str | None = "auto"
    scale: str = "major"
    register: tuple[int, int] = (55, 86)
    temperature: float = 0.9
    density: float = 0.5
    leap: int = 9
    polyphony: int = 2
    max_note_s: float = 2.5
    pause_s: float = 0.5
    linger_s: float = 4.0
    max_gap_s: float = 1.5

    @staticmethod
    def from_config(config: dict[str, Any]) -> Steering:
        """Check a player's config. Raises AdapterError: the key, what was found and expected."""
        known = {f.name for f in fields(Steering)}
        for name in config:
            if name not in known:
                raise AdapterError(
                    f"notochord: config has the unknown key {name!r}; known are {sorted(known)}"
                )
        d = dict(config)
        for name in d.keys() & _NUMBERS.keys():
            d[name] = config_number("notochord", name, d[name], *_NUMBERS[name])
        _one_of(d, "answer", ANSWERS)
        _one_of(d, "scale", tuple(SCALES))
        if "key" in d:
            d["key"] = _key(d["key"])
        if "register" in d:
            d["register"] = _register(d["register"])
        made = Steering(**d)
        if made.instrument == made.performer_instrument:
            raise AdapterError(
                f"notochord: instrument and performer_instrument are both {made.instrument}; the "
                "model must tell the two apart, so give them different numbers"
            )
        if not made.keys(made.scale_classes()):
            raise AdapterError(
                f"notochord: no note of key {made.key!r} {made.scale} lies in register "
                f"{list(made.register)}; make the register wider"
            )
        return made

    def moved(self, controls: Sequence[float]) -> Steering:
        """With the hands' controls (-1..1, 0 at rest): 1, density, by up to a half; 2, temperature
        and 3, the largest step, from half to double; 4, the register, by up to an octave."""
        d, t, leap, r = (min(1.0, max(-1.0, float(c))) for c in controls[:CONTROLS])
        low, high = self.register
        up = min(127 - high, max(-low, round(12.0 * r)))
        return replace(
            self,
            density=min(1.0, max(0.0, self.density + 0.5 * d)),
            temperature=min(2.0, max(0.05, self.temperature * 2.0**t)),
            leap=min(127, max(1, round(self.leap * 2.0**leap))),
            register=(low + up, high + up),
        )

    def scale_classes(self) -> frozenset[int]:
        """The pitch classes a fixed key allows; all twelve without one."""
        if not isinstance(self.key, int):
            return frozenset(range(12))
        return frozenset((self.key + s) % 12 for s in SCALES[self.scale])

    def keys(self, classes: frozenset[int]) -> set[int]:
        """The MIDI keys of the register that belong to the pitch classes."""
        return {k for k in range(self.register[0], self.register[1] + 1) if k % 12 in classes}


class KeyFinder:
    """Which pitch classes fit what was heard lately."""

    def __init__(self) -> None:
        self._heard = np.zeros(12)
        self._classes: frozenset[int] = frozenset(range(12))

    def hear(self, key: int) -> None:
        """Count a struck MIDI key."""
        self._heard *= _FORGET
        self._heard[key % 12] += 1.0
        self._classes = self._guess()

    def classes(self) -> frozenset[int]:
        """The likeliest major or minor scale, and what else was played often; all at first."""
        return self._classes

    def _guess(self) -> frozenset[int]:
        total = float(self._heard.sum())
        if total < _ENOUGH:
            return frozenset(range(12))
        best, tonic, scale = -math.inf, 0, "major"
        for name, profile in (("major", _MAJOR), ("minor", _MINOR)):
            centred = profile - profile.mean()
            for k in range(12):
                fit = float(np.roll(centred, k) @ self._heard) / float(np.linalg.norm(centred))
                if fit > best:
                    best, tonic, scale = fit, k, name
        often = {int(c) for c in np.nonzero(self._heard > _OFTEN * total)[0]}
        return frozenset({(tonic + s) % 12 for s in SCALES[scale]} | often)


def _fail(name: str, found: object, expected: str) -> AdapterError:
    return AdapterError(f"notochord: config {name} is {found!r}, expected {expected}")


def _one_of(d: dict[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if name in d and (not isinstance(d[name], str) or d[name] not in allowed):
        raise _fail(name, d[name], f"one of {', '.join(allowed)}")


def _key(v: object) -> int | str | None:
    if v is None or v == "auto":
        return v if v is None else "auto"
    if isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 11:
        return v
    if isinstance(v, str):
        name = v.strip().lower()
        if name in NOTE_NAMES:
            return NOTE_NAMES.index(name)
        if name in FLAT_NAMES:
            return FLAT_NAMES[name]
    raise _fail("key", v, "0 to 11 (0 is C), a note name such as F#, auto, or null")


def _register(v: object) -> tuple[int, int]:
    if isinstance(v, list | tuple) and len(v) == 2:
        low, high = v
        whole = all(isinstance(x, int) and not isinstance(x, bool) for x in (low, high))
        if whole and 0 <= low <= high <= 127:
            return low, high
    raise _fail("register", v, "two MIDI keys [low, high] from 0 to 127")

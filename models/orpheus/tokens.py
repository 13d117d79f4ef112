"""Orpheus tokens: `delta (patchpitch durvel)+`, one group an onset.

    0..255        delta time since the last onset, units of 16 ms
    256..16767    256 + 128 * patch + pitch; patch 128 is the drum kit
    16768..18815  16768 + 8 * duration + velocity octave; duration 1..255 units,
                  velocity (octave + 1) * 15
    18816..18819  start of song, outro, end of song, padding

At 117.1875 beats a minute a sixteenth is 8 units exactly, so a beat is UNITS_PER_BEAT and notes
move between beats and tokens without seconds. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from engine.stem import StemNote

BPM = 117.1875
UNIT_SECONDS = 0.016
UNITS_PER_BEAT = 32

DELTA, DELTA_MAX = 0, 255
PITCH = 256
DURVEL = 16768
DURATION_MAX = 255
SOS, OUTRO, EOS, PAD = 18816, 18817, 18818, 18819
VOCABULARY = 18820
DRUMS = 128  # the patch of the drum kit


class GrammarError(ValueError):
    """Tokens that are no Orpheus sequence; says which token, where, and what was due."""


class Kind(Enum):
    DELTA = "delta"
    PITCH = "patch and pitch"
    DURVEL = "duration and velocity"
    CONTROL = "control"


# What may follow what.
NEXT: dict[Kind, frozenset[Kind]] = {
    Kind.CONTROL: frozenset({Kind.DELTA, Kind.CONTROL}),
    Kind.DELTA: frozenset({Kind.PITCH}),
    Kind.PITCH: frozenset({Kind.DURVEL}),
    Kind.DURVEL: frozenset({Kind.PITCH, Kind.DELTA, Kind.CONTROL}),
}


class Event(NamedTuple):
    """A note in units of 16 ms from the sequence's start; octave: velocity octave 0..7."""

    onset: int
    patch: int
    pitch: int
    duration: int
    octave: int


def kind_of(token: int) -> Kind:
    """The kind of a token; raises GrammarError outside the vocabulary."""
    if 0 <= token < PITCH:
        return Kind.DELTA
    if token < DURVEL and token >= PITCH:
        return Kind.PITCH
    if DURVEL + 8 <= token < SOS:
        return Kind.DURVEL
    if SOS <= token < VOCABULARY:
        return Kind.CONTROL
    raise GrammarError(f"token {token}: outside the vocabulary, or of duration 0")


def pitch_token(patch: int, pitch: int) -> int:
    return PITCH + 128 * patch + pitch


def durvel_token(duration: int, octave: int) -> int:
    return DURVEL + 8 * duration + octave


def octave_of(velocity: int) -> int:
    """Velocity 1..127 -> velocity octave 0..7."""
    return max(0, min(7, round(velocity / 15) - 1))


def encode(events: Iterable[Event]) -> list[int]:
    """Tokens of events, drums last in each onset, high pitches first. Gaps over 255 units are cut
    to 255, a second event of one patch and pitch at one onset is left out."""
    out: list[int] = []
    at, last = 0, -1
    seen: set[tuple[int, int]] = set()
    for e in sorted(events, key=lambda e: (e.onset, e.patch == DRUMS, e.patch, -e.pitch)):
        if e.onset != last:
            out.append(min(DELTA_MAX, e.onset - at))
            at = last = e.onset
            seen = set()
        if (e.patch, e.pitch) in seen:
            continue
        seen.add((e.patch, e.pitch))
        duration = max(1, min(DURATION_MAX, e.duration))
        out += [pitch_token(e.patch, e.pitch), durvel_token(duration, e.octave)]
    return out


def decode(tokens: Sequence[int]) -> list[Event]:
    """Events of tokens; control tokens are skipped. Raises GrammarError."""
    out: list[Event] = []
    before, at, patch, pitch = Kind.CONTROL, 0, 0, 0
    for i, token in enumerate(tokens):
        kind = kind_of(token)
        if kind not in NEXT[before]:
            due = " or ".join(sorted(k.value for k in NEXT[before]))
            raise GrammarError(f"token {token} at {i} is {kind.value}, expected {due}")
        if kind is Kind.DELTA:
            at += token
        elif kind is Kind.PITCH:
            patch, pitch = divmod(token - PITCH, 128)
        elif kind is Kind.DURVEL:
            duration, octave = divmod(token - DURVEL, 8)
            out.append(Event(at, patch, pitch, duration, octave))
        before = kind
    if before in (Kind.DELTA, Kind.PITCH):
        raise GrammarError(f"the sequence ends after {before.value}, in the middle of a note")
    return out


def from_notes(notes: Iterable[StemNote], patch: int, shift_beats: float = 0.0) -> list[Event]:
    """Notes on the beat grid -> events; `patch` unless the note is a drum. Negative onsets go."""
    out = []
    for n in notes:
        onset = round((n.start + shift_beats) * UNITS_PER_BEAT)
        if onset < 0:
            continue
        duration = max(1, round(n.duration * UNITS_PER_BEAT))
        played = DRUMS if n.drums else patch
        out.append(Event(onset, played, n.key, min(DURATION_MAX, duration), octave_of(n.velocity)))
    return out


def to_notes(events: Iterable[Event], beats: float, program: int) -> list[StemNote]:
    """Events -> notes retimed to beats, clipped to [0, beats)."""
    out = []
    for e in events:
        start = e.onset / UNITS_PER_BEAT
        if not 0 <= start < beats:
            continue
        duration = min(e.duration / UNITS_PER_BEAT, beats - start)
        drums = e.patch == DRUMS
        velocity = min(127, (e.octave + 1) * 15)
        out.append(StemNote(start, duration, e.pitch, velocity, 0 if drums else program, drums))
    return out

"""What a control surface shows and tells: cells to light, presses to read, and the looks of states.

Pure data and arithmetic: no I/O, no clock; the beat is passed in. Thread-safe (nothing is kept
here). One table, LOOKS, says how each stem state looks, alike on pads, screen and OSC:
**colour says what it is, blinking says "waiting for the boundary", pulsing says "sounding".**

Cells are known by an index 1-108, as on a Launchpad Pro MK3 in Programmer mode: pads are
10 * row + column with row 1 at the bottom, buttons surround them. Colours are (red, green, blue),
0-127 each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from engine.stem import StemState

RGB = tuple[int, int, int]
Cells = dict[int, RGB]

OFF: RGB = (0, 0, 0)
WHITE: RGB = (127, 127, 127)
GREY: RGB = (10, 10, 10)
RED: RGB = (127, 0, 0)
DIM_RED: RGB = (20, 0, 0)
GREEN: RGB = (0, 127, 0)
AMBER: RGB = (127, 50, 0)

LEVELS = 16  # brightness steps of an animation: fewer changes to send, no visible difference

ROLE_COLOURS: dict[str, RGB] = {
    "drums": (127, 40, 0),
    "bass": (40, 0, 127),
    "chords": (0, 60, 127),
    "melody": (0, 127, 50),
}
OTHER_COLOURS: tuple[RGB, ...] = (
    (127, 0, 60),
    (100, 90, 0),
    (0, 110, 110),
    (90, 30, 90),
    (60, 110, 20),
    (110, 60, 40),
    (50, 50, 120),
    (120, 20, 20),
)


def role_colour(role: str, index: int) -> RGB:
    """The colour of a role: by its name where it has one, else by its place in the patch."""
    return ROLE_COLOURS.get(role, other_colour(index))


def other_colour(index: int) -> RGB:
    """A colour for the index-th of things that have none of their own."""
    return OTHER_COLOURS[index % len(OTHER_COLOURS)]


def pale(colour: RGB) -> RGB:
    """Half way to grey: what stands in for something else."""
    r, g, b = ((c + 50) // 2 for c in colour)
    return (r, g, b)


class Motion(Enum):
    """How a cell moves with the beat."""

    STEADY = "steady"
    BREATHE = "breathe"  # slowly, over two bars of four
    BLINK = "blink"  # bright and dim once a beat, four times a beat in the last bar
    PULSE = "pulse"  # bright on the beat, falling until the next


@dataclass(frozen=True)
class Look:
    """bright, dim: shares of the colour, 0..1, between which it moves. colour: instead of the
    role's own."""

    motion: Motion
    bright: float = 1.0
    dim: float = 0.0
    colour: RGB | None = None


_S = StemState
LOOKS: dict[StemState, Look] = {
    _S.REQUESTED: Look(Motion.STEADY, 0.06),
    _S.GENERATING: Look(Motion.BREATHE, 0.30, 0.05),
    _S.READY: Look(Motion.STEADY, 1.0),
    _S.QUEUED: Look(Motion.BLINK, 1.0, 0.12),
    _S.PLAYING: Look(Motion.PULSE, 1.0, 0.35),
    _S.RETIRING: Look(Motion.BLINK, 0.35, 0.06),
    _S.DONE: Look(Motion.STEADY, 0.18),
    _S.FAILED: Look(Motion.STEADY, colour=DIM_RED),
    _S.LATE: Look(Motion.STEADY, colour=DIM_RED),
    _S.REJECTED: Look(Motion.STEADY, 0.0),
}
MUTED = Look(Motion.STEADY, colour=GREY)

BREATHE_BEATS = 8.0
LAST_BAR_RATE = 4


def shade(look: Look, colour: RGB, beat: float, beats_left: float, beats_per_bar: int) -> RGB:
    """The colour of a cell at a beat. beats_left: to the boundary it waits for (inf: unknown)."""
    share = _share(look, beat, beats_left, beats_per_bar)
    share = round(share * LEVELS) / LEVELS if look.motion is not Motion.STEADY else share
    return scaled(look.colour or colour, share)


def scaled(colour: RGB, share: float) -> RGB:
    """A colour at a share (0..1) of its brightness; what is not dark stays visible."""
    if share <= 0.0:
        return OFF
    r, g, b = (max(1, round(c * share)) if c else 0 for c in colour)
    return (r, g, b)


def _share(look: Look, beat: float, beats_left: float, beats_per_bar: int) -> float:
    if look.motion is Motion.STEADY or not math.isfinite(beat):
        return look.bright
    span = look.bright - look.dim
    if look.motion is Motion.BREATHE:
        return look.dim + span * (0.5 - 0.5 * math.cos(2.0 * math.pi * beat / BREATHE_BEATS))
    if look.motion is Motion.PULSE:
        return look.bright - span * (beat % 1.0)
    rate = LAST_BAR_RATE if beats_left <= beats_per_bar else 1
    return look.bright if (beat * rate) % 1.0 < 0.5 else look.dim


class PressKind(Enum):
    DOWN = "down"
    UP = "up"
    PRESSURE = "pressure"  # value 0-127; index 0 where the device tells only the strongest
    HELD = "held"  # a button that does something when held was held long enough
    CONNECTED = "connected"  # the device came (back): paint all of it
    LOST = "lost"


@dataclass(frozen=True)
class Press:
    """index: the cell, 0 where there is none. value: velocity or pressure, 0-127."""

    kind: PressKind
    index: int = 0
    value: int = 0


def difference(now: Cells, before: Cells) -> Cells:
    """The cells of `now` that `before` shows otherwise or not at all, in order of index."""
    return {i: now[i] for i in sorted(now) if before.get(i) != now[i]}

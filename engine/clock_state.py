"""States of the clock, and the one table of its steps."""

from __future__ import annotations

from enum import Enum


class ClockState(Enum):
    INTERNAL = "internal"  # free run at the patch's or a hand's tempo; the tracker is not asked
    SEARCHING = "searching"  # free run until the tracker is consistent
    LOCKED = "locked"  # following evidence
    COASTING = "coasting"  # on the last good tempo, without evidence
    EXTERNAL = "external"  # another clock's (Link, MIDI clock)


_C = ClockState
CLOCK_STEPS: dict[ClockState, frozenset[ClockState]] = {
    _C.INTERNAL: frozenset({_C.SEARCHING, _C.COASTING, _C.EXTERNAL}),
    _C.SEARCHING: frozenset({_C.LOCKED, _C.COASTING, _C.EXTERNAL, _C.INTERNAL}),
    _C.LOCKED: frozenset({_C.COASTING, _C.EXTERNAL, _C.INTERNAL}),
    _C.COASTING: frozenset({_C.LOCKED, _C.SEARCHING, _C.EXTERNAL, _C.INTERNAL}),
    _C.EXTERNAL: frozenset({_C.COASTING, _C.INTERNAL}),
}

"""Soft take-over: a fader does nothing until it has passed the value in force.

So a fader that stands elsewhere than the value (another page, another song, a scene that moved it,
a mouse) never makes it jump: it is picked up where it meets it. Positions and values are 0..1 of
the fader's own travel. Pure; one thread.
"""

from __future__ import annotations

NEAR = 1.0 / 127.0 + 1e-9  # one step of a 7-bit fader


class TakeOver:
    """One fader. quieter: a hand that pulls it down from below the value takes hold too (master:
    who wants less shall have it at once, wherever the fader stood)."""

    def __init__(self, quieter: bool = False) -> None:
        self.holds = False
        self._quieter = quieter
        self._at: float | None = None  # where it stands
        self._set = 0.0  # what it set last

    def take(self, position: float, in_force: float) -> bool:
        """It has been moved to `position`; True: that is the value now."""
        before, self._at = self._at, position
        if self.holds and abs(in_force - self._set) > NEAR:
            self.holds = False  # something else has moved the value since
        if not self.holds:
            near = abs(position - in_force) <= NEAR
            passed = before is not None and (before - in_force) * (position - in_force) <= 0.0
            less = before is not None and self._quieter and position < min(before, in_force)
            self.holds = near or passed or less
        if self.holds:
            self._set = position
        return self.holds

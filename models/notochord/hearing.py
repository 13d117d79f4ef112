"""What the performer plays and holds, as the model should hear it."""

from __future__ import annotations

import numpy as np

from engine.layout import NoteKind

SUSTAIN = 64  # controller number of the damper pedal; down from 64 on
HELD_COUNTS_S = 12.0  # a key held longer is taken for forgotten, not for playing
_LOUDER, _SOFTER = 10, 24  # an answer's velocity stays this close to the performer's


class Hearing:
    """Keys held, the pedal applied. A key is on while any channel holds or sustains it.

    last_struck: frame of the last note-on, or None. Single-threaded, not real-time safe.
    """

    def __init__(self) -> None:
        self.last_struck: int | None = None
        self._last_event: int | None = None
        self._down: set[tuple[int, int]] = set()  # (channel, key)
        self._sustained: set[tuple[int, int]] = set()
        self._pedals: set[int] = set()
        self._loudness = 80.0

    def sounding(self) -> set[int]:
        """Keys that sound from the performer's hands or pedal."""
        return {key for _, key in self._down | self._sustained}

    def rest(self) -> None:
        """Count as having heard nothing yet, though keys may be held."""
        self.last_struck = None
        self._last_event = None

    def hear(self, record: np.void) -> list[tuple[int, int]]:
        """The (key, velocity) events that a NOTE record amounts to; velocity 0 is an off.

        A struck key that sounds already is first let go, so that ons and offs alternate.
        """
        kind, channel, key = int(record["kind"]), int(record["channel"]), int(record["key"])
        velocity = int(record["velocity"])
        before = self.sounding()
        struck = False
        if kind == NoteKind.ON and velocity > 0:
            struck = True
            self._down.add((channel, key))
            self._sustained.discard((channel, key))
            self.last_struck = int(record["frame"])
            self._loudness += 0.2 * (velocity - self._loudness)
        elif kind in (NoteKind.OFF, NoteKind.ON):
            if (channel, key) in self._down:
                self._down.remove((channel, key))
                if channel in self._pedals:
                    self._sustained.add((channel, key))
        elif kind == NoteKind.CC and key == SUSTAIN:
            if int(record["value"]) >= 64:
                self._pedals.add(channel)
            else:
                self._pedals.discard(channel)
                self._sustained = {s for s in self._sustained if s[0] != channel}
        elif kind == NoteKind.ALL_OFF:
            self._down.clear()
            self._sustained.clear()
            self._pedals.clear()
        events = [(k, 0) for k in sorted(before - self.sounding())]
        if struck:
            events += [(key, 0)] * (key in before) + [(key, velocity)]
        if events:
            self._last_event = int(record["frame"])
        return events

    def active_until(self, rate: int) -> int | None:
        """The frame until which the performer counts as playing; None: nothing was heard yet."""
        if self._last_event is None:
            return None
        if self._down and self.last_struck is not None:
            return max(self._last_event, self.last_struck + round(HELD_COUNTS_S * rate))
        return self._last_event

    def blend(self, velocity: int) -> int:
        """A velocity of the model's, brought near the performer's loudness; 1..127."""
        loud = round(self._loudness)
        return min(127, max(1, min(max(velocity, loud - _SOFTER), loud + _LOUDER)))

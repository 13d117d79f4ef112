"""What hands do, on its way to the conductor: presses and notices at once, pressure thinned.

A row of pads under a hand sends thousands of pressure messages a second; the last one of each pad
(and channel) is what matters, a hundred times a second. What a conductor that stands still has no
room for may be the release of something held: the port counts as lost (nothing on it is held), and
that is told once there is room. One thread; time is passed in (CLOCK_MONOTONIC nanoseconds). Not
real-time safe.
"""

from __future__ import annotations

import numpy as np

from devices.launchpad.mk3 import notice
from devices.midi.parse import CHANNEL_PRESSURE, POLY_PRESSURE
from engine.layout import PRESS
from engine.shm import Shared
from engine.surface import PressKind

LOST = notice(PressKind.LOST)
PRESSURE_NS = 10_000_000


class Touches:
    """port: index in the port table. thinned: pressure messages that were not told, as a later one
    took their place. refused: messages that found no room."""

    def __init__(self, shared: Shared) -> None:
        self.thinned = self.refused = 0
        self._owed: list[int] = []  # ports of which something was refused
        self._shared = shared
        self._told: list[tuple[int, bytes]] = []
        self._pressure: dict[tuple[int, bytes], bytes] = {}
        self._pressure_ns = 0

    def tell(self, port: int, message: bytes) -> None:
        """A message or a notice (mk3.NOTICES), as it is."""
        self._told.append((port, message))

    def touch(self, port: int, message: bytes) -> None:
        """A channel message of a surface."""
        status, channel = message[0] & 0xF0, message[0] & 0x0F
        if status in (POLY_PRESSURE, CHANNEL_PRESSURE):
            key = (port, message[:-1])
            self.thinned += key in self._pressure
            self._pressure[key] = message
            return
        # What a pad was pressed with before it went up or down is no longer so.
        before = (port, bytes((POLY_PRESSURE | channel, message[1])))
        self.thinned += self._pressure.pop(before, None) is not None
        self._told.append((port, message))

    def forget(self, port: int) -> None:
        """Nothing on a port is pressed any more."""
        self._pressure = {key: m for key, m in self._pressure.items() if key[0] != port}

    def send(self, now_ns: int) -> None:
        """Push what is due as PRESS records; call every step."""
        told, self._told = self._told, []
        ring = self._shared.ring("presses")
        if self._owed and len(ring) < ring.capacity:
            told = [*((port, LOST) for port in self._owed), *told]
            self._owed = []
        if self._pressure and now_ns - self._pressure_ns >= PRESSURE_NS:
            told += [(key[0], message) for key, message in self._pressure.items()]
            self._pressure, self._pressure_ns = {}, now_ns
        if not told:
            return
        records = np.zeros(len(told), PRESS)
        records["mono_ns"] = now_ns
        records["frame"] = self._shared.frame_at(now_ns)
        for record, (port, message) in zip(records, told, strict=True):
            record["port"] = port
            record["data"][: len(message)] = np.frombuffer(message, np.uint8)
        taken = self._shared.push("presses", records)
        self.refused += len(records) - taken
        self._owed = sorted({*self._owed, *(port for port, _ in told[taken:])})

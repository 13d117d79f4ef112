"""Foot-switches: controllers of performers' ports that ask the conductor for something.

The midi process sends every controller of a performer as a PRESS; here, in the conductor's process,
those that the patch names in `pedals` become actions. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from devices.midi.parse import CONTROL
from devices.midi.ports import PortKind, port_table
from devices.midi.safe import PRESSED
from engine.patch import Patch

Act = tuple[str, int]  # action, frame


class Pedals:
    """ports: those of the started performance, for their index; `use` takes another patch."""

    def __init__(self, patch: Patch) -> None:
        self._ports = {
            index: spec.name
            for index, spec in enumerate(port_table(patch))
            if spec.kind is PortKind.PERFORMER
        }
        self._down: set[tuple[int, int, int]] = set()
        self.use(patch)

    def use(self, patch: Patch) -> None:
        """The pedals of a reloaded patch; its ports are the same."""
        self._actions: dict[tuple[int, int], str] = {}
        self._channels: dict[int, int | None] = {}
        for index, name in self._ports.items():
            given = patch.midi[name]
            self._channels[index] = given.channel
            self._actions.update({(index, cc): action for action, cc in given.pedals.items()})

    def actions(self, records: Iterable[np.void]) -> list[Act]:
        """What was pressed, on the way down only. records: layout.PRESS."""
        if not self._actions:
            return []
        acts = []
        for record in records:
            status, number, value = (int(b) for b in record["data"][:3])
            port = int(record["port"])
            action = self._actions.get((port, number))
            channel = self._channels.get(port)
            if action is None or status & 0xF0 != CONTROL:
                continue
            if channel is not None and channel - 1 != status & 0x0F:
                continue
            key = (port, status & 0x0F, number)
            if value < PRESSED:
                self._down.discard(key)
            elif key not in self._down:
                self._down.add(key)
                acts.append((action, int(record["frame"])))
        return acts

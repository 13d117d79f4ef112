"""layout.NOTE records, made in one place.

Fields by kind: ON and OFF use key and velocity; CC has the controller in `key` and its value in
`value`; BEND has 0..16383 in `value`; ALL_OFF only `voice`. `id` joins an off to its on. The epoch
is filled in by Feed, since every ring has its own.
"""

from __future__ import annotations

import numpy as np

from devices.midi.ledger import Held
from engine.layout import ALL_VOICES, NOTE, NoteKind
from engine.shm import Shared

BEND_MIDDLE = 8192


def note(
    kind: NoteKind,
    frame: int,
    voice: int,
    channel: int = 0,
    key: int = 0,
    velocity: int = 0,
    value: int = 0,
    id: int = 0,
) -> np.ndarray:
    """One NOTE record, shape (1,). frame: device frames; channel 0-15."""
    return np.array([(frame, id, value, 0, voice, kind, channel, key, velocity, 0)], NOTE)


def off(held: Held, frame: int, voice: int, velocity: int = 0) -> np.ndarray:
    """The off of a note in the ledger: its emitted key, its id."""
    return note(NoteKind.OFF, frame, voice, held.channel, held.key, velocity, id=held.id)


class Feed:
    """The producer's end of a NOTE ring. What it refuses is made good: ALL_OFF once there is room.

    Not real-time safe; one thread.
    """

    def __init__(self, shared: Shared, name: str) -> None:
        self._shared = shared
        self._name = name
        self._epoch = shared.ring(name).new_epoch()
        self._owed = False
        self.dropped = 0
        # A record of the new epoch makes the consumer release what the last producer left.
        self.push(note(NoteKind.ALL_OFF, 0, ALL_VOICES))

    def push(self, records: np.ndarray) -> None:
        """Send records of this producer's epoch; count what found no room."""
        records["epoch"] = self._epoch
        taken = self._shared.push(self._name, records)
        if taken < len(records):
            self.dropped += len(records) - taken
            self._owed = True

    def tick(self) -> None:
        """After a loss, silence everything: an off may have been among what was refused."""
        if self._owed and len(self._shared.ring(self._name)) == 0:
            self._owed = False
            self.push(note(NoteKind.ALL_OFF, 0, ALL_VOICES))

"""A player's notes to a MIDI output, each at its frame (JACK rounds it to a period).

Pure: NOTE records and the present frame go in, messages to send come out. One thread. An off is
sent only for a note that this port still sounds; a repeated key is ended before it starts again.
"""

from __future__ import annotations

import heapq

import numpy as np

from devices.midi.ledger import Ledger
from devices.midi.parse import (
    CC_ALL_NOTES_OFF,
    CC_ALL_SOUND_OFF,
    CC_SUSTAIN,
    CONTROL,
    NOTE_OFF,
    NOTE_ON,
    PITCH_BEND,
    PROGRAM,
)
from engine.layout import NoteKind

WAITING_MAX = 4096  # notes that are not due yet


class Answers:
    """One player's MIDI output."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._ids: dict[tuple[int, int], int] = {}  # sounding (channel, key) -> the player's id
        self._waiting: list[tuple[int, int, np.void]] = []
        self._order = 0
        self._epoch: int | None = None
        self.dropped = 0

    @property
    def sounding(self) -> int:
        """Notes that are on at the port."""
        return len(self._ledger)

    def take(self, records: np.ndarray) -> list[bytes]:
        """Take records from the ring; a new epoch ends what its predecessor left."""
        out: list[bytes] = []
        for record in records:
            if self._epoch is not None and record["epoch"] != self._epoch:
                out += self.release()
            self._epoch = int(record["epoch"])
            if len(self._waiting) >= WAITING_MAX:
                self.dropped += 1
                continue
            self._order += 1
            # ids may lack an order, so the count of arrival breaks ties
            heapq.heappush(self._waiting, (int(record["frame"]), self._order, record))
        return out

    def due(self, frame: int) -> list[bytes]:
        """Messages for every note whose frame is not after `frame`."""
        out: list[bytes] = []
        while self._waiting and self._waiting[0][0] <= frame:
            _, order, record = heapq.heappop(self._waiting)
            if record["kind"] == NoteKind.ALL_OFF:
                out += self._all_off(order)
            else:
                out += self._send(record)
        return out

    def release(self) -> list[bytes]:
        """Offs for all that sounds; what waited is forgotten."""
        return self._all_off(self._order)

    def panic(self) -> list[bytes]:
        """release(), then pedals up, notes off, sound off on every channel."""
        return [
            *self.release(),
            *(
                bytes((CONTROL | channel, number, 0))
                for channel in range(16)
                for number in (CC_SUSTAIN, CC_ALL_NOTES_OFF, CC_ALL_SOUND_OFF)
            ),
        ]

    def _all_off(self, order: int) -> list[bytes]:
        """End what sounds and forget what came before the record number `order`."""
        self._waiting = [item for item in self._waiting if item[1] > order]
        heapq.heapify(self._waiting)
        self._ids.clear()
        return [bytes((NOTE_OFF | n.channel, n.key, 0)) for n in self._ledger.release()]

    def _send(self, record: np.void) -> list[bytes]:
        kind, channel = int(record["kind"]), int(record["channel"]) & 0x0F
        key, velocity = int(record["key"]) & 0x7F, int(record["velocity"]) & 0x7F
        value = int(record["value"])
        if kind == NoteKind.ON:
            _, replaced = self._ledger.on(0, channel, key, key)
            self._ids[channel, key] = int(record["id"])
            before = [] if replaced is None else [bytes((NOTE_OFF | channel, key, 0))]
            # Velocity 0 would be an off; what the player meant is the softest note.
            return [*before, bytes((NOTE_ON | channel, key, max(1, velocity)))]
        if kind == NoteKind.OFF:
            if self._ids.get((channel, key)) != int(record["id"]):
                return []  # never sounded here, or the key has been struck again since
            del self._ids[channel, key]
            self._ledger.off(0, channel, key)
            return [bytes((NOTE_OFF | channel, key, velocity))]
        if kind == NoteKind.CC:
            return [bytes((CONTROL | channel, key, value & 0x7F))]
        if kind == NoteKind.BEND:
            return [bytes((PITCH_BEND | channel, value & 0x7F, value >> 7 & 0x7F))]
        if kind == NoteKind.PROGRAM:
            return [bytes((PROGRAM | channel, value & 0x7F))]
        return []

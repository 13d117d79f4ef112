"""From a performer's port to the sampler and the note players.

Pure but for the Ledger it keeps: messages go in, layout.NOTE records come out. One thread.
Program changes stay out (the patch says what a voice is); pressure has no place in NOTE.
"""

from __future__ import annotations

import numpy as np

from devices.midi.ledger import Held, Ledger
from devices.midi.notes import BEND_MIDDLE, note, off
from devices.midi.parse import (
    CC_ALL_NOTES_OFF,
    CC_ALL_SOUND_OFF,
    CC_SUSTAIN,
    CONTROL,
    NOTE_OFF,
    NOTE_ON,
    PITCH_BEND,
)
from engine.layout import ALL_VOICES, NOTE, NoteKind
from engine.patch import MidiIn

PEDAL_DOWN = 64
CC_MODE_FIRST = CC_ALL_NOTES_OFF  # 123-127 all end every note


class Performer:
    """One MidiIn: channel filter, transposition, ledger, pedals.

    index: its place in the port table, which is the ledger's port. voice: index into Patch.voices,
    or None where nothing of it sounds here (records then carry ALL_VOICES; players may answer).
    ledger: one for all performers, so that no two notes of a ring have the same id.
    """

    def __init__(self, index: int, spec: MidiIn, voice: int | None, ledger: Ledger) -> None:
        self.index = index
        self.spec = spec
        self.voice = ALL_VOICES if voice is None else voice
        self.transpose = spec.transpose
        self.ledger = ledger
        self._pedals: set[int] = set()  # channels whose sustain pedal is down
        self._bent: set[int] = set()  # channels whose bender is out of its middle

    def hear(self, message: bytes, frame: int) -> np.ndarray:
        """Records for one channel message that arrived at `frame`; maybe none."""
        status, channel = message[0] & 0xF0, message[0] & 0x0F
        if message[0] >= 0xF0 or (self.spec.channel or channel + 1) != channel + 1:
            return np.zeros(0, NOTE)
        if status == NOTE_ON and message[2] > 0:
            return self._on(channel, message[1], message[2], frame)
        if status in (NOTE_ON, NOTE_OFF):
            held = self.ledger.off(self.index, channel, message[1])
            velocity = message[2] if status == NOTE_OFF else 0
            return np.zeros(0, NOTE) if held is None else off(held, frame, self.voice, velocity)
        if status == CONTROL:
            return self._control(channel, message[1], message[2], frame)
        if status == PITCH_BEND:
            value = message[1] | message[2] << 7
            (self._bent.discard if value == BEND_MIDDLE else self._bent.add)(channel)
            return note(NoteKind.BEND, frame, self.voice, channel, value=value)
        return np.zeros(0, NOTE)

    def release(self, frame: int, channel: int | None = None) -> np.ndarray:
        """Offs for all that sounds, pedals up, benders in the middle. channel: only this one."""

        def ours(candidate: int) -> bool:
            return channel is None or candidate == channel

        held: list[Held] = self.ledger.release(lambda n: n.port == self.index and ours(n.channel))
        pedals = sorted(c for c in self._pedals if ours(c))
        bent = sorted(c for c in self._bent if ours(c))
        self._pedals.difference_update(pedals)
        self._bent.difference_update(bent)
        records = [
            *(off(n, frame, self.voice) for n in held),
            *(note(NoteKind.CC, frame, self.voice, c, CC_SUSTAIN) for c in pedals),
            *(note(NoteKind.BEND, frame, self.voice, c, value=BEND_MIDDLE) for c in bent),
        ]
        return np.concatenate(records) if records else np.zeros(0, NOTE)

    def _on(self, channel: int, played: int, velocity: int, frame: int) -> np.ndarray:
        key = played + self.transpose
        if not 0 <= key <= 127:
            return np.zeros(0, NOTE)
        held, replaced = self.ledger.on(self.index, channel, played, key)
        on = note(NoteKind.ON, frame, self.voice, channel, key, velocity, id=held.id)
        return on if replaced is None else np.concatenate([off(replaced, frame, self.voice), on])

    def _control(self, channel: int, number: int, value: int, frame: int) -> np.ndarray:
        if number == CC_ALL_SOUND_OFF or number >= CC_MODE_FIRST:
            return self.release(frame, channel)
        if number == CC_SUSTAIN:
            (self._pedals.add if value >= PEDAL_DOWN else self._pedals.discard)(channel)
        return note(NoteKind.CC, frame, self.voice, channel, number, value=value)


def as_message(record: np.void) -> bytes | None:
    """A NOTE of a stand-in performer (the demo's) as the MIDI message it would have been."""
    channel, key = int(record["channel"]) & 0x0F, int(record["key"]) & 0x7F
    kind = int(record["kind"])
    if kind == NoteKind.ON:
        return bytes((NOTE_ON | channel, key, int(record["velocity"]) & 0x7F))
    if kind == NoteKind.OFF:
        return bytes((NOTE_OFF | channel, key, int(record["velocity"]) & 0x7F))
    if kind == NoteKind.CC:
        return bytes((CONTROL | channel, key, int(record["value"]) & 0x7F))
    if kind == NoteKind.BEND:
        value = int(record["value"]) & 0x3FFF
        return bytes((PITCH_BEND | channel, value & 0x7F, value >> 7))
    if kind == NoteKind.ALL_OFF:
        return bytes((CONTROL | channel, CC_ALL_NOTES_OFF, 0))
    return None

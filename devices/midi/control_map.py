"""Which control of a MIDI port a message comes from, and what that does.

Pure; one thread. Used in the midi process (what is safe-critical, what no voice shall hear) and in
the conductor's (all else).
"""

from __future__ import annotations

from collections.abc import Mapping

from devices.midi.parse import CONTROL, NOTE_OFF, NOTE_ON, PROGRAM
from engine.patch import Patch
from engine.patch_controls import Control, ControlKind, Key, controls_of

PRESSED = 64  # a controller counts as pressed from this value up
KINDS = {
    CONTROL: ControlKind.CC,
    NOTE_ON: ControlKind.NOTE,
    NOTE_OFF: ControlKind.NOTE,
    PROGRAM: ControlKind.PROGRAM,
}


class ControlMap:
    """controls: of one port. channel: 1-16, that of the whole port, None: all. A control that names
    a channel is heard there, whatever the port's is."""

    def __init__(self, controls: Mapping[Key, Control], channel: int | None = None) -> None:
        self.controls = dict(controls)
        self.channel = channel

    @classmethod
    def of(cls, patch: Patch, port: str) -> ControlMap:
        """Of a MIDI input of a patch."""
        return cls(controls_of(patch, port), patch.midi[port].channel)

    def find(self, message: bytes) -> tuple[Key, Control] | None:
        """The control that a channel message comes from, if it is one."""
        kind = KINDS.get(message[0] & 0xF0)
        if kind is None or not self.controls or len(message) < 2:
            return None
        channel = (message[0] & 0x0F) + 1
        key = Key(kind, message[1], channel)
        if key not in self.controls:
            if self.channel not in (None, channel):
                return None
            key = Key(kind, message[1])
        control = self.controls.get(key)
        return None if control is None else (key, control)


def is_down(message: bytes) -> bool:
    """Whether a control's message is its way down (a program change always is)."""
    status = message[0] & 0xF0
    if status == PROGRAM:
        return True
    if status == NOTE_ON:
        return message[2] > 0
    return status == CONTROL and message[2] >= PRESSED

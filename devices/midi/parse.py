"""MIDI bytes to whole messages, whatever the bytes are.

Protocol facts are the table LENGTHS; nothing here raises on any input. Not real-time safe
(allocates); pure, so safe from any thread.

The transport hands over what arrived in one event. A good event is one message. A SysEx that was
cut off makes JACK's reader glue everything after it together until some SysEx ends, so a status
byte inside a SysEx means: what is in here is late and incomplete, throw it away and release.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

NOTE_OFF: Final = 0x80
NOTE_ON: Final = 0x90
POLY_PRESSURE: Final = 0xA0
CONTROL: Final = 0xB0
PROGRAM: Final = 0xC0
CHANNEL_PRESSURE: Final = 0xD0
PITCH_BEND: Final = 0xE0
SYSEX: Final = 0xF0
SYSEX_END: Final = 0xF7
REALTIME: Final = 0xF8  # and above: may stand anywhere, even inside another message

CC_SUSTAIN: Final = 64
CC_ALL_SOUND_OFF: Final = 120
CC_ALL_NOTES_OFF: Final = 123

# Bytes of a whole message by status: channel messages by their high nibble, system by the byte.
# 0: not defined, thrown away. SysEx is as long as it is.
LENGTHS: Final[dict[int, int]] = {
    NOTE_OFF: 3,
    NOTE_ON: 3,
    POLY_PRESSURE: 3,
    CONTROL: 3,
    PROGRAM: 2,
    CHANNEL_PRESSURE: 2,
    PITCH_BEND: 3,
    0xF1: 2,
    0xF2: 3,
    0xF3: 2,
    0xF4: 0,
    0xF5: 0,
    0xF6: 1,
    SYSEX_END: 0,
    0xF8: 1,
    0xF9: 0,
    0xFA: 1,
    0xFB: 1,
    0xFC: 1,
    0xFD: 0,
    0xFE: 1,
    0xFF: 1,
}

SYSEX_MAX = 1016  # bytes; layout.MIDI_BYTES_MAX. Longer ones are not for us


@dataclass(slots=True)
class Parsed:
    """messages: whole messages in order. thrown: bytes of no use. broken: a SysEx was cut off, so
    messages may have been lost: release what sounds."""

    messages: list[bytes] = field(default_factory=list)
    thrown: int = 0
    broken: bool = False


def length_of(status: int) -> int:
    """Bytes of a whole message with this status byte; 0 for an undefined one and for SysEx."""
    if status >= SYSEX:
        return LENGTHS.get(status, 0)
    return LENGTHS.get(status & 0xF0, 0)


def parse(data: bytes) -> Parsed:
    """Split one arrival into whole messages. Never raises; takes time linear in len(data)."""
    if len(data) == 3 and data[0] < SYSEX and data[1] < 0x80 and data[2] < 0x80:
        need = length_of(data[0])
        if need == 3:
            return Parsed([data])
    out = Parsed()
    i = 0
    while i < len(data):
        status = data[i]
        if status == SYSEX:
            i = _sysex(data, i, out)
            continue
        need = length_of(status) if status >= 0x80 else 0
        body = data[i : i + need]
        if need and len(body) == need and all(b < 0x80 for b in body[1:]):
            out.messages.append(body)
            i += need
        else:
            out.thrown += 1
            i += 1
    return out


def _sysex(data: bytes, start: int, out: Parsed) -> int:
    """Read a SysEx from `start`; return where to go on. A cut-off one spoils all that follows."""
    for i in range(start + 1, len(data)):
        b = data[i]
        if b == SYSEX_END:
            if i + 1 - start <= SYSEX_MAX:
                out.messages.append(data[start : i + 1])
            else:
                out.thrown += i + 1 - start
            return i + 1
        if 0x80 <= b < REALTIME:
            break
    out.thrown += len(data) - start
    out.broken = True
    return len(data)

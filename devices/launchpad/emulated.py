"""A Launchpad Pro MK3 as its wire shows it: bytes in, answers and lights out.

Pure: no ports, no clock; time is passed in (CLOCK_MONOTONIC nanoseconds). Not thread-safe
(emulator.Emulator, which gives it ports, locks around it). Source: Novation's programmer's guide,
and what others measured on one unit; what it ignores, this ignores, and counts by reason.

    Live mode ──0E 01, layout 11──▶ Programmer mode     as it is after power-up: Live, all dark
              ◀──────0E 00─────────

In Live mode it shows and sends nothing of ours; lights lit before are kept. A SysEx that is cut
off, or whose entries do not add up, takes the message after it along, as on the unit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from devices.launchpad.mk3 import (
    BULK,
    BUTTONS,
    CELLS,
    END,
    ENTRIES_MAX,
    ENTRY_BYTES,
    FLASH,
    HEADER,
    INQUIRY,
    INQUIRY_ANSWER,
    PADS,
    PULSE,
    TRUE_COLOUR,
)
from devices.launchpad.palette import COLOURS
from devices.midi.parse import (
    CHANNEL_PRESSURE,
    CONTROL,
    NOTE_ON,
    POLY_PRESSURE,
    REALTIME,
    SYSEX,
    SYSEX_END,
    length_of,
)
from engine.surface import OFF, RGB, Cells, scaled

VERSION: Final = bytes((0, 4, 6, 5))
IDENTITY: Final = b"\xf0\x7e\x00" + INQUIRY_ANSWER + b"\x00\x00" + VERSION + END
LAYOUT, MODE = 0x00, 0x0E  # commands
PROGRAMMER_LAYOUT: Final = 0x11
SYSEX_MAX: Final = len(HEADER) + 1 + 5 * ENTRIES_MAX + 1  # bytes; longer ones are ignored
BEAT_NS: Final = round(60e9 / 118.0)  # flash and pulse: always about 118 BPM in Programmer mode
CLOCKS_A_BEAT: Final = 24
PULSE_DIM: Final = 0.2  # share of the colour at which a pulse turns


class Mode(Enum):
    LIVE = 0
    PROGRAMMER = 1


class Aftertouch(Enum):
    """Set on the unit itself."""

    OFF = "off"
    POLY = "poly"
    CHANNEL = "channel"


class LedMotion(Enum):
    """The device's own, by MIDI channel or type of entry."""

    STATIC = "static"
    FLASH = "flash"
    PULSE = "pulse"


@dataclass(frozen=True)
class Led:
    """other: the second colour of a flash. changed_ns: when it was last lit otherwise."""

    colour: RGB = OFF
    motion: LedMotion = LedMotion.STATIC
    other: RGB = OFF
    changed_ns: int = 0

    def shown(self, now_ns: int) -> RGB:
        """The colour at a moment, by the device's own clock."""
        phase = now_ns % (2 * BEAT_NS) / BEAT_NS  # 0..2 beats
        if self.motion is LedMotion.FLASH:
            return self.other if phase % 1.0 < 0.5 else self.colour
        if self.motion is LedMotion.PULSE:
            return scaled(self.colour, PULSE_DIM + (1.0 - PULSE_DIM) * abs(1.0 - phase))
        return self.colour


@dataclass
class Heard:
    """What came in. frames: bulk messages. entries_max: of one of them. ignored: by reason."""

    messages: int = 0
    bytes: int = 0
    frames: int = 0
    entries_max: int = 0
    ignored: Counter[str] = field(default_factory=Counter)


class EmulatedMk3:
    """The unit. floods: send MIDI clock in Live mode, as it does."""

    def __init__(self, aftertouch: Aftertouch = Aftertouch.CHANNEL, floods: bool = False) -> None:
        self.aftertouch = aftertouch
        self.floods = floods
        self.heard = Heard()
        self.mode = Mode.LIVE
        self.leds: dict[int, Led] = dict.fromkeys(CELLS, Led())
        self.pressed: dict[int, int] = {}  # cell: pressure
        self._partial = bytearray()
        self._eats = False
        self._clocks = 0

    def power_cycle(self) -> None:
        """Unplugged and plugged in again: what is set on the unit stays, as does what was heard."""
        self.__dict__.update(
            EmulatedMk3(self.aftertouch, self.floods).__dict__ | {"heard": self.heard}
        )

    # ---- what it is sent

    def hear(self, data: bytes, now_ns: int) -> list[bytes]:
        """Bytes from the host; returns its answers."""
        self.heard.bytes += len(data)
        answers = []
        for byte in data:
            message = self._byte(byte)
            if message is None:
                continue
            self.heard.messages += 1
            if message[0] == SYSEX:
                answers += self._sysex(message, now_ns)
            else:
                self._short(message, now_ns)
        return answers

    def _byte(self, byte: int) -> bytes | None:
        """The message that this byte ends, if it is one to be taken."""
        partial = self._partial
        in_sysex = partial[:1] == bytes((SYSEX,))
        if byte >= REALTIME:
            self._ignore("realtime")
            return None
        if byte == SYSEX_END:
            if in_sysex:
                partial.append(byte)
                return self._ended()
            partial.clear()
            return None
        if byte >= 0x80:
            if in_sysex:
                self._ignore("SysEx cut off")
                self._eats = True
            elif partial:
                self._ignore("message cut off")
            partial[:] = (byte,)
        elif partial and len(partial) <= SYSEX_MAX:  # one more than fits tells that it is too long
            partial.append(byte)
        if partial and partial[0] != SYSEX and len(partial) >= max(1, length_of(partial[0])):
            return self._ended()
        return None

    def _ended(self) -> bytes | None:
        message = bytes(self._partial)
        self._partial.clear()
        if self._eats:
            self._eats = False
            self._ignore("eaten")
            return None
        if len(message) > SYSEX_MAX:
            self._ignore("over-long SysEx")
            return None
        return message

    def _ignore(self, why: str) -> None:
        self.heard.ignored[why] += 1

    def _malformed(self) -> None:
        self._ignore("malformed SysEx")
        self._eats = True

    def _sysex(self, message: bytes, now_ns: int) -> list[bytes]:
        if message == INQUIRY:
            return [IDENTITY]
        if not message.startswith(HEADER) or len(message) < len(HEADER) + 2:
            self._ignore("not for this device")
            return []
        command, body = message[len(HEADER)], message[len(HEADER) + 1 : -1]
        if command == MODE and not body:
            return [HEADER + bytes((MODE, self.mode.value)) + END]
        if command == LAYOUT and not body:
            layout = PROGRAMMER_LAYOUT if self.mode is Mode.PROGRAMMER else 0
            return [HEADER + bytes((LAYOUT, layout, 0, 0)) + END]
        if command == MODE and body in (b"\x00", b"\x01"):
            self._enter(Mode(body[0]))
        elif command == LAYOUT and len(body) == 3:
            if body[0] == PROGRAMMER_LAYOUT:
                self._enter(Mode.PROGRAMMER)
            else:
                self._ignore("layout")  # 0, 4 and 5 did nothing on the unit tested
        elif command == BULK:
            self._bulk(body, now_ns)
        elif command in (MODE, LAYOUT):
            self._malformed()
        else:
            self._ignore("unknown command")
        return []

    def _enter(self, mode: Mode) -> None:
        if mode is not self.mode:
            self.mode = mode
            self.pressed.clear()

    def _bulk(self, body: bytes, now_ns: int) -> None:
        """Light what the entries say: all of them, or none where they do not add up."""
        entries: list[tuple[int, Led]] = []
        at = 0
        while at < len(body):
            size = ENTRY_BYTES.get(body[at])
            data = body[at + 2 : at + 2 + (size or 0)]
            if not size or len(data) < size:
                self._malformed()
                return
            entries.append((body[at + 1], _entry(body[at], data)))
            at += 2 + size
        if len(entries) > ENTRIES_MAX:
            self._ignore("over-long SysEx")
            return
        self.heard.frames += 1
        self.heard.entries_max = max(self.heard.entries_max, len(entries))
        for index, led in entries:
            self._set(index, led, now_ns)

    def _short(self, message: bytes, now_ns: int) -> None:
        channel = message[0] & 0x0F
        if message[0] & 0xF0 not in (NOTE_ON, CONTROL) or channel not in _CHANNELS:
            self._ignore("unknown message")
            return
        motion, colour = _CHANNELS[channel], COLOURS[message[2]]
        led = Led(colour, motion)
        if motion is LedMotion.FLASH and message[1] in self.leds:
            led = Led(self.leds[message[1]].colour, motion, colour)
        self._set(message[1], led, now_ns)

    def _set(self, index: int, led: Led, now_ns: int) -> None:
        if self.mode is Mode.LIVE:
            self._ignore("lit in Live mode")
        elif index not in self.leds:
            self._ignore("no such cell")
        elif replace(self.leds[index], changed_ns=0) != led:
            self.leds[index] = replace(led, changed_ns=now_ns)

    # ---- what it sends and shows

    def press(self, index: int, velocity: int = 100) -> list[bytes]:
        """A finger goes down on a cell, velocity 1-127; buttons always say 127."""
        if self.mode is Mode.LIVE or index not in _PRESSED or index in self.pressed:
            return []
        self.pressed[index] = 0
        return [_touch(index, max(1, min(127, velocity)))]

    def release(self, index: int) -> list[bytes]:
        if self.pressed.pop(index, None) is None:
            return []
        return [_touch(index, 0)]

    def pressure(self, index: int, value: int) -> list[bytes]:
        """How hard a held pad is pressed, 0-127; told as the unit is set."""
        if index not in self.pressed or index not in _PADS:
            return []
        before = max(self.pressed.values())
        self.pressed[index] = value = max(0, min(127, value))
        if self.aftertouch is Aftertouch.POLY:
            return [bytes((POLY_PRESSURE, index, value))]
        strongest = max(self.pressed.values())
        if self.aftertouch is Aftertouch.CHANNEL and strongest != before:
            return [bytes((CHANNEL_PRESSURE, strongest))]
        return []

    def tick(self, now_ns: int) -> list[bytes]:
        """What it says by itself, at most a beat's worth at once."""
        clocks = now_ns * CLOCKS_A_BEAT // BEAT_NS
        due, self._clocks = clocks - self._clocks, clocks
        if not self.floods or self.mode is Mode.PROGRAMMER:
            return []
        return [bytes((REALTIME,))] * min(due, CLOCKS_A_BEAT)

    def colours(self, now_ns: int) -> Cells:
        """What is seen of all cells; in Live mode, dark (the unit shows pages of its own)."""
        if self.mode is Mode.LIVE:
            return dict.fromkeys(CELLS, OFF)
        return {index: led.shown(now_ns) for index, led in self.leds.items()}


_CHANNELS: Final = {0: LedMotion.STATIC, 1: LedMotion.FLASH, 2: LedMotion.PULSE}
_PADS: Final = frozenset(PADS)
_PRESSED: Final = frozenset((*PADS, *BUTTONS))  # not the logo


def _touch(index: int, value: int) -> bytes:
    if index in _PADS:
        return bytes((NOTE_ON, index, value))
    return bytes((CONTROL, index, 127 if value else 0))


def _entry(kind: int, data: bytes) -> Led:
    """A bulk entry's data as a light."""
    if kind == TRUE_COLOUR:
        return Led((data[0], data[1], data[2]))
    if kind == FLASH:  # two colours, B and A
        return Led(COLOURS[data[1]], LedMotion.FLASH, COLOURS[data[0]])
    return Led(COLOURS[data[0]], LedMotion.PULSE if kind == PULSE else LedMotion.STATIC)

"""Launchpad Pro MK3: its messages as data, and the driver that sends what changed.

Source: Novation's programmer's guide for the Launchpad Pro [MK3], and what others measured on one.
Pure: bytes go out as return values, time is passed in (CLOCK_MONOTONIC nanoseconds). One thread.
"""

from __future__ import annotations

from typing import Final, Protocol

from devices.midi.parse import CHANNEL_PRESSURE, CONTROL, NOTE_OFF, NOTE_ON, POLY_PRESSURE
from engine.surface import OFF, Cells, Press, PressKind, difference

HEADER: Final = bytes((0xF0, 0x00, 0x20, 0x29, 0x02, 0x0E))
END: Final = b"\xf7"
PROGRAMMER_MODE: Final = HEADER + b"\x0e\x01" + END
LIVE_MODE: Final = HEADER + b"\x0e\x00" + END
INQUIRY: Final = bytes((0xF0, 0x7E, 0x7F, 0x06, 0x01, 0xF7))
# A unit's answer: F0 7E <device> 06 02 00 20 29 23 01 00 00 <4 version bytes> F7
INQUIRY_ANSWER: Final = bytes((0x06, 0x02, 0x00, 0x20, 0x29, 0x23, 0x01))

BULK: Final = 0x03
PALETTE, FLASH, PULSE, TRUE_COLOUR = 0, 1, 2, 3  # entry types of BULK
ENTRY_BYTES: Final = {PALETTE: 1, FLASH: 2, PULSE: 1, TRUE_COLOUR: 3}
ENTRIES_MAX: Final = 106

SHIFT, LOGO, STOP_CLIP = 90, 99, 8
PADS: Final = tuple(10 * row + column for row in range(1, 9) for column in range(1, 9))
TOP: Final = tuple(range(91, 99))
RIGHT: Final = tuple(range(89, 9, -10))
LEFT: Final = tuple(range(80, 0, -10))
UPPER_BOTTOM: Final = tuple(range(101, 109))
LOWER_BOTTOM: Final = tuple(range(1, 9))
BUTTONS: Final = (*TOP, *RIGHT, *LEFT, SHIFT, *UPPER_BOTTOM, *LOWER_BOTTOM)
CELLS: Final = tuple(sorted((*PADS, *BUTTONS, LOGO)))  # 106: the logo lights, but is no button

FRAME_NS: Final = 25_000_000  # 40 frames a second at most, and what answers presses
HURRY_NS: Final = 5_000_000  # an answer to a press waits for no frame, only for the answer before

# Told by the midi process through PRESS records: a status no device's message is passed on with.
NOTICE: Final = 0xFF
NOTICES: Final = {
    0: PressKind.LOST,
    1: PressKind.CONNECTED,
    2: PressKind.HELD,
}


def notice(kind: PressKind, index: int = 0) -> bytes:
    """The short message by which the midi process tells of something no press is."""
    code = next(code for code, told in NOTICES.items() if told is kind)
    return bytes((NOTICE, code, index))


def bulk(cells: Cells) -> bytes:
    """One SysEx that lights cells. Raises ValueError above ENTRIES_MAX or for no such cell."""
    if len(cells) > ENTRIES_MAX:
        raise ValueError(f"{len(cells)} cells in one message, {ENTRIES_MAX} at most")
    body = bytearray()
    for index, (r, g, b) in cells.items():
        if index not in _KNOWN:
            raise ValueError(f"cell {index} does not exist")
        body += bytes((TRUE_COLOUR, index, r & 0x7F, g & 0x7F, b & 0x7F))
    return HEADER + bytes((BULK,)) + bytes(body) + END


_KNOWN: Final = frozenset(CELLS)


def read(message: bytes) -> Press | None:
    """A press out of one short message (or a notice); None for everything else."""
    if not message:
        return None
    status, data = message[0] & 0xF0, message[1:]
    if message[0] == NOTICE:
        kind = NOTICES.get(data[0]) if len(data) > 1 else None
        return None if kind is None else Press(kind, data[1])
    if status == CHANNEL_PRESSURE and data:
        return Press(PressKind.PRESSURE, 0, data[0])
    if len(data) < 2 or data[0] not in _KNOWN:
        return None
    index, value = data[0], data[1]
    if status == POLY_PRESSURE:
        return Press(PressKind.PRESSURE, index, value)
    if status in (NOTE_ON, CONTROL) and value > 0:
        return Press(PressKind.DOWN, index, value)
    if status in (NOTE_ON, NOTE_OFF, CONTROL):
        return Press(PressKind.UP, index)
    return None


class Driver(Protocol):
    """What the conductor needs of a surface."""

    def render(self, cells: Cells, now_ns: int) -> list[bytes]:
        """Messages that make the device show `cells`; cells not named are dark. Mostly empty."""
        ...

    def read(self, message: bytes) -> Press | None:
        """A press out of a PRESS record's bytes. CONNECTED makes the next render() paint all."""
        ...

    def forget(self) -> None:
        """The device may show anything: the next render() paints all of it."""
        ...


class Changes:
    """Which of a unit's cells to send now: those that changed, at most once every FRAME_NS, and
    `most` of them; the rest in the next frame, so that each has its turn."""

    def __init__(self, cells: tuple[int, ...] = CELLS, most: int = ENTRIES_MAX) -> None:
        self._cells = cells
        self._most = most
        self._last = 0
        self._shown: Cells = {}
        self._due_ns: int | None = None
        self._hurried_ns = -HURRY_NS
        self._hurry = False

    def take(self, cells: Cells, now_ns: int) -> Cells:
        if not self._may(now_ns):
            return {}
        wanted = {index: cells.get(index, OFF) for index in self._cells}
        changed = difference(wanted, self._shown)
        if len(changed) > self._most:
            turn = sorted(changed, key=lambda index: (index <= self._last, index))[: self._most]
            self._last = turn[-1]
            changed = {index: changed[index] for index in turn}
        if changed:
            self._shown.update(changed)
            self._sent(now_ns)
        return changed

    def hurry(self) -> None:
        """Something was pressed: the next take() waits for no frame."""
        self._hurry = True

    def doubt(self, index: int) -> None:
        """A cell shows something else by now: the midi process has lit it, as it was pressed."""
        self._shown.pop(index, None)

    def _may(self, now_ns: int) -> bool:
        if self._due_ns is None or now_ns >= self._due_ns:
            return True
        return self._hurry and now_ns - self._hurried_ns >= HURRY_NS

    def _sent(self, now_ns: int) -> None:
        if self._hurry:
            self._hurry, self._hurried_ns = False, now_ns
        if self._due_ns is None or now_ns - self._due_ns >= FRAME_NS:
            self._due_ns = now_ns + FRAME_NS
        elif now_ns >= self._due_ns:
            self._due_ns += FRAME_NS  # who looks a little late each time still gets 40 a second

    def forget(self) -> None:
        self._shown = {}
        self._due_ns = None


def heard(press: Press | None, changes: Changes) -> Press | None:
    """A press on its way to the pages, once the lights know what it means for them."""
    if press is not None and press.kind is PressKind.CONNECTED:
        changes.forget()
    elif press is not None and press.kind in (PressKind.DOWN, PressKind.UP):
        changes.hurry()
        if press.kind is PressKind.DOWN:
            changes.doubt(press.index)
    return press


class Mk3:
    """Our own driver: one SysEx a frame."""

    def __init__(self) -> None:
        self._changes = Changes()

    def render(self, cells: Cells, now_ns: int) -> list[bytes]:
        changed = self._changes.take(cells, now_ns)
        return [bulk(changed)] if changed else []

    def read(self, message: bytes) -> Press | None:
        return heard(read(message), self._changes)

    def forget(self) -> None:
        self._changes.forget()


def decode(message: bytes) -> Cells | None:
    """What a bulk message of true colours lights; None for any other message."""
    if not (message.startswith(HEADER + bytes((BULK,))) and message.endswith(END)):
        return None
    body = message[len(HEADER) + 1 : -1]
    if len(body) % 5 or any(body[i] != TRUE_COLOUR for i in range(0, len(body), 5)):
        return None
    return {body[i + 1]: (body[i + 2], body[i + 3], body[i + 4]) for i in range(0, len(body), 5)}

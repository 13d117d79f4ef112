"""The older Launchpad Pro: its messages as data, and the driver.

It has no 90 and no 101-108. Arrows, Shift, Session and Note are where they are printed on it, other
cells where they are on the MK3 as far as there is room (CELLS_TO_UNIT); what has no button is dark
and cannot be pressed. Colours have 6 bits; flash and pulse are SysEx, not channels.

Source: Novation's programmer's reference for the Launchpad Pro. Pure: time is passed in
(CLOCK_MONOTONIC nanoseconds). One thread.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from devices.launchpad import mk3
from devices.launchpad.mk3 import END, LEFT, LOGO, LOWER_BOTTOM, PADS, RIGHT, TOP, Changes
from engine.surface import RGB, Cells, Press

HEADER: Final = bytes((0xF0, 0x00, 0x20, 0x29, 0x02, 0x10))
STANDALONE: Final = HEADER + b"\x21\x01" + END
PROGRAMMER_LAYOUT: Final = HEADER + b"\x2c\x03" + END
NOTE_LAYOUT: Final = HEADER + b"\x2c\x00" + END  # as it is after power-up
RGB_COMMAND, FLASH, PULSE = 0x0B, 0x23, 0x28
ENTRIES_MAX: Final = 78

UNIT_CELLS: Final = frozenset((*PADS, *TOP, *RIGHT, *LEFT, *LOWER_BOTTOM, LOGO))  # 97; 99 the side
CELLS_TO_UNIT: Final[dict[int, int]] = {
    **{index: index for index in UNIT_CELLS - {5, 6}},
    mk3.SHIFT: 80,
    80: 91,  # up
    70: 92,  # down
    91: 93,  # left
    92: 94,  # right
    93: 95,  # Session
    94: 96,  # Note
    95: 5,
    96: 6,
}
UNIT_TO_CELLS: Final = {unit: cell for cell, unit in CELLS_TO_UNIT.items()}


def light(units: Cells) -> bytes:
    """One SysEx that lights buttons of the unit. Raises ValueError above ENTRIES_MAX or for a
    button that does not exist."""
    if len(units) > ENTRIES_MAX:
        raise ValueError(f"{len(units)} cells in one message, {ENTRIES_MAX} at most")
    body = bytearray()
    for index, colour in units.items():
        if index not in UNIT_CELLS:
            raise ValueError(f"cell {index} does not exist")
        body += bytes((index, *_six_bits(colour)))
    return HEADER + bytes((RGB_COMMAND,)) + bytes(body) + END


def moving(command: int, index: int, colour: int) -> bytes:
    """FLASH or PULSE of one button in a colour of the palette, in the unit's own time."""
    return HEADER + bytes((command, index, colour & 0x7F)) + END


def _six_bits(colour: RGB) -> RGB:
    """What is lit stays lit."""
    r, g, b = (max(1, c >> 1) if c else 0 for c in colour)
    return (r, g, b)


class Pro:
    """One SysEx a frame; what does not fit follows in the next."""

    def __init__(self) -> None:
        self._changes = Changes(tuple(sorted(CELLS_TO_UNIT)), ENTRIES_MAX)

    def render(self, cells: Cells, now_ns: int) -> list[bytes]:
        changed = self._changes.take(cells, now_ns)
        if not changed:
            return []
        return [light({CELLS_TO_UNIT[index]: colour for index, colour in changed.items()})]

    def read(self, message: bytes) -> Press | None:
        press = mk3.read(message)
        if press is not None and press.kind not in mk3.NOTICES.values() and press.index:
            cell = UNIT_TO_CELLS.get(press.index)
            press = None if cell is None else replace(press, index=cell)
        return mk3.heard(press, self._changes)

    def forget(self) -> None:
        self._changes.forget()


def decode(message: bytes) -> Cells | None:
    """What a message of light() lights, by button of the unit; None for any other message."""
    if not (message.startswith(HEADER + bytes((RGB_COMMAND,))) and message.endswith(END)):
        return None
    body = message[len(HEADER) + 1 : -1]
    if len(body) % 4:
        return None
    return {body[i]: (body[i + 1], body[i + 2], body[i + 3]) for i in range(0, len(body), 4)}

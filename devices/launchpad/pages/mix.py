"""Mix: a column for each source, group and bus, eight at a time (left and right go on).

    rows 7-2      the fader: +6, 0, -6, -12, -24 dB, off; with Shift by 1 dB up or down
    row 1         mute; Record Arm (1), Mute (2), Solo (3) say whether it arms, mutes or solos
    to the right  what the faders move: the level (uppermost), or what is sent to a bus; with Shift
                  the ninth bus and those after it

What is armed is what CAPTURE takes.
"""

from __future__ import annotations

from typing import Final

from devices.launchpad.layout import (
    ARM,
    BRIGHT,
    DIM,
    MUTE,
    SOLO,
    Action,
    ActionKind,
    Channel,
    PageState,
    bank,
    eights,
    pad,
    place,
)
from devices.launchpad.mk3 import RIGHT
from engine.surface import (
    AMBER,
    GREEN,
    GREY,
    RED,
    RGB,
    WHITE,
    Cells,
    Press,
    PressKind,
    other_colour,
    scaled,
)

FADER_DB: Final = {7: 6.0, 6: 0.0, 5: -6.0, 4: -12.0, 3: -24.0, 2: -90.0}  # by row
FINE_DB: Final = 1.0
RAMP_S: Final = 0.1
TOGGLE_ROW: Final = 1
ROW_BUTTONS: Final[dict[int, tuple[ActionKind, RGB]]] = {
    ARM: (ActionKind.ARM, RED),
    MUTE: (ActionKind.MUTE, AMBER),
    SOLO: (ActionKind.SOLO, (0, 0, 127)),
}
KINDS: Final[dict[str, RGB]] = {
    "input": GREEN,
    "voice": (0, 60, 127),
    "texture": (90, 0, 127),
    "stems": (127, 40, 0),
    "effect": (0, 110, 110),
    "group": WHITE,
    "bus": (100, 90, 0),
}


def _bus(state: PageState) -> str | None:
    """The bus whose sends the faders move; None: their own levels."""
    at = state.local.bus
    return state.buses[at - 1] if 1 <= at <= len(state.buses) else None


def _db(channel: Channel, bus: str | None) -> float | None:
    """Where its fader is; None: there is none."""
    if bus is None:
        return channel.db
    return channel.sends.get(bus, -90.0) if channel.is_source else None


def banks(state: PageState) -> int:
    """How often left and right can go on, and one."""
    return eights(state.channels)


def paint(cells: Cells, state: PageState, beat: float) -> None:
    bus = _bus(state)
    for column, channel in enumerate(bank(state.channels, state.local.bank), 1):
        colour = KINDS.get(channel.name.partition(".")[0], GREY)
        db = _db(channel, bus)
        if db is not None:
            _paint_fader(cells, column, db, GREY if channel.muted else colour)
        on = _toggled(channel, state)
        if on is not None:
            cells[pad(TOGGLE_ROW, column)] = scaled(
                ROW_BUTTONS[state.local.row][1], BRIGHT if on else DIM
            )
    for button, (_, colour) in ROW_BUTTONS.items():
        cells[button] = scaled(colour, BRIGHT if state.local.row == button else DIM)
    for i, cell in enumerate(RIGHT, len(RIGHT) if state.shift else 0):
        if i <= len(state.buses):
            colour = other_colour(i) if i else WHITE
            cells[cell] = scaled(colour, BRIGHT if i == state.local.bus else DIM)


def _paint_fader(cells: Cells, column: int, db: float, colour: RGB) -> None:
    """Lit up to where it stands; between two pads the upper one is lit by its share."""
    rows = sorted(FADER_DB)
    for low, row in zip((None, *rows), rows, strict=False):
        if db >= FADER_DB[row]:
            share = BRIGHT if db < FADER_DB.get(row + 1, 100.0) else 0.4
        elif low is not None and db > FADER_DB[low]:
            share = 0.6 * (db - FADER_DB[low]) / (FADER_DB[row] - FADER_DB[low])
        else:
            share = 0.0
        cells[pad(row, column)] = scaled(colour, max(share, 0.03))


def _toggled(channel: Channel, state: PageState) -> bool | None:
    """Whether row 1 is on for a column; None: it has no such thing."""
    if state.local.row == ARM:
        return channel.name == state.armed if channel.captures else None
    if not channel.is_source:
        return None
    return channel.soloed if state.local.row == SOLO else channel.muted


def action(press: Press, state: PageState) -> Action | None:
    if press.kind is not PressKind.DOWN:
        return None
    if press.index in ROW_BUTTONS:
        return Action(ActionKind.SELECT_ROW, slot=press.index)
    if press.index in RIGHT:
        i = RIGHT.index(press.index) + (len(RIGHT) if state.shift else 0)
        return Action(ActionKind.SELECT_BUS, slot=i) if i <= len(state.buses) else None
    where = place(press.index)
    shown = bank(state.channels, state.local.bank)
    if where is None or where[1] > len(shown):
        return None
    row, channel = where[0], shown[where[1] - 1]
    if row == TOGGLE_ROW:
        if _toggled(channel, state) is None:
            return None
        return Action(ROW_BUTTONS[state.local.row][0], words={"source": channel.name})
    return _fader(channel, row, state)


def _fader(channel: Channel, row: int, state: PageState) -> Action | None:
    bus = _bus(state)
    now, db = _db(channel, bus), FADER_DB[row]
    if now is None:
        return None
    if state.shift:
        db = min(24.0, max(-90.0, now + (FINE_DB if db > now else -FINE_DB)))
    words = {"source": channel.name, "db": round(db, 2), "seconds": RAMP_S}
    if bus is not None:
        return Action(ActionKind.SEND, words={**words, "bus": bus})
    return Action(ActionKind.LEVEL, words=words)

"""Control voltages: what comes in, eight at a time, and the routes it takes.

rows 7-3   how high each voltage stands, 0 to 1
row 2      the routes (left and right go on): pressed, off or on again
row 1      the first pad: every chaos stands still, or goes on
"""

from __future__ import annotations

from typing import Final

from devices.launchpad.layout import (
    BRIGHT,
    DIM,
    Action,
    ActionKind,
    PageState,
    bank,
    eights,
    pad,
    place,
)
from engine.surface import GREEN, Cells, Press, PressKind, other_colour, scaled

LEVEL_ROWS: Final = (3, 4, 5, 6, 7)
ROUTE_ROW, FREEZE_PAD = 2, pad(1, 1)
ICE: Final = (0, 110, 110)


def banks(state: PageState) -> int:
    """How often left and right can go on, and one."""
    return max(eights(state.cv), eights(state.routes))


def paint(cells: Cells, state: PageState, beat: float) -> None:
    for column, (_, value) in enumerate(bank(state.cv, state.local.bank), 1):
        for i, row in enumerate(LEVEL_ROWS):
            share = min(1.0, max(0.04, value * len(LEVEL_ROWS) - i))
            cells[pad(row, column)] = scaled(other_colour(column), share)
    for column, route in enumerate(bank(state.routes, state.local.bank), 1):
        cells[pad(ROUTE_ROW, column)] = scaled(GREEN, 0.6 if route.on else DIM / 2)
    if state.cv:
        cells[FREEZE_PAD] = scaled(ICE, BRIGHT if state.frozen else DIM)


def action(press: Press, state: PageState) -> Action | None:
    where = place(press.index)
    if press.kind is not PressKind.DOWN or where is None:
        return None
    if press.index == FREEZE_PAD and state.cv:
        return Action(ActionKind.FREEZE)
    routes = bank(state.routes, state.local.bank)
    if where[0] == ROUTE_ROW and where[1] <= len(routes):
        return Action(ActionKind.ROUTE, words={"what": routes[where[1] - 1].name})
    return None

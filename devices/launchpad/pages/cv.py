"""Control voltages: what comes in, then what leaves, eight at a time (left and right go on).

rows 7-3   how high each stands: one that comes in from 0 to 1, from below; one that leaves from
           the middle row (0 V), 5 V a row up and down, its name's colour under a white tip
row 2      the routes of what comes in: pressed, off or on again
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
from engine.surface import GREEN, RGB, WHITE, Cells, Press, PressKind, other_colour, scaled

LEVEL_ROWS: Final = (3, 4, 5, 6, 7)
VOLTS: Final = (-10.0, -5.0, 0.0, 5.0, 10.0)  # by row, from below
ROUTE_ROW, FREEZE_PAD = 2, pad(1, 1)
ICE: Final = (0, 110, 110)


def banks(state: PageState) -> int:
    """How often left and right can go on, and one."""
    return max(eights((*state.cv, *state.cv_out)), eights(state.routes))


def paint(cells: Cells, state: PageState, beat: float) -> None:
    inward = len(state.cv)
    both = [*enumerate((*state.cv, *state.cv_out))]
    for column, (i, (_, value)) in enumerate(bank(both, state.local.bank), 1):
        if i < inward:
            _paint_in(cells, column, value, other_colour(i))
        else:
            _paint_out(cells, column, value, other_colour(i))
    for column, route in enumerate(bank(state.routes, state.local.bank), 1):
        cells[pad(ROUTE_ROW, column)] = scaled(GREEN, 0.6 if route.on else DIM / 2)
    if state.cv:
        cells[FREEZE_PAD] = scaled(ICE, BRIGHT if state.frozen else DIM)


def _paint_in(cells: Cells, column: int, value: float, colour: RGB) -> None:
    for i, row in enumerate(LEVEL_ROWS):
        share = min(1.0, max(0.04, value * len(LEVEL_ROWS) - i))
        cells[pad(row, column)] = scaled(colour, share)


def _paint_out(cells: Cells, column: int, volts: float, colour: RGB) -> None:
    """White where it stands, its colour from 0 V to there."""
    nearest = min(VOLTS, key=lambda v: abs(v - volts))
    for row, at in zip(LEVEL_ROWS, VOLTS, strict=True):
        if at == nearest:
            cells[pad(row, column)] = scaled(WHITE, BRIGHT if nearest else 0.3)
        else:
            passed = min(0.0, nearest) <= at <= max(0.0, nearest)
            cells[pad(row, column)] = scaled(colour, 0.4 if passed else 0.04)


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

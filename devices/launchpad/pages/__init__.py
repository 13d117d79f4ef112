"""The pages of the pads, each a module of its own: `paint` lights its part of the cells, `action`
says what a press on one of them asks for. Pure, both: a PageState in, and a beat or a press.

frame.py is what all pages share; a page may not use its cells.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from devices.launchpad.layout import TRANSPORT_ROW, Action, PageState, place
from devices.launchpad.mk3 import CELLS
from devices.launchpad.pages import clock, cv, frame, mix, players, songs, stems, vibe
from engine.surface import OFF, WHITE, Cells, Press, PressKind

MODULES: Final[dict[str, ModuleType]] = {
    "stems": stems,
    "songs": songs,
    "mix": mix,
    "players": players,
    "clock": clock,
    "vibe": vibe,
    "cv": cv,
}


def paint(state: PageState, beat: float) -> Cells:
    """The colour of every cell at a beat (not finite: there is no musical time yet)."""
    cells: Cells = dict.fromkeys(CELLS, OFF)
    MODULES[state.local.page].paint(cells, state, beat)
    frame.paint(cells, state, beat)
    for index in state.pressed:
        if index in cells:
            cells[index] = WHITE
    return cells


def action(press: Press, state: PageState) -> Action | None:
    """What a press asks for; None for releases and for cells without a meaning now."""
    if press.kind in (PressKind.DOWN, PressKind.HELD, PressKind.CONNECTED):
        shared: Action | None = frame.action(press, state)
        if shared is not None or press.kind is not PressKind.DOWN:
            return shared
        where = place(press.index)
        if where is not None and where[0] == TRANSPORT_ROW:
            return None
    elif press.kind is not PressKind.PRESSURE:
        return None
    found: Action | None = MODULES[state.local.page].action(press, state)
    return found

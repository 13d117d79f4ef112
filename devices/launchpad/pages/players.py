"""Players: the models that play along, and the voices.

rows 7-3   the eight controls of the selected player as faders, the middle row at rest (left and
           right go on); or, as a plane, the first two: across and up
row 2      the voices: lit, or muted
row 1      picks the player: bright, selected; pulsing, it may play
to the right, from above: faders or plane, freeze (a texture), on or off, all controls at rest
"""

from __future__ import annotations

import math
from typing import Final

from devices.launchpad.layout import (
    BRIGHT,
    COLUMNS,
    DIM,
    Action,
    ActionKind,
    PadPlayer,
    PageState,
    eights,
    pad,
    place,
)
from devices.launchpad.mk3 import RIGHT
from engine.stem import StemState
from engine.surface import (
    AMBER,
    GREEN,
    GREY,
    LOOKS,
    RGB,
    WHITE,
    Cells,
    Press,
    PressKind,
    other_colour,
    scaled,
    shade,
)

PLAYER_ROW, VOICE_ROW = 1, 2
CONTROL_ROWS: Final = (3, 4, 5, 6, 7)
STEPS: Final = (-1.0, -0.5, 0.0, 0.5, 1.0)  # by row, from below
PLANE, FREEZE, ON, CENTRE = RIGHT[:4]
ICE: Final = (40, 90, 127)


def _selected(state: PageState) -> PadPlayer | None:
    return state.players[state.local.player] if state.local.player < len(state.players) else None


def _first(state: PageState, player: PadPlayer) -> int:
    """Number (from 0) of the control in the first column."""
    return min(state.local.bank, eights(player.controls) - 1) * COLUMNS


def banks(state: PageState) -> int:
    """How often left and right can go on, and one."""
    return eights(player.controls) if (player := _selected(state)) is not None else 1


def paint(cells: Cells, state: PageState, beat: float) -> None:
    for i, player in enumerate(state.players[:COLUMNS]):
        colour = scaled(other_colour(i), BRIGHT if i == state.local.player else 0.3)
        look = LOOKS[StemState.PLAYING if player.plays else StemState.READY]
        colour = shade(look, colour, beat, math.inf, state.beats_per_bar) if player.on else GREY
        cells[pad(PLAYER_ROW, i + 1)] = colour
    for i, (_, muted) in enumerate(state.voices[:COLUMNS]):
        cells[pad(VOICE_ROW, i + 1)] = GREY if muted else scaled(WHITE, 0.5)
    selected = _selected(state)
    if selected is not None:
        _paint_selected(cells, state, selected)


def _paint_selected(cells: Cells, state: PageState, player: PadPlayer) -> None:
    colour = other_colour(state.local.player)
    if state.local.plane and len(player.controls) > 1:
        _paint_plane(cells, player, colour)
    else:
        first = _first(state, player)
        for column, value in enumerate(player.controls[first : first + COLUMNS], 1):
            _paint_control(cells, column, value, colour)
    cells[PLANE] = scaled(WHITE, BRIGHT if state.local.plane else DIM)
    if player.texture:
        cells[FREEZE] = scaled(ICE, BRIGHT if player.frozen else DIM)
    cells[ON] = scaled(GREEN, BRIGHT if player.on else DIM)
    cells[CENTRE] = scaled(AMBER, BRIGHT if any(player.controls) else DIM)


def _paint_control(cells: Cells, column: int, value: float, colour: RGB) -> None:
    """Lit from the middle to where it stands."""
    for row, step in zip(CONTROL_ROWS, STEPS, strict=True):
        between = min(0.0, value) - 0.25 <= step <= max(0.0, value) + 0.25
        share = BRIGHT if abs(step - value) <= 0.25 else 0.4 if between else 0.04
        cells[pad(row, column)] = scaled(colour, share)


def _paint_plane(cells: Cells, player: PadPlayer, colour: RGB) -> None:
    x, y = player.controls[:2]
    for row, step in zip(CONTROL_ROWS, STEPS, strict=True):
        for column in range(1, COLUMNS + 1):
            away = max(abs(_across(column) - x), abs(step - y))
            cells[pad(row, column)] = scaled(colour, max(0.04, 1.0 - 1.8 * away))


def _across(column: int) -> float:
    return round(-1.0 + 2.0 * (column - 1) / (COLUMNS - 1), 3)


def action(press: Press, state: PageState) -> Action | None:
    if press.kind is not PressKind.DOWN:
        return None
    player = _selected(state)
    if press.index in RIGHT:
        return None if player is None else _button(press.index, player, state)
    where = place(press.index)
    if where is None:
        return None
    row, column = where
    if row == PLAYER_ROW:
        found = column <= len(state.players)
        return Action(ActionKind.SELECT_PLAYER, slot=column - 1) if found else None
    if row == VOICE_ROW:
        if column > len(state.voices):
            return None
        return Action(ActionKind.MUTE, words={"source": f"voice.{state.voices[column - 1][0]}"})
    if player is None:
        return None
    step = STEPS[CONTROL_ROWS.index(row)]
    if state.local.plane and len(player.controls) > 1:
        values = (_across(column), step)
        return Action(ActionKind.CONTROL, words={"what": player.name, "values": values})
    number = _first(state, player) + column
    if number > len(player.controls):
        return None
    words = {"what": player.name, "number": number, "values": (step,)}
    return Action(ActionKind.CONTROL, words=words)


def _button(index: int, player: PadPlayer, state: PageState) -> Action | None:
    words = {"what": player.name}
    if index == PLANE:
        return Action(ActionKind.SELECT_PLANE, slot=int(not state.local.plane))
    if index == FREEZE and player.texture:
        return Action(ActionKind.FREEZE_PLAYER, words=words)
    if index == ON:
        return Action(ActionKind.PLAYER, words=words)
    if index == CENTRE:
        return Action(ActionKind.CENTRE, words=words)
    return None

"""What is the same on every page: transport, DRY, panic, tempo, songs, undo, capture, the pages."""

from __future__ import annotations

import math
from typing import Final

from devices.launchpad.layout import (
    BANK_BACK,
    BANK_ON,
    BRIGHT,
    CAPTURE,
    COLUMNS,
    DIM,
    PAGE_BUTTONS,
    PANIC_BUTTON,
    PHRASE_CELLS,
    SHIFTED,
    SONG_BUTTONS,
    SONGS,
    TEMPO_DOWN,
    TEMPO_UP,
    TRANSPORT,
    TRANSPORT_ROW,
    UNDO,
    Action,
    ActionKind,
    PadStem,
    PageState,
    pad,
    place,
)
from devices.launchpad.mk3 import LOGO, SHIFT
from devices.launchpad.pages.stems import stem_at
from engine.stem import StemState
from engine.surface import AMBER, GREEN, GREY, OFF, RED, WHITE, Cells, Press, PressKind, scaled

PAGE_COLOUR: Final = (0, 90, 127)
LEFT_COLOUR: Final = (127, 100, 20)  # how long it still takes


def paint(cells: Cells, state: PageState, beat: float) -> None:
    _paint_transport(cells, state, beat)
    _paint_songs(cells, state, beat)
    _paint_phrase(cells, state, beat)
    for index, page in PAGE_BUTTONS.items():
        if page in state.pages:
            cells[index] = scaled(PAGE_COLOUR, BRIGHT if page == state.local.page else DIM)
    if state.local.bank:
        cells[BANK_BACK] = scaled(WHITE, DIM)
    if state.local.bank + 1 < state.banks:
        cells[BANK_ON] = scaled(WHITE, DIM)
    cells[SHIFT] = scaled(WHITE, BRIGHT if state.shift else DIM)
    cells[UNDO] = scaled(AMBER, 0.5 if state.undo else DIM / 4)
    cells[CAPTURE] = scaled(RED, 0.5 if state.captures else DIM)
    cells[TEMPO_UP] = cells[TEMPO_DOWN] = scaled(WHITE, DIM)
    cells[PANIC_BUTTON] = scaled(RED, DIM)
    cells[LOGO] = RED if state.dry else scaled(GREEN, DIM)


def _paint_transport(cells: Cells, state: PageState, beat: float) -> None:
    lit = {
        ActionKind.LET_IN: state.let_in,
        ActionKind.CLICK: state.click,
        ActionKind.DRY: state.dry,
        ActionKind.FREEZE: state.frozen,
        ActionKind.TAP: math.isfinite(beat) and beat % 1.0 < 0.25,
        ActionKind.THIS_IS_ONE: math.isfinite(beat) and beat % state.beats_per_bar < 0.25,
    }
    for column, (kind, colour) in enumerate(TRANSPORT, 1):
        if state.shift and kind is not ActionKind.DRY:
            kind, colour = SHIFTED.get(column, (kind, OFF))
        cells[pad(TRANSPORT_ROW, column)] = scaled(colour, BRIGHT if lit.get(kind) else DIM)


def _paint_songs(cells: Cells, state: PageState, beat: float) -> None:
    blink = not math.isfinite(beat) or beat % 1.0 < 0.5
    waits = {state.changing, ActionKind.END if state.ending else None}
    for index, (kind, colour) in zip(SONG_BUTTONS, SONGS, strict=True):
        on = (kind in waits and blink) or (kind is ActionKind.STANDBY and state.standby)
        cells[index] = scaled(colour, BRIGHT if on else DIM)


def _paint_phrase(cells: Cells, state: PageState, beat: float) -> None:
    """Where the phrase is; while a stem is held that waits or is being made, how many beats or
    phrases it still takes."""
    left = next((n for i in state.held if (n := _left(stem_at(i, state))) is not None), None)
    if left is not None:
        for cell in PHRASE_CELLS[:left]:
            cells[cell] = LEFT_COLOUR
        return
    if not math.isfinite(beat):
        return
    length = state.beats_per_bar * state.bars_per_phrase
    at = int(beat % length * COLUMNS / length)
    for column, cell in enumerate(PHRASE_CELLS[: at + 1]):
        cells[cell] = WHITE if column == at else GREY


def _left(stem: PadStem | None) -> int | None:
    """Lights for what a stem waits for, 1 to 8: beats to its boundary, or phrases until ready."""
    if stem is None:
        return None
    waits = stem.state in (StemState.QUEUED, StemState.RETIRING)
    left = stem.beats_left if waits else stem.phrases_left
    return min(COLUMNS, max(1, math.ceil(left))) if math.isfinite(left) else None


def action(press: Press, state: PageState) -> Action | None:
    """What belongs to all pages; None: ask the page."""
    if press.kind is PressKind.HELD:
        return Action(ActionKind.PANIC, safe=True) if press.index == PANIC_BUTTON else None
    if press.kind is PressKind.CONNECTED:
        return Action(ActionKind.REPAINT)
    index = press.index
    if index in (TEMPO_UP, TEMPO_DOWN):
        return Action(ActionKind.TEMPO_UP if index == TEMPO_UP else ActionKind.TEMPO_DOWN)
    if index in SONG_BUTTONS:
        return Action(SONGS[SONG_BUTTONS.index(index)][0])
    if index == CAPTURE:
        return Action(ActionKind.CAPTURE, state.role)
    if index == UNDO:
        return Action(ActionKind.UNDO)
    if index == BANK_BACK and state.local.bank:
        return Action(ActionKind.BANK, slot=state.local.bank - 1)
    if index == BANK_ON and state.local.bank + 1 < state.banks:
        return Action(ActionKind.BANK, slot=state.local.bank + 1)
    if PAGE_BUTTONS.get(index) in state.pages:
        return Action(ActionKind.PAGE, words={"page": PAGE_BUTTONS[index]})
    where = place(index)
    if where is not None and where[0] == TRANSPORT_ROW:
        return _transport(where[1], state)
    return None


def _transport(column: int, state: PageState) -> Action | None:
    kind = TRANSPORT[column - 1][0]
    if kind is ActionKind.DRY:
        return Action(kind, safe=True)
    if state.shift:
        return Action(SHIFTED[column][0]) if column in SHIFTED else None
    if kind is ActionKind.REGENERATE:
        return None if state.role is None else Action(kind, state.role)
    return Action(kind)

"""Clock: where the beat is, and who says so.

row 7   the tempo is our own, the tracker's ¦ hold ¦ hands let go: the tracker may decide again
row 6   nudge: beats 20, 10, 5, 1 ms earlier ¦ 1, 5, 10, 20 ms later
row 5   shift: beats 2, 1, ½ earlier ¦ ½, 1, 2 later
row 4   ÷2 at the bar, 5 and 1 BPM slower ¦ 1 and 5 BPM faster, ×2 at the bar
row 3   bars of a phrase: 1 2 3 4 6 8 12 16
row 2   how sure the clock is
row 1   four pads: this is one ¦ four pads: tap
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
    PageState,
    pad,
    place,
)
from engine.surface import (
    AMBER,
    GREEN,
    RED,
    RGB,
    WHITE,
    Cells,
    Press,
    PressKind,
    scaled,
)
from engine.timeline import BPM_MAX, BPM_MIN

SOURCE_ROW, NUDGE_ROW, SHIFT_ROW, TEMPO_ROW = 7, 6, 5, 4
PHRASE_ROW, SURE_ROW, HAND_ROW = 3, 2, 1
NUDGES_MS: Final = (-20.0, -10.0, -5.0, -1.0, 1.0, 5.0, 10.0, 20.0)
SHIFTS: Final = {1: -2.0, 2: -1.0, 3: -0.5, 6: 0.5, 7: 1.0, 8: 2.0}  # column -> beats later
TEMPI: Final = {2: -5.0, 3: -1.0, 6: 1.0, 7: 5.0}  # column -> BPM
HALF, DOUBLE = 1, 8  # columns of the tempo row
PHRASES: Final = (1, 2, 3, 4, 6, 8, 12, 16)
OWN, TRACKER, HELD, FREE = 1, 2, 4, 5  # columns of the source row
STATES: Final[dict[str, RGB]] = {
    "locked": GREEN,
    "coasting": AMBER,
    "searching": RED,
    "internal": (0, 60, 127),
    "external": (0, 110, 110),
}
BLUE, VIOLET = (0, 60, 127), (90, 0, 127)


def banks(state: PageState) -> int:
    """How often left and right can go on, and one."""
    return 1


def paint(cells: Cells, state: PageState, beat: float) -> None:
    clock = state.clock
    source = {
        OWN: (BLUE, not clock.follows),
        TRACKER: (GREEN, clock.follows),
        HELD: (RED, clock.held),
        FREE: (AMBER, clock.by_hand),
    }
    for column, (colour, on) in source.items():
        if clock.can_follow or column in (OWN, HELD):
            cells[pad(SOURCE_ROW, column)] = scaled(colour, BRIGHT if on else DIM)
    for column, step in enumerate(NUDGES_MS, 1):
        cells[pad(NUDGE_ROW, column)] = scaled(VIOLET, 0.1 + abs(step) / 30.0)
    for column, beats in SHIFTS.items():
        cells[pad(SHIFT_ROW, column)] = scaled(BLUE, 0.1 + abs(beats) / 3.0)
    for column, bpm in TEMPI.items():
        cells[pad(TEMPO_ROW, column)] = scaled(WHITE, 0.1 + abs(bpm) / 20.0)
    blink = not math.isfinite(beat) or beat % 1.0 < 0.5
    for column, waits in ((HALF, clock.factor < 1.0), (DOUBLE, clock.factor > 1.0)):
        cells[pad(TEMPO_ROW, column)] = scaled(AMBER, BRIGHT if waits and blink else DIM)
    for column, bars in enumerate(PHRASES, 1):
        on = bars == state.bars_per_phrase
        cells[pad(PHRASE_ROW, column)] = scaled(GREEN, BRIGHT if on else DIM)
    sure = round(clock.confidence * COLUMNS)
    for column in range(1, max(1, sure) + 1):
        cells[pad(SURE_ROW, column)] = scaled(STATES[clock.state], 0.4)
    _paint_hand(cells, state, beat)


def _paint_hand(cells: Cells, state: PageState, beat: float) -> None:
    heard = math.isfinite(beat)
    one = heard and beat % state.beats_per_bar < 0.25
    tap = heard and beat % 1.0 < 0.25
    for column in range(1, COLUMNS + 1):
        colour, on = (WHITE, one) if column <= COLUMNS // 2 else (AMBER, tap)
        cells[pad(HAND_ROW, column)] = scaled(colour, BRIGHT if on else DIM)


def action(press: Press, state: PageState) -> Action | None:
    where = place(press.index)
    if press.kind is not PressKind.DOWN or where is None:
        return None
    row, column = where
    if row == SOURCE_ROW:
        return _source(column, state)
    if row == NUDGE_ROW:
        return Action(ActionKind.NUDGE, words={"value": NUDGES_MS[column - 1]})
    if row == SHIFT_ROW and column in SHIFTS:
        return Action(ActionKind.SHIFT, words={"value": SHIFTS[column]})
    if row == TEMPO_ROW and column in (HALF, DOUBLE):
        return Action(ActionKind.HALVE if column == HALF else ActionKind.DOUBLE)
    if row == TEMPO_ROW and column in TEMPI:
        bpm = min(BPM_MAX, max(BPM_MIN, state.clock.bpm + TEMPI[column]))
        return Action(ActionKind.TEMPO, words={"value": round(bpm, 2)})
    if row == PHRASE_ROW:
        return Action(ActionKind.PHRASE, words={"value": PHRASES[column - 1]})
    if row == HAND_ROW:
        return Action(ActionKind.THIS_IS_ONE if column <= COLUMNS // 2 else ActionKind.TAP)
    return None


def _source(column: int, state: PageState) -> Action | None:
    if column == HELD:
        return Action(ActionKind.HOLD)
    if column == OWN:
        return Action(ActionKind.FOLLOW, words={"on": False})
    if column == TRACKER and state.clock.can_follow:
        return Action(ActionKind.FOLLOW, words={"on": True})
    return Action(ActionKind.LET_GO) if column == FREE and state.clock.can_follow else None

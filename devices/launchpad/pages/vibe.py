"""Vibe: the moods that the patch describes, a column for each.

rows 7-2   how strong it is: pressed, so strong at once
row 1      the mood: as strong as it is pressed (the strongest moment counts, also after letting
           go); pressed again, it is over
"""

from __future__ import annotations

from typing import Final

from devices.launchpad.layout import COLUMNS, DIM, Action, ActionKind, PageState, pad, place
from engine.stem import StemState
from engine.surface import (
    LOOKS,
    Cells,
    Press,
    PressKind,
    other_colour,
    scaled,
    shade,
)

MOOD_ROW: Final = 1
STRENGTHS: Final = {2: 1 / 6, 3: 2 / 6, 4: 3 / 6, 5: 4 / 6, 6: 5 / 6, 7: 1.0}  # by row
LEAST: Final = 0.2  # of a light tap


def banks(state: PageState) -> int:
    """How often left and right can go on, and one."""
    return 1


def paint(cells: Cells, state: PageState, beat: float) -> None:
    for i, vibe in enumerate(state.vibes[:COLUMNS]):
        colour = other_colour(i)
        on = vibe.intensity > 0.0
        look = LOOKS[StemState.PLAYING if on else StemState.DONE]
        cells[pad(MOOD_ROW, i + 1)] = shade(look, colour, beat, 0.0, state.beats_per_bar)
        for row, strength in STRENGTHS.items():
            reached = on and vibe.intensity >= strength - 1 / 12
            cells[pad(row, i + 1)] = scaled(colour, 0.6 if reached else DIM / 3)


def action(press: Press, state: PageState) -> Action | None:
    where = place(press.index)
    if where is None or where[1] > min(COLUMNS, len(state.vibes)):
        return None
    row, vibe = where[0], state.vibes[where[1] - 1]
    if press.kind is PressKind.DOWN and row in STRENGTHS:
        return _to(vibe.name, STRENGTHS[row])
    if row != MOOD_ROW:
        return None
    pressed = max(LEAST, press.value / 127.0)
    if press.kind is PressKind.DOWN:
        return _to(vibe.name, 0.0 if vibe.intensity > 0.0 else pressed)
    stronger = vibe.intensity > 0.0 and pressed > vibe.intensity
    return _to(vibe.name, pressed) if stronger else None


def _to(name: str, strength: float) -> Action:
    return Action(ActionKind.VIBE, words={"what": name, "value": round(min(1.0, strength), 3)})

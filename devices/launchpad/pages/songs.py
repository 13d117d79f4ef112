"""Scenes and songs: what is played pulses, what waits for its boundary blinks.

row 7 ┐ the songs of the patch or set, sixteen at a time (left and right go on)
row 6 ┘
row 5 ┐ the scenes of the song that plays
row 4 ┘
row 1   next song, next scene, standby, end
"""

from __future__ import annotations

import math
from typing import Final

from devices.launchpad.layout import (
    BRIGHT,
    COLUMNS,
    DIM,
    SONGS,
    Action,
    ActionKind,
    PageState,
    pad,
    place,
)
from engine.stem import StemState
from engine.surface import LOOKS, RGB, Cells, Press, PressKind, other_colour, scaled, shade

SONG_ROWS: Final = (7, 6)
SCENE_ROWS: Final = (5, 4)
HANDS_ROW: Final = 1
SHOWN: Final = 2 * COLUMNS


def _first(state: PageState) -> int:
    """Of the songs shown."""
    return min(state.local.bank, banks(state) - 1) * SHOWN


def banks(state: PageState) -> int:
    """How often left and right can go on, and one."""
    return max(1, -(-len(state.songs) // SHOWN))


def paint(cells: Cells, state: PageState, beat: float) -> None:
    first = _first(state)
    for i in range(first, min(first + SHOWN, len(state.songs))):
        look = _look(i, state.song, state.next_song, state, other_colour(i), beat)
        cells[_cell(SONG_ROWS, i - first)] = look
    for i in range(min(SHOWN, len(state.scenes))):
        colour = other_colour(state.song + i + 1)
        look = _look(i, state.scene, state.next_scene, state, colour, beat)
        cells[_cell(SCENE_ROWS, i)] = look
    blink = not math.isfinite(beat) or beat % 1.0 < 0.5
    waits = {state.changing, ActionKind.END if state.ending else None}
    for column, (kind, colour) in enumerate(SONGS, 1):
        on = (kind in waits and blink) or (kind is ActionKind.STANDBY and state.standby)
        cells[pad(HANDS_ROW, column)] = scaled(colour, BRIGHT if on else DIM)


def _look(
    i: int, playing: int, waiting: int | None, state: PageState, colour: RGB, beat: float
) -> RGB:
    if i == waiting:
        look = LOOKS[StemState.QUEUED]
        return shade(look, colour, beat, state.change_left, state.beats_per_bar)
    if i == playing:
        return shade(LOOKS[StemState.PLAYING], colour, beat, math.inf, state.beats_per_bar)
    return scaled(colour, DIM)


def _cell(rows: tuple[int, ...], i: int) -> int:
    return pad(rows[i // COLUMNS], i % COLUMNS + 1)


def action(press: Press, state: PageState) -> Action | None:
    where = place(press.index)
    if press.kind is not PressKind.DOWN or where is None:
        return None
    row, column = where
    if row in SONG_ROWS:
        i = _first(state) + SONG_ROWS.index(row) * COLUMNS + column - 1
        found = i < len(state.songs)
        return Action(ActionKind.SONG, words={"what": i + 1}) if found else None
    if row in SCENE_ROWS:
        i = SCENE_ROWS.index(row) * COLUMNS + column - 1
        found = i < len(state.scenes)
        return Action(ActionKind.SCENE, words={"what": i + 1}) if found else None
    if row == HANDS_ROW and column <= len(SONGS):
        return Action(SONGS[column - 1][0])
    return None

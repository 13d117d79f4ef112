"""The page 'stems': what each pad shows and what a press on it asks for.

    row 8   one  tap  let in  next  again  click  repaint  DRY      (top)
    row 7   the phrase: one pad a beat, or a share of it
    row 6   the queue, soonest first
    row 5 ┐
    row 4 │ the variations of four roles, each in its place; the button to the right stops the role
    row 3 │
    row 2 ┘
    row 1   picks the role (and the four roles shown above)         (bottom)

Around it: record (10) captures the last bars; up and down (80, 70) nudge the tempo; below them next
song (60), next scene (50), standby (40) and end (30), which blink while they wait for their
boundary; Stop Clip (8) held half a second is panic. DRY is the pad at the top right on every page.
DRY and panic are `safe`: the midi process has sent them to the audio process already, so whoever
gets that action only shows and logs it.

Pure; the conductor calls paint() every frame and action() at every press.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from devices.launchpad.mk3 import CELLS, LOGO, RIGHT, STOP_CLIP
from engine.stem import StemState
from engine.surface import (
    AMBER,
    GREEN,
    GREY,
    LOOKS,
    MUTED,
    OFF,
    RED,
    RGB,
    WHITE,
    Cells,
    Press,
    PressKind,
    role_colour,
    scaled,
    shade,
)

COLUMNS: Final = 8
ROLE_ROW, QUEUE_ROW, PHRASE_ROW, TRANSPORT_ROW = 1, 6, 7, 8
STEM_ROWS: Final = (5, 4, 3, 2)  # the first role shown is the uppermost
DRY_PAD: Final = 88
PANIC_BUTTON: Final = STOP_CLIP
TEMPO_UP, TEMPO_DOWN = 80, 70
SONG_BUTTONS: Final = (60, 50, 40, 30)
CAPTURE: Final = 10  # the button "record"
DIM, BRIGHT = 0.15, 1.0


class ActionKind(Enum):
    THIS_IS_ONE = "this_is_one"  # a hand says: this beat is the first of a bar
    TAP = "tap"
    LET_IN = "let_in"  # toggles: may stems enter
    NEXT = "next"
    REGENERATE = "regenerate"  # other stems for the selected role
    CLICK = "click"  # toggles the metronome
    REPAINT = "repaint"
    DRY = "dry"
    PANIC = "panic"
    SELECT_ROLE = "select_role"
    QUEUE_STEM = "queue_stem"
    UNQUEUE_STEM = "unqueue_stem"
    STOP_STEM = "stop_stem"
    KEEP_STEM = "keep_stem"  # it was stopping, let it play on
    STOP_ROLE = "stop_role"
    CAPTURE = "capture"  # the last bars become a stem
    TEMPO_UP = "tempo_up"
    TEMPO_DOWN = "tempo_down"
    NEXT_SONG = "next_song"
    NEXT_SCENE = "next_scene"
    STANDBY = "standby"
    END = "end"


@dataclass(frozen=True)
class Action:
    """role: name. stem: id. slot: place in the row, from 0. safe: done already, see above."""

    kind: ActionKind
    role: str | None = None
    stem: int | None = None
    slot: int | None = None
    safe: bool = False


@dataclass(frozen=True)
class PadStem:
    """A stem on a pad. beats_left: to the boundary where its queued step happens."""

    id: int
    state: StemState
    beats_left: float = math.inf


@dataclass(frozen=True)
class PageState:
    """All the page shows. roles: in the patch's order, each with its stems by slot (None: empty
    slot). queue: (role, stem id), soonest first. selected: index into roles."""

    roles: dict[str, list[PadStem | None]] = field(default_factory=dict)
    queue: tuple[tuple[str, int], ...] = ()
    selected: int = 0
    muted: frozenset[str] = frozenset()
    pressed: frozenset[int] = frozenset()  # cells held down: a press answers at once
    dry: bool = False
    let_in: bool = False
    click: bool = False
    standby: bool = False
    changing: ActionKind | None = None  # NEXT_SONG or NEXT_SCENE, waiting for its boundary
    ending: bool = False
    beats_per_bar: int = 4
    bars_per_phrase: int = 4


TRANSPORT: Final[tuple[tuple[ActionKind, RGB], ...]] = (
    (ActionKind.THIS_IS_ONE, WHITE),
    (ActionKind.TAP, AMBER),
    (ActionKind.LET_IN, GREEN),
    (ActionKind.NEXT, (0, 80, 127)),
    (ActionKind.REGENERATE, (90, 0, 127)),
    (ActionKind.CLICK, (60, 60, 60)),
    (ActionKind.REPAINT, GREY),
    (ActionKind.DRY, RED),
)

SONGS: Final[tuple[tuple[ActionKind, RGB], ...]] = (
    (ActionKind.NEXT_SONG, (0, 80, 127)),
    (ActionKind.NEXT_SCENE, (0, 127, 60)),
    (ActionKind.STANDBY, AMBER),
    (ActionKind.END, (127, 0, 60)),
)

# What a press on a stem asks for, by its state; in other states it asks for nothing.
STEM_ACTIONS: Final[dict[StemState, ActionKind]] = {
    StemState.READY: ActionKind.QUEUE_STEM,
    StemState.DONE: ActionKind.QUEUE_STEM,
    StemState.QUEUED: ActionKind.UNQUEUE_STEM,
    StemState.PLAYING: ActionKind.STOP_STEM,
    StemState.RETIRING: ActionKind.KEEP_STEM,
}


def pad(row: int, column: int) -> int:
    """The cell index of a pad; rows and columns from 1, row 1 at the bottom."""
    return 10 * row + column


def shown_roles(state: PageState) -> list[tuple[int, str]]:
    """(row, role) of the four roles around the selected one."""
    names = list(state.roles)
    first = state.selected // len(STEM_ROWS) * len(STEM_ROWS)
    return list(zip(STEM_ROWS, names[first : first + len(STEM_ROWS)], strict=False))


def paint(state: PageState, beat: float) -> Cells:
    """The colour of every cell at a beat."""
    cells: Cells = dict.fromkeys(CELLS, OFF)
    names = list(state.roles)
    colours = {name: role_colour(name, i) for i, name in enumerate(names)}
    for i, name in enumerate(names[:COLUMNS]):
        share = BRIGHT if i == state.selected else DIM
        cells[pad(ROLE_ROW, i + 1)] = scaled(colours[name], share)
    for row, name in shown_roles(state):
        for slot, stem in enumerate(state.roles[name][:COLUMNS]):
            if stem is not None:
                look = MUTED if name in state.muted else LOOKS[stem.state]
                cells[pad(row, slot + 1)] = shade(
                    look, colours[name], beat, stem.beats_left, state.beats_per_bar
                )
        sounds = any(s is not None and s.state is StemState.PLAYING for s in state.roles[name])
        cells[RIGHT[8 - row]] = scaled(RED, BRIGHT if sounds else DIM)
    for i, (name, _) in enumerate(state.queue[:COLUMNS]):
        cells[pad(QUEUE_ROW, i + 1)] = colours.get(name, WHITE)
    _paint_phrase(cells, state, beat)
    _paint_transport(cells, state, beat)
    for index in state.pressed:
        if index in cells:
            cells[index] = WHITE
    return cells


def _paint_phrase(cells: Cells, state: PageState, beat: float) -> None:
    length = state.beats_per_bar * state.bars_per_phrase
    if not math.isfinite(beat):
        return
    at = int(beat % length * COLUMNS / length)
    for column in range(at + 1):
        cells[pad(PHRASE_ROW, column + 1)] = WHITE if column == at else GREY


def _paint_transport(cells: Cells, state: PageState, beat: float) -> None:
    lit = {
        ActionKind.LET_IN: state.let_in,
        ActionKind.CLICK: state.click,
        ActionKind.DRY: state.dry,
        ActionKind.TAP: math.isfinite(beat) and beat % 1.0 < 0.25,
        ActionKind.THIS_IS_ONE: math.isfinite(beat) and beat % state.beats_per_bar < 0.25,
    }
    for i, (kind, colour) in enumerate(TRANSPORT):
        cells[pad(TRANSPORT_ROW, i + 1)] = scaled(colour, BRIGHT if lit.get(kind) else DIM)
    cells[CAPTURE] = scaled(RED, DIM)
    cells[TEMPO_UP] = cells[TEMPO_DOWN] = scaled(WHITE, DIM)
    blink = not math.isfinite(beat) or beat % 1.0 < 0.5
    waits = {state.changing, ActionKind.END if state.ending else None}
    for index, (kind, colour) in zip(SONG_BUTTONS, SONGS, strict=True):
        on = (kind in waits and blink) or (kind is ActionKind.STANDBY and state.standby)
        cells[index] = scaled(colour, BRIGHT if on else DIM)
    cells[PANIC_BUTTON] = scaled(RED, DIM)
    cells[LOGO] = RED if state.dry else scaled(GREEN, DIM)


def action(press: Press, state: PageState) -> Action | None:
    """What a press asks for; None for releases, pressure and cells without a meaning now."""
    if press.kind is PressKind.HELD and press.index == PANIC_BUTTON:
        return Action(ActionKind.PANIC, safe=True)
    if press.kind is PressKind.CONNECTED:
        return Action(ActionKind.REPAINT)
    if press.kind is not PressKind.DOWN:
        return None
    if press.index in (TEMPO_UP, TEMPO_DOWN):
        up = press.index == TEMPO_UP
        return Action(ActionKind.TEMPO_UP if up else ActionKind.TEMPO_DOWN)
    if press.index in SONG_BUTTONS:
        return Action(SONGS[SONG_BUTTONS.index(press.index)][0])
    if press.index == CAPTURE:
        return Action(ActionKind.CAPTURE, _selected(state))
    row, column = divmod(press.index, 10)
    if press.index in RIGHT:
        role = dict(shown_roles(state)).get(row)
        return None if role is None else Action(ActionKind.STOP_ROLE, role)
    if not (1 <= row <= 8 and 1 <= column <= COLUMNS):
        return None
    return _pad_action(row, column - 1, state)


def _selected(state: PageState) -> str | None:
    names = list(state.roles)
    return names[state.selected] if state.selected < len(names) else None


def _pad_action(row: int, slot: int, state: PageState) -> Action | None:
    names, selected = list(state.roles), _selected(state)
    if row == TRANSPORT_ROW:
        kind = TRANSPORT[slot][0]
        if kind is ActionKind.REGENERATE:
            return None if selected is None else Action(kind, selected)
        return Action(kind, safe=kind is ActionKind.DRY)
    if row == ROLE_ROW and slot < len(names):
        return Action(ActionKind.SELECT_ROLE, names[slot], slot=slot)
    if row == QUEUE_ROW and slot < len(state.queue):
        role, stem_id = state.queue[slot]
        return Action(ActionKind.UNQUEUE_STEM, role, stem_id, slot)
    role_here = dict(shown_roles(state)).get(row)
    if role_here is None or slot >= len(state.roles[role_here]):
        return None
    stem = state.roles[role_here][slot]
    wanted = None if stem is None else STEM_ACTIONS.get(stem.state)
    if stem is None or wanted is None:
        return None
    return Action(wanted, role_here, stem.id, slot)

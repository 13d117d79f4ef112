"""Stems: what is ready, what waits, what sounds.

    row 7   of the selected role: mute, solo, quieter, louder, density in four steps
    row 6   the queue, soonest first
    row 5 ┐
    row 4 │ the variations of four roles, each in its place; the button to the right stops the role
    row 3 │
    row 2 ┘
    row 1   picks the role (and the four roles shown above)

With Shift a stem is pinned to its place, or no longer; while Solo (3) is held it is listened to on
the cue bus alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from devices.launchpad.layout import (
    BRIGHT,
    COLUMNS,
    DIM,
    PARAMETER_ROW,
    QUEUE_ROW,
    ROLE_ROW,
    SOLO,
    STEM_ROWS,
    Action,
    ActionKind,
    PadStem,
    PageState,
    bank,
    eights,
    pad,
    place,
)
from devices.launchpad.mk3 import RIGHT
from engine.stem import StemState
from engine.surface import (
    AMBER,
    LOOKS,
    MUTED,
    RED,
    RGB,
    WHITE,
    Cells,
    Look,
    Press,
    PressKind,
    pale,
    role_colour,
    scaled,
    shade,
)

STEP_DB: Final = 2.0
DENSITIES: Final = (0.25, 0.5, 0.75, 1.0)
MUTE_AT, SOLO_AT, QUIETER, LOUDER = 1, 2, 3, 4  # columns of row 7; densities follow
SOON_PHRASES: Final = 8.0  # what takes longer breathes as if it took this long

# What a press on a stem asks for, by its state; in other states it asks for nothing.
STEM_ACTIONS: Final[dict[StemState, ActionKind]] = {
    StemState.READY: ActionKind.QUEUE_STEM,
    StemState.DONE: ActionKind.QUEUE_STEM,
    StemState.QUEUED: ActionKind.UNQUEUE_STEM,
    StemState.PLAYING: ActionKind.STOP_STEM,
    StemState.RETIRING: ActionKind.KEEP_STEM,
}


def shown_roles(state: PageState) -> list[tuple[int, str]]:
    """(row, role) of the four roles around the selected one."""
    names = list(state.roles)
    first = state.selected // len(STEM_ROWS) * len(STEM_ROWS)
    return list(zip(STEM_ROWS, names[first : first + len(STEM_ROWS)], strict=False))


def stem_at(index: int, state: PageState) -> PadStem | None:
    """The stem on a cell, where this page is shown."""
    where = place(index)
    if state.local.page != "stems" or where is None:
        return None
    role = dict(shown_roles(state)).get(where[0])
    stems = [] if role is None else state.roles[role]
    return stems[where[1] - 1] if where[1] <= len(stems) else None


def banks(state: PageState) -> int:
    """How often left and right can go on, and one."""
    return eights(state.roles)


def paint(cells: Cells, state: PageState, beat: float) -> None:
    colours = {name: role_colour(name, i) for i, name in enumerate(state.roles)}
    for column, name in enumerate(bank(list(state.roles), state.local.bank), 1):
        cells[pad(ROLE_ROW, column)] = scaled(colours[name], BRIGHT if name == state.role else DIM)
    for row, name in shown_roles(state):
        for column, stem in enumerate(state.roles[name][:COLUMNS], 1):
            if stem is not None:
                cells[pad(row, column)] = _shade(stem, name, colours[name], state, beat)
        sounds = any(s is not None and s.state is StemState.PLAYING for s in state.roles[name])
        cells[RIGHT[8 - row]] = scaled(RED, BRIGHT if sounds else DIM)
    for column, (name, stem_id) in enumerate(state.queue[:COLUMNS], 1):
        waiting = [s for s in state.roles.get(name, []) if s is not None and s.id == stem_id]
        colour = colours.get(name, WHITE)
        if waiting:
            left = waiting[0].beats_left
            colour = shade(LOOKS[StemState.QUEUED], colour, beat, left, state.beats_per_bar)
        cells[pad(QUEUE_ROW, column)] = colour
    if state.role is not None:
        _paint_parameters(cells, state, state.role, colours[state.role])


def _shade(stem: PadStem, role: str, colour: RGB, state: PageState, beat: float) -> RGB:
    if role in state.muted:
        return shade(MUTED, colour, beat, stem.beats_left, state.beats_per_bar)
    look = LOOKS[stem.state]
    if stem.state is StemState.GENERATING:
        look = sooner(look, stem.phrases_left)
    colour = pale(colour) if stem.fallback else colour
    return shade(look, colour, beat, stem.beats_left, state.beats_per_bar)


def sooner(look: Look, phrases: float) -> Look:
    """Brighter the sooner it is ready: by an eighth of the way for each phrase."""
    near = 1.0 - min(max(phrases, 0.0), SOON_PHRASES) / SOON_PHRASES
    return replace(look, bright=look.bright * (0.5 + near))


def _paint_parameters(cells: Cells, state: PageState, role: str, colour: RGB) -> None:
    lit = {MUTE_AT: (AMBER, role in state.muted), SOLO_AT: ((0, 0, 127), role in state.soloed)}
    for column, (its, on) in lit.items():
        cells[pad(PARAMETER_ROW, column)] = scaled(its, BRIGHT if on else DIM)
    for column in (QUIETER, LOUDER):
        cells[pad(PARAMETER_ROW, column)] = scaled(WHITE, DIM)
    density = state.densities.get(role, 0.0)
    nearest = min(DENSITIES, key=lambda d: abs(d - density))
    for column, step in enumerate(DENSITIES, LOUDER + 1):
        cells[pad(PARAMETER_ROW, column)] = scaled(colour, BRIGHT if step == nearest else DIM)


def action(press: Press, state: PageState) -> Action | None:
    if press.kind is not PressKind.DOWN:
        return None
    if press.index in RIGHT:
        role = dict(shown_roles(state)).get(press.index // 10)
        return None if role is None else Action(ActionKind.STOP_ROLE, role)
    where = place(press.index)
    if where is None:
        return None
    row, slot = where[0], where[1] - 1
    if row == ROLE_ROW:
        names = bank(list(state.roles), state.local.bank)
        return _select(names[slot], state) if slot < len(names) else None
    if row == PARAMETER_ROW:
        return None if state.role is None else _parameter(slot + 1, state.role, state)
    if row == QUEUE_ROW:
        if slot >= len(state.queue):
            return None
        role, stem_id = state.queue[slot]
        return Action(ActionKind.UNQUEUE_STEM, role, stem_id, slot)
    return _stem_action(press.index, row, slot, state)


def _select(role: str, state: PageState) -> Action:
    return Action(ActionKind.SELECT_ROLE, role, slot=list(state.roles).index(role))


def _parameter(column: int, role: str, state: PageState) -> Action:
    source = f"stems.{role}"
    if column in (MUTE_AT, SOLO_AT):
        kind = ActionKind.MUTE if column == MUTE_AT else ActionKind.SOLO
        return Action(kind, words={"source": source})
    if column in (QUIETER, LOUDER):
        db = next((c.db for c in state.channels if c.name == source), 0.0)
        db = min(24.0, max(-90.0, db + (STEP_DB if column == LOUDER else -STEP_DB)))
        return Action(ActionKind.LEVEL, words={"source": source, "db": db})
    return Action(ActionKind.DENSITY, role, words={"value": DENSITIES[column - LOUDER - 1]})


def _stem_action(index: int, row: int, slot: int, state: PageState) -> Action | None:
    stem, role = stem_at(index, state), dict(shown_roles(state)).get(row)
    if stem is None or role is None:
        return None
    if state.shift:
        kept = stem.state not in (StemState.FAILED, StemState.REJECTED)
        return Action(ActionKind.PIN_STEM, role, stem.id, slot) if kept else None
    if SOLO in state.held:
        ready = stem.state is StemState.READY
        return Action(ActionKind.AUDITION, role, stem.id, slot) if ready else None
    wanted = STEM_ACTIONS.get(stem.state)
    return None if wanted is None else Action(wanted, role, stem.id, slot)

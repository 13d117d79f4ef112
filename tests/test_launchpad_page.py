"""Risk: a pad does something else than it shows, or nothing, or takes the page down."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.launchpad.layout import (
    DRY_PAD,
    PANIC_BUTTON,
    PHRASE_CELLS,
    Action,
    ActionKind,
    PadStem,
    PageState,
    pad,
)
from devices.launchpad.mk3 import CELLS, LOGO, SHIFT
from devices.launchpad.pages import action, paint
from devices.launchpad.pages.stems import STEM_ACTIONS
from engine.stem import STEM_STEPS, StemState
from engine.surface import GREY, LOOKS, OFF, WHITE, Press, PressKind

ROLES = ("drums", "bass", "chords", "melody", "pads", "fx")
EVERY = PageState(
    roles={
        role: [PadStem(100 * r + i, s) for i, s in enumerate(list(StemState)[:8])]
        for r, role in enumerate(ROLES)
    },
    queue=(("drums", 3), ("bass", 103)),
    let_in=True,
)


def press(index: int) -> Press:
    return Press(PressKind.DOWN, index, 100)


def one_stem(state: StemState, left: float = math.inf) -> PageState:
    return PageState(roles={"drums": [PadStem(7, state, left)]})


def test_every_cell_can_be_pressed_and_says_what_the_page_says() -> None:
    asked = {index: action(press(index), EVERY) for index in range(128)}
    assert {i: a for i, a in asked.items() if a and i not in CELLS} == {}
    got = {index: a.kind for index, a in asked.items() if a is not None}
    assert [got[pad(8, c)] for c in range(1, 9)] == [
        ActionKind.THIS_IS_ONE,
        ActionKind.TAP,
        ActionKind.LET_IN,
        ActionKind.NEXT,
        ActionKind.REGENERATE,
        ActionKind.CLICK,
        ActionKind.REPAINT,
        ActionKind.DRY,
    ]
    assert asked[pad(1, 6)] == Action(ActionKind.SELECT_ROLE, "fx", slot=5)
    assert asked[pad(6, 2)] == Action(ActionKind.UNQUEUE_STEM, "bass", 103, 1)
    assert asked[pad(5, 3)] == Action(ActionKind.QUEUE_STEM, "drums", 2, 2)  # ready
    assert asked[pad(2, 5)] == Action(ActionKind.STOP_STEM, "melody", 304, 4)  # playing
    assert asked[59] == Action(ActionKind.STOP_ROLE, "drums")
    assert asked[29] == Action(ActionKind.STOP_ROLE, "melody")
    assert asked[DRY_PAD] == Action(ActionKind.DRY, safe=True)
    assert asked[PANIC_BUTTON] is None  # only when held, and then the midi process says so
    held = Press(PressKind.HELD, PANIC_BUTTON)
    assert action(held, EVERY) == Action(ActionKind.PANIC, safe=True)


def test_a_pad_that_asks_for_something_is_lit_and_a_dark_one_asks_for_nothing() -> None:
    cells = paint(EVERY, 0.0)
    assert set(cells) == set(CELLS)
    for index in CELLS:
        if action(press(index), EVERY) is not None:
            assert cells[index] != OFF, f"cell {index} acts and is dark"
        if index in (SHIFT, LOGO, PANIC_BUTTON, *PHRASE_CELLS):  # shown, or held
            continue
        if cells[index] != OFF and action(press(index), EVERY) is None:
            row, slot = divmod(index, 10)
            assert 2 <= row <= 5, f"cell {index} is lit and does nothing"
            assert list(StemState)[slot - 1] not in STEM_ACTIONS


def test_only_steps_a_stem_may_take_are_asked_for() -> None:
    leads_to = {
        ActionKind.QUEUE_STEM: StemState.QUEUED,
        ActionKind.UNQUEUE_STEM: StemState.READY,
        ActionKind.STOP_STEM: StemState.RETIRING,
        ActionKind.KEEP_STEM: StemState.PLAYING,
    }
    for state, kind in STEM_ACTIONS.items():
        assert leads_to[kind] in STEM_STEPS[state]


def test_the_second_bank_shows_when_a_role_of_it_is_picked() -> None:
    second = PageState(roles=EVERY.roles, selected=4)
    assert action(press(pad(5, 3)), second) == Action(ActionKind.QUEUE_STEM, "pads", 402, 2)
    assert action(press(pad(3, 3)), second) is None  # there is no seventh role
    assert paint(second, 0.0)[pad(3, 3)] == OFF


@pytest.mark.parametrize("state", list(StemState))
def test_every_state_has_a_look_of_its_own(state: StemState) -> None:
    assert state in LOOKS
    beats = [i / 16 for i in range(16 * 8)]
    shown = tuple(paint(one_stem(state), b)[pad(5, 1)] for b in beats)
    others = {
        other: tuple(paint(one_stem(other), b)[pad(5, 1)] for b in beats)
        for other in StemState
        if other is not state
    }
    alike = {other for other, seen in others.items() if seen == shown}
    same_on_purpose = {StemState.FAILED, StemState.LATE}
    assert alike <= same_on_purpose if state in same_on_purpose else not alike


def test_queued_blinks_with_the_beat_and_faster_in_the_last_bar() -> None:
    def changes(left: float) -> int:
        seen = [paint(one_stem(StemState.QUEUED, left), i / 32)[pad(5, 1)] for i in range(33)]
        return sum(a != b for a, b in itertools.pairwise(seen))

    assert changes(8.0) == 2
    assert changes(4.0) == 8


def test_a_muted_role_is_grey_whatever_it_does() -> None:
    for state in StemState:
        page = PageState(roles={"drums": [PadStem(7, state)]}, muted=frozenset({"drums"}))
        assert {paint(page, i / 8)[pad(5, 1)] for i in range(16)} == {GREY}


def test_playing_is_brightest_on_the_beat() -> None:
    seen = [sum(paint(one_stem(StemState.PLAYING), 4 + i / 16)[pad(5, 1)]) for i in range(16)]
    assert seen == sorted(seen, reverse=True)
    assert seen[0] > seen[-1]


def test_a_press_answers_in_the_same_frame() -> None:
    state = PageState(roles=EVERY.roles, pressed=frozenset({pad(5, 3)}))
    assert paint(state, 0.0)[pad(5, 3)] == WHITE


stems = st.lists(
    st.none()
    | st.builds(
        PadStem,
        st.integers(0, 9),
        st.sampled_from(StemState),
        st.floats(allow_nan=True, allow_infinity=True),
    ),
    max_size=12,
)
pages = st.builds(
    PageState,
    roles=st.dictionaries(st.text(max_size=4), stems, max_size=12),
    queue=st.lists(st.tuples(st.text(max_size=4), st.integers(0, 9)), max_size=12).map(tuple),
    selected=st.integers(0, 12),
    beats_per_bar=st.integers(1, 13),
    bars_per_phrase=st.integers(1, 9),
    pressed=st.frozensets(st.integers(0, 127), max_size=4),
)


@given(pages, st.floats(-1e9, 1e9) | st.just(math.nan), st.integers(0, 127))
def test_any_page_at_any_beat_paints_colours_and_takes_any_press(
    page: PageState, beat: float, index: int
) -> None:
    cells = paint(page, beat)
    assert set(cells) == set(CELLS)
    assert all(0 <= c <= 127 for rgb in cells.values() for c in rgb)
    asked = action(press(index), page)
    if asked is not None and asked.stem is not None and asked.kind is not ActionKind.UNQUEUE_STEM:
        stem = page.roles[asked.role or ""][asked.slot or 0]
        assert stem is not None
        assert stem.id == asked.stem
    assert action(Press(PressKind.UP, index), page) is None

"""Risk: a cell of some page of a shipped patch takes the conductor down, leaves something held, or
moves what must stay where it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pads_desk import Pads

from devices.launchpad.layout import CAPTURE, DRY_PAD, PAGE_BUTTONS, PANIC_BUTTON, UNDO, ActionKind
from devices.launchpad.mk3 import CELLS, SHIFT
from devices.launchpad.pages import MODULES, action
from engine.conductor_hands import ACTIONS
from engine.layout import ReportKind
from engine.patch import PAGES, Patch
from engine.patch_load import load_patch
from engine.set_load import load_performance
from engine.stem import StemState
from engine.surface import WHITE, Press, PressKind

FOLDER = Path(__file__).parent.parent / "patches"
PATCHES = {p.stem: load_patch(p) for p in sorted(FOLDER.glob("*.yaml"))}
PATCHES |= {p.stem: load_performance(p) for p in sorted((FOLDER / "sets").glob("*.yaml"))}
BUTTONS = {page: index for index, page in PAGE_BUTTONS.items()}


def at(patch: Patch, page: str) -> Pads:
    pads = Pads(patch)
    pads.tap(BUTTONS[page])
    assert pads.hands[0].local.page == page
    return pads


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", PATCHES)
def test_every_cell_of_every_page_of_every_shipped_patch_is_pressed(name: str, page: str) -> None:
    pads = at(PATCHES[name], page)
    pads.desk.let_in()
    for shift in (False, True):
        for index in (*CELLS, 0, 9, 100, 109, 127):
            pads.tap(BUTTONS[page])
            pads.desk.ready()
            pads.look()
            if shift:
                pads.press(SHIFT)
                pads.look()
            if index in CELLS:
                pads.press(index)
                assert pads.look()[index] == WHITE  # a press answers at once
                pads.press(index, PressKind.UP, 0)
            else:
                pads.tap(index)
            pads.press(SHIFT, PressKind.UP, 0)
        pads.wait(0.2)
    assert not pads.hands[0].held
    json.dumps(pads.conductor.to_dict())  # all of it can be written down
    json.dumps(pads.conductor.status(pads.desk.now))


@pytest.mark.parametrize("page", PAGES)
def test_dry_panic_capture_and_undo_are_where_they_are_on_every_page(page: str) -> None:
    pads = at(PATCHES["stage"], page)
    shown = pads.shown[0]
    for held in (frozenset[int](), frozenset({SHIFT})):
        seen = replace(shown, held=held)
        found = {i: action(Press(PressKind.DOWN, i, 100), seen) for i in CELLS}
        kinds = {i: a.kind for i, a in found.items() if a is not None}
        assert [i for i, k in kinds.items() if k is ActionKind.DRY] == [DRY_PAD]
        assert [i for i, k in kinds.items() if k is ActionKind.CAPTURE] == [CAPTURE]
        assert [i for i, k in kinds.items() if k is ActionKind.UNDO] == [UNDO]
        assert ActionKind.PANIC not in kinds.values()
        assert {i: k for i, k in kinds.items() if k is ActionKind.PAGE}.keys() == set(PAGE_BUTTONS)
        panic = action(Press(PressKind.HELD, PANIC_BUTTON), seen)
        assert panic is not None
        assert (panic.kind, panic.safe) == (ActionKind.PANIC, True)
        dry = found[DRY_PAD]
        assert dry is not None
        assert dry.safe


def test_every_action_of_the_pads_is_an_action_of_the_conductor() -> None:
    from devices.launchpad.layout import LOCAL

    assert {k.value for k in ActionKind if k not in LOCAL} <= ACTIONS.keys()
    assert set(MODULES) == set(PAGES)


steps = st.one_of(
    st.tuples(st.just("down"), st.sampled_from(CELLS), st.integers(1, 127)),
    st.tuples(st.just("down"), st.sampled_from(CELLS), st.integers(1, 127)),
    st.tuples(st.just("up"), st.sampled_from(CELLS), st.just(0)),
    st.tuples(st.just("lean"), st.sampled_from((0, *CELLS)), st.integers(0, 127)),
    st.tuples(st.just("page"), st.sampled_from(tuple(PAGE_BUTTONS)), st.just(100)),
    st.tuples(st.just("lost"), st.just(0), st.just(0)),
    st.tuples(st.just("back"), st.just(0), st.just(0)),
    st.tuples(st.just("panic"), st.just(0), st.just(0)),
    st.tuples(st.just("dry"), st.just(0), st.integers(0, 1)),
    st.tuples(st.just("ready"), st.just(0), st.just(0)),
    st.tuples(st.just("failed"), st.just(0), st.just(0)),
    st.tuples(st.just("end"), st.just(0), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 40), st.just(0)),
    st.tuples(st.just("look"), st.just(0), st.just(0)),
)


def do(pads: Pads, what: str, index: int, value: int, which: int) -> None:
    desk, book = pads.desk, pads.conductor.book
    match what:
        case "down":
            pads.press(index, value=value, which=which)
        case "up":
            pads.press(index, PressKind.UP, 0, which=which)
        case "lean":
            pads.press(index, PressKind.PRESSURE, value, which=which)
        case "page":
            pads.tap(index, which=which)
        case "lost" | "back":
            kind = PressKind.LOST if what == "lost" else PressKind.CONNECTED
            pads.press(0, kind, 0, which=which)
            assert not pads.hands[which].held
            assert not pads.hands[which].pressed(pads.ns)
        case "panic":
            pads.press(PANIC_BUTTON, PressKind.HELD, 0, which=which)
            desk.say(ReportKind.PANIC, frame=desk.now)
        case "dry":
            desk.say(ReportKind.DRY, slot=value, frame=desk.now)
        case "ready":
            desk.ready()
        case "failed":
            for entry, _ in book.requests[:1]:
                book.pool_event({"job": entry.id, "event": "failed", "reason": "no"}, desk.now)
            del book.requests[:1]
        case "end":
            ends = [e for e in book.entries.values() if e.state is StemState.RETIRING and e.sent]
            for entry in ends[:1]:
                pads.end(entry.id)
        case "wait":
            pads.wait(index / 10)
        case "look":
            pads.look(which)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(PATCHES)),
    st.lists(st.tuples(steps, st.integers(0, 1)), max_size=60),
)
def test_any_order_of_presses_losses_and_changes_is_lived_through(
    name: str, order: list[tuple[tuple[str, int, int], int]]
) -> None:
    pads = Pads(PATCHES[name], surfaces=2)
    pads.desk.let_in()
    pads.desk.ready()
    for (what, index, value), which in order:
        do(pads, what, index, value, which)
    for which, hand in enumerate(pads.hands):
        pads.look(which)
        for index in list(hand.held):
            pads.press(index, PressKind.UP, 0, which=which)
        assert not hand.held
        page = hand.local.page
        pads.wait(1.0)
        pads.look(which)
        assert hand.local.page == page  # nothing is left that would lead away
        assert not hand.pressed(pads.ns)
    json.dumps(pads.conductor.to_dict())


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(PATCHES)), st.lists(steps, max_size=40))
def test_a_successor_goes_on_from_the_journal_whatever_was_pressed(
    name: str, order: list[tuple[str, int, int]]
) -> None:
    pads = Pads(PATCHES[name])
    pads.desk.let_in()
    for what, index, value in order:
        do(pads, what, index, value, 0)
    saved = json.loads(json.dumps(pads.conductor.to_dict()))
    other = Pads(PATCHES[name]).conductor
    other.restore(saved)
    assert json.loads(json.dumps(other.to_dict()))["undo"] == saved["undo"]
    while other.undo.done:
        assert "undo" in other.act("undo", pads.desk.now)

"""Risk: the hand at the pads presses what is not ready, or what segue would not take for it."""

from __future__ import annotations

import numpy as np
import pytest

from devices.launchpad.emulated import EmulatedMk3
from devices.launchpad.layout import Action, ActionKind, PadStem, PageState
from devices.launchpad.mk3 import PROGRAMMER_MODE, Mk3
from devices.launchpad.pages import action, paint
from engine.gig.hands import PADS, STEADY_S, ready_pads, stop_button, transport_pad
from engine.gig.stage import Missed, missed_in
from engine.shm_records import LEDGER
from engine.stem import StemState
from engine.surface import Press, PressKind

ROLES = ["bass", "chords", "percussion"]


def page(states: list[StemState], role: str = "chords") -> PageState:
    roles: dict[str, list[PadStem | None]] = {name: [] for name in ROLES}
    roles[role] = [PadStem(k + 1, state) for k, state in enumerate(states)]
    return PageState(roles=roles)


def shown(states: list[StemState], seconds: float) -> EmulatedMk3:
    """The unit after `seconds` of a page at 120 BPM, painted 30 times a second."""
    unit = EmulatedMk3()
    unit.hear(PROGRAMMER_MODE, 0)
    driver = Mk3()
    for k in range(int(seconds * 30)):
        now_ns = round(k * 1e9 / 30)
        for message in driver.render(paint(page(states), k / 15), now_ns):
            unit.hear(message, now_ns)
    return unit


@pytest.mark.parametrize("state", list(StemState))
def test_only_a_ready_stem_is_taken_for_ready(state: StemState) -> None:
    unit = shown([StemState.GENERATING, state], 4.0)
    found = ready_pads(unit, ROLES, "chords", 4.0)
    assert bool(found) == (state is StemState.READY)
    if found:
        press = Press(PressKind.DOWN, found[-1], 100)
        wanted = action(press, page([StemState.GENERATING, state]))
        assert wanted == Action(ActionKind.QUEUE_STEM, "chords", 2, 1)


def test_a_pad_has_to_be_lit_for_a_while() -> None:
    unit = shown([StemState.READY], 0.1)
    assert ready_pads(unit, ROLES, "chords", 0.1) == []
    assert ready_pads(unit, ROLES, "chords", STEADY_S + 0.1) != []
    assert ready_pads(unit, ROLES, "bass", STEADY_S + 0.1) == []


@pytest.mark.parametrize("kind", list(PADS.values()))
def test_transport_pads_ask_for_what_is_meant(kind: ActionKind) -> None:
    wanted = action(Press(PressKind.DOWN, transport_pad(kind), 100), page([]))
    assert wanted is not None
    assert wanted.kind is kind


@pytest.mark.parametrize("role", ROLES)
def test_stop_buttons_stop_their_role(role: str) -> None:
    wanted = action(Press(PressKind.DOWN, stop_button(ROLES, role), 100), page([]))
    assert wanted == Action(ActionKind.STOP_ROLE, role)


def test_late_and_lost_cycles_both_count_as_missed() -> None:
    rows = np.zeros(4, LEDGER)
    rows["frames"] = 128
    rows["frame"] = [0, 128, 512, 640]
    rows["late_us"] = [-5, 40, -5, -5]
    assert missed_in(rows) == [128, 256, 384]
    assert missed_in(rows[:0]) == []
    assert Missed().frames == []

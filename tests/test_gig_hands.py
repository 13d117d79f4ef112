"""Risk: the hand at the pads presses what is not ready, or what segue would not take for it."""

from __future__ import annotations

import numpy as np
import pytest

from devices.launchpad.layout import Action, ActionKind, PadStem, PageState
from devices.launchpad.mk3 import INQUIRY, PROGRAMMER_MODE, Mk3, bulk
from devices.launchpad.pages import action, paint
from devices.launchpad.units import identity
from engine.gig.hands import PADS, STEADY_FRAMES, Lights, stop_button, transport_pad
from engine.gig.stage import Missed, missed_in
from engine.shm_records import LEDGER
from engine.stem import StemState
from engine.surface import Press, PressKind

ROLES = ["bass", "chords", "percussion"]


def page(states: list[StemState], role: str = "chords") -> PageState:
    roles: dict[str, list[PadStem | None]] = {name: [] for name in ROLES}
    roles[role] = [PadStem(k + 1, state) for k, state in enumerate(states)]
    return PageState(roles=roles)


def shown(states: list[StemState], seconds: float, lights: Lights | None = None) -> Lights:
    """What the stand-in shows after `seconds` of a page at 120 BPM, painted 30 times a second."""
    lights = lights or Lights()
    lights.take(PROGRAMMER_MODE, 0.0)
    driver = Mk3()
    for k in range(int(seconds * 30)):
        now = k / 30
        for message in driver.render(paint(page(states), now * 2.0), int(now * 1e9)):
            lights.take(message, now)
    return lights


@pytest.mark.parametrize("state", list(StemState))
def test_only_a_ready_stem_is_taken_for_ready(state: StemState) -> None:
    lights = shown([StemState.GENERATING, state], 4.0)
    found = lights.ready(ROLES, "chords", 4.0)
    assert bool(found) == (state is StemState.READY)
    if found:
        press = Press(PressKind.DOWN, found[-1], 100)
        wanted = action(press, page([StemState.GENERATING, state]))
        assert wanted == Action(ActionKind.QUEUE_STEM, "chords", 2, 1)


def test_a_pad_has_to_be_lit_for_a_while() -> None:
    lights = shown([StemState.READY], 0.1)
    assert lights.ready(ROLES, "chords", 0.1) == []
    assert lights.ready(ROLES, "chords", STEADY_FRAMES + 0.1) != []
    assert lights.ready(ROLES, "bass", STEADY_FRAMES + 0.1) == []


def test_nothing_is_shown_outside_programmer_mode() -> None:
    lights = Lights()
    lights.take(bulk({52: (1, 2, 3)}), 0.0)
    assert lights.cells == {}


def test_the_inquiry_is_answered_as_the_device_does() -> None:
    answer = Lights().take(INQUIRY, 0.0)
    assert answer is not None
    told = identity(answer)
    assert told is not None
    assert told.version == "0465"


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

"""Risk: a page's button leads to the wrong page, or a press on one page acts on another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pads_desk import Pads

from devices.launchpad.hand import GLANCE_NS, LIT_NS, Hand
from devices.launchpad.layout import PAGE_BUTTONS, Action, ActionKind, PadVibe, PageState, pad
from devices.launchpad.mk3 import SHIFT
from engine.patch import PAGES, Output, Patch, Role, Surface, Vibe
from engine.surface import WHITE, Press, PressKind

BUTTONS = {page: index for index, page in PAGE_BUTTONS.items()}
MIX, CLOCK, STEMS, VIBE = (BUTTONS[p] for p in ("mix", "clock", "stems", "vibe"))
STATE = PageState(roles={"drums": []}, songs=("a", "b"), vibes=(PadVibe("storm"),))
MS = 1_000_000


def down(hand: Hand, index: int, ms: int = 0, value: int = 100) -> Action | None:
    return hand.press(Press(PressKind.DOWN, index, value), STATE, ms * MS)


def up(hand: Hand, index: int, ms: int = 0) -> None:
    assert hand.press(Press(PressKind.UP, index), STATE, ms * MS) is None


def test_a_tap_on_a_pages_button_stays_there() -> None:
    hand = Hand()
    down(hand, MIX)
    assert hand.local.page == "mix"  # at once, not when it is let go
    up(hand, MIX, 120)
    assert hand.local.page == "mix"


def test_held_it_is_a_glance() -> None:
    hand = Hand()
    down(hand, MIX)
    up(hand, MIX, GLANCE_NS // MS)
    assert hand.local.page == "stems"


def test_something_done_while_it_is_held_leads_back_too() -> None:
    hand = Hand()
    down(hand, CLOCK)
    assert down(hand, pad(6, 1), 50) == Action(ActionKind.NUDGE, words={"value": -20.0})
    up(hand, pad(6, 1), 90)
    up(hand, CLOCK, 150)
    assert hand.local.page == "stems"


def test_pressed_on_one_page_and_let_go_on_another_does_nothing() -> None:
    hand = Hand()
    down(hand, CLOCK)
    up(hand, CLOCK, 50)
    assert down(hand, pad(1, 1), 100) is not None
    down(hand, MIX, 200)
    up(hand, pad(1, 1), 250)
    assert hand.held.keys() == {MIX}
    up(hand, MIX, 300)
    assert hand.local.page == "mix"
    assert not hand.held


@pytest.mark.parametrize("kind", [PressKind.LOST, PressKind.CONNECTED])
def test_a_device_pulled_while_something_is_held_leaves_nothing_held(kind: PressKind) -> None:
    hand = Hand()
    down(hand, SHIFT)
    down(hand, MIX)
    down(hand, pad(3, 3), 50)
    hand.press(Press(kind), STATE, 100 * MS)
    assert not hand.held
    assert not hand.pressed(100 * MS)
    assert hand.local.page == "stems"  # it was a glance
    up(hand, MIX, 5000)
    assert hand.local.page == "stems"


def test_two_pages_held_lead_back_to_where_it_began_in_any_order() -> None:
    for first, second in ((MIX, CLOCK), (CLOCK, MIX)):
        hand = Hand()
        down(hand, MIX)
        down(hand, CLOCK, 600)
        assert hand.local.page == "clock"
        up(hand, first, 1200)
        up(hand, second, 1300)
        assert hand.local.page == "stems"


def test_a_short_press_is_seen_though_it_was_over_before_the_next_frame() -> None:
    hand = Hand()
    down(hand, pad(1, 1))
    up(hand, pad(1, 1), 1)
    assert pad(1, 1) in hand.pressed(30 * MS)
    assert not hand.pressed(LIT_NS)


def test_pressure_means_the_pad_that_is_held_and_only_while_it_grows() -> None:
    hand = Hand()
    hand.press(Press(PressKind.DOWN, VIBE, 100), STATE, 0)
    up(hand, VIBE, 10)
    on = PageState(vibes=(PadVibe("storm", 0.2),))

    def lean(index: int, value: int) -> Action | None:
        return hand.press(Press(PressKind.PRESSURE, index, value), on, 0)

    assert lean(0, 127) is None  # nothing is held
    found = hand.press(Press(PressKind.DOWN, pad(1, 1), 20), STATE, 0)
    assert found == Action(ActionKind.VIBE, words={"what": "storm", "value": 0.2})
    assert lean(pad(1, 2), 127) is None  # another pad
    said = lean(0, 80)  # channel pressure
    assert said == Action(ActionKind.VIBE, words={"what": "storm", "value": 0.63})
    assert lean(pad(1, 1), 82) is None
    assert lean(pad(1, 1), 40) is None
    assert lean(pad(1, 1), 127) is not None


def test_a_mood_that_was_pressed_off_is_not_pressed_on_again_by_the_same_finger() -> None:
    hand = Hand()
    hand.press(Press(PressKind.DOWN, VIBE, 100), STATE, 0)
    up(hand, VIBE, 10)
    on = PageState(vibes=(PadVibe("storm", 0.8),))
    off = hand.press(Press(PressKind.DOWN, pad(1, 1), 30), on, 0)
    assert off == Action(ActionKind.VIBE, words={"what": "storm", "value": 0.0})
    assert hand.press(Press(PressKind.PRESSURE, 0, 127), on, 0) is None


def test_a_press_means_what_was_seen_even_if_the_performance_has_moved_on() -> None:
    pads = Pads(Patch(roles={"drums": Role(bars=1)}, outputs={"main": Output((1, 2))}))
    pads.desk.let_in()
    pads.desk.ready()
    pads.look()
    seen = pads.shown[0].roles["drums"][0]
    assert seen is not None
    pads.conductor.act("pick", pads.desk.now, "drums", ask=None)
    pads.desk.act("queue_stem", stem=seen.id)  # somebody else was quicker
    found = pads.press(pad(5, 1))
    assert found is not None
    assert (found.kind, found.stem) == (ActionKind.QUEUE_STEM, seen.id)
    assert pads.said[-1] == ("queue_stem", "not ready")


def test_two_surfaces_have_their_own_pages_and_holds() -> None:
    pads = Pads(Patch(roles={"drums": Role()}, outputs={"main": Output((1, 2))}), surfaces=2)
    pads.press(SHIFT, which=0)
    pads.tap(MIX, which=1)
    pads.look(0)
    assert (pads.hands[0].local.page, pads.hands[1].local.page) == ("stems", "mix")
    assert pads.shown[0].shift
    assert not pads.shown[1].shift
    assert pads.look(0)[SHIFT] == WHITE
    assert pads.look(1)[SHIFT] != WHITE


def test_only_the_pages_that_the_patch_names_are_there() -> None:
    patch = Patch(
        outputs={"main": Output((1, 2))},
        surfaces={"pads": Surface(pages=("clock", "mix"))},
    )
    pads = Pads(patch)
    assert pads.hands[0].local.page == "clock"
    cells = pads.look()
    for page, index in BUTTONS.items():
        assert (cells[index] != (0, 0, 0)) == (page in ("clock", "mix")), page
    pads.tap(BUTTONS["stems"])
    assert pads.hands[0].local.page == "clock"
    pads.tap(MIX)
    pads.conductor.patch = Patch(
        outputs=patch.outputs, surfaces={"pads": Surface(pages=("songs", "stems"))}
    )
    pads.look()
    assert pads.hands[0].local.page == "songs"  # a reloaded patch took the other away


def test_a_surface_that_the_patch_says_nothing_of_has_all_pages() -> None:
    patch = Patch(outputs={"main": Output((1, 2))}, vibes={"calm": Vibe()})
    assert Pads(patch).shown[0].pages == PAGES


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((*PAGE_BUTTONS, SHIFT, 11, 55)),
            st.booleans(),
            st.integers(0, 900),
        ),
        max_size=40,
    )
)
def test_however_pages_are_held_letting_all_go_leaves_a_page_and_nothing_held(
    order: list[tuple[int, bool, int]],
) -> None:
    hand, ms = Hand(), 0
    for index, presses, later in order:
        ms += later
        if presses:
            down(hand, index, ms)
        else:
            up(hand, index, ms)
    for index in list(hand.held):
        up(hand, index, ms + 10_000)
    page = hand.local.page
    assert page in PAGES
    assert not hand.held
    for index in PAGE_BUTTONS:
        up(hand, index, ms + 20_000)
    assert hand.local.page == page

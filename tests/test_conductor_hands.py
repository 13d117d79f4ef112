"""Risk: something generated enters before a hand has let it in, or off its boundary."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conductor_desk import PATCH, RATE, SLOT_FRAMES, Desk, opened, playing

from engine.conductor import Conductor
from engine.conductor_hands import ACTIONS
from engine.layout import REPORT, CommandKind, ReportKind
from engine.stem import StemState
from engine.timeline import Boundary


def test_nothing_enters_an_unarmed_patch_before_the_one_is_said_and_it_is_let_in() -> None:
    desk = Desk()
    desk.ready()
    assert desk.act("let_in") == "first say where the one is"
    for role in PATCH.roles:
        desk.act("enter", role)
        stem = desk.entry(role, StemState.READY)
        assert desk.act("queue_stem", stem=stem) == "first say where the one is, then let in"
    desk.run(12)
    assert not desk.plays()
    assert desk.act("this_is_one") == "one"
    desk.run(6)
    assert not desk.plays()
    assert desk.act("let_in") == "let in"
    desk.run(6)
    assert {int(p["c"]) for p in desk.plays()} == {0, 1, 2}


def test_four_taps_are_as_good_as_saying_the_one() -> None:
    desk = Desk()
    for _ in range(4):
        desk.act("tap")
        desk.run(0.5)
    assert desk.act("let_in") == "let in"


def test_armed_patch_needs_no_hand() -> None:
    desk = Desk(armed=True)
    desk.ready()
    desk.run(6)
    assert {int(p["c"]) for p in desk.plays()} == {0, 1, 2}


@pytest.mark.parametrize("wait", [0.013, 0.4, 0.9, 1.7, 2.95, 3.49])
def test_entries_stand_exactly_on_their_boundaries(wait: float) -> None:
    desk = opened()
    desk.run(wait)
    for role in PATCH.roles:
        desk.act("enter", role)
    desk.run(5)
    line = desk.conductor.line
    assert line is not None
    first = {int(p["c"]): p for p in reversed(desk.plays())}
    assert len(first) == 3
    for play in first.values():
        role = PATCH.roles[list(PATCH.roles)[int(play["c"])]]
        frame = int(play["frame"])
        assert line.next_boundary(frame, Boundary(role.enter)) == frame


def test_change_stops_the_old_where_the_new_begins() -> None:
    desk = opened()
    old = playing(desk, "bass")
    assert desk.act("next") == "next: bass"
    desk.run(3)
    play = desk.plays()[-1]
    stop = next(c for c in desk.sent if c["kind"] == CommandKind.STEM_STOP)
    assert int(play["id"]) != old
    assert int(stop["frame"]) == int(play["frame"])
    assert int(stop["slot"]) != int(play["slot"])


def test_two_queued_one_after_the_other_do_not_enter_together() -> None:
    desk = opened()
    first, second = (e.id for e in desk.conductor.book.of("bass", StemState.READY))
    desk.act("queue_stem", stem=first)
    while not desk.plays():
        desk.run(0.1)
    assert desk.act("queue_stem", stem=second) == "queued"
    desk.run(0.2)
    assert len(desk.plays()) == 1
    desk.now = int(desk.plays()[0]["frame"])
    desk.started(desk.plays()[0])
    desk.run(2.5)
    frames = [int(p["frame"]) for p in desk.plays()]
    assert [int(p["id"]) for p in desk.plays()] == [first, second]
    assert frames[1] - frames[0] == 2 * RATE


def test_role_stopped_within_a_beat_of_its_entry_is_called_back() -> None:
    desk = opened()
    play = desk.entering("bass")
    assert desk.act("stop_role", "bass") == "stopping"
    desk.run(0.05)
    stop = desk.sent[-1]
    assert stop["kind"] == CommandKind.STEM_STOP
    assert stop["slot"] == play["slot"]
    assert stop["frame"] + stop["a"] < play["frame"]
    desk.say(ReportKind.STEM_ENDED, id=int(play["id"]), slot=int(play["slot"]))
    assert desk.conductor.book.entries[int(play["id"])].state is StemState.READY
    desk.run(5)
    assert len(desk.plays()) == 1


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_action_answers_at_any_time(name: str) -> None:
    fresh_one = Conductor(PATCH, 10, SLOT_FRAMES)
    assert fresh_one.act(name, 5) == "the performance has not begun"
    desk = Desk()
    for stem in (None, 0, 1, 99, -1, 1 << 70):
        for role in (None, "drums"):
            assert isinstance(desk.act(name, role, stem), str)
    assert desk.act(name, "none").startswith("role 'none', expected")


def test_dry_keeps_wanted_roles_out_until_it_is_over() -> None:
    desk = opened()
    desk.say(ReportKind.DRY, slot=1)
    desk.act("enter", "bass")
    desk.run(5)
    assert not desk.plays()
    desk.say(ReportKind.DRY, slot=0)
    desk.run(2.5)
    assert len(desk.plays()) == 1


def test_after_a_panic_an_armed_patch_waits_for_a_hand() -> None:
    conductor = Conductor(dataclasses.replace(PATCH, armed=True), 16, 1 << 20)
    conductor.begin(0, 48000.0)
    assert conductor.let_in
    report = np.zeros(1, REPORT)
    report["kind"], report["frame"] = ReportKind.PANIC, 4800
    conductor.report(report[0])
    assert not conductor.let_in
    conductor.advance(9600)
    assert conductor.act("let_in", 9600) == "let in"

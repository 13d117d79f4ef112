"""Risk: something generated enters before a hand has let it in, off its boundary, or is forgotten
when the conductor or the pool dies."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from engine.conductor import Conductor
from engine.conductor_process import ConductorProcess
from engine.layout import COMMAND, REPORT, CommandKind, ReportKind
from engine.patch import Clock, Output, Patch, Role
from engine.state import STEM, fresh
from engine.stem import StemState
from engine.stem_book import FAILED_WAIT_S, LOST_S
from engine.timeline import Boundary

RATE = 48000
STEP = 240  # a tick of 5 ms
START = 100_000
PATCH = Patch(
    roles={
        "drums": Role(enter="phrase", bars=2),
        "bass": Role(enter="bar", bars=1),
        "fx": Role(enter="beat", bars=1),
    },
    outputs={"main": Output((1, 2))},
    clock=Clock(bpm=120.0, bars_per_phrase=2),
)
SLOT_FRAMES = 400_000


class Desk:
    """A conductor with a clock by hand; audio process and pool say what the test lets them."""

    def __init__(self, armed: bool = False) -> None:
        self.patch = Patch(**{**vars(PATCH), "armed": armed})
        self.conductor = Conductor(self.patch, 40, SLOT_FRAMES)
        self.now = START
        self.sent: list[np.void] = []
        self.conductor.begin(self.now, RATE)
        self.run(0.05)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * RATE / STEP)):
            self.now += STEP
            self.conductor.advance(self.now)
            self.sent += [c[0] for c in self.conductor.commands]
            self.conductor.commands.clear()

    def act(self, name: str, role: str | None = None, stem: int | None = None) -> str:
        return self.conductor.act(name, self.now, role, stem)

    def ready(self) -> None:
        """The pool has made everything it was asked for."""
        for entry, request in self.conductor.book.requests:
            loop = request.beats * 60.0 / request.bpm * RATE
            event = {"job": entry.id, "event": "ready", "frames": round(loop), "loop": loop}
            self.conductor.book.pool_event(event, self.now)
        self.conductor.book.requests.clear()

    def say(self, kind: ReportKind, **fields: int) -> None:
        report = np.zeros(1, REPORT)
        report["kind"] = kind
        for name, value in fields.items():
            report[name] = value
        self.conductor.report(report[0])

    def plays(self) -> list[np.void]:
        return [c for c in self.sent if c["kind"] == CommandKind.STEM_PLAY]

    def started(self, play: np.void) -> None:
        fields = {"id": int(play["id"]), "slot": int(play["slot"]), "frame": int(play["frame"])}
        self.say(ReportKind.STEM_STARTED, **fields)

    def let_in(self) -> None:
        self.act("this_is_one")
        self.act("let_in")

    def entry(self, role: str, state: StemState) -> int:
        return self.conductor.book.of(role, state)[0].id


def playing(desk: Desk, role: str) -> int:
    """Bring one stem of a role to sound; its id."""
    desk.act("enter", role)
    before = len(desk.plays())
    while len(desk.plays()) == before:
        desk.run(0.1)
    play = desk.plays()[-1]
    desk.now = max(desk.now, int(play["frame"]))
    desk.started(play)
    return int(play["id"])


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
    desk = Desk()
    desk.let_in()
    desk.ready()
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
    desk = Desk()
    desk.let_in()
    desk.ready()
    old = playing(desk, "bass")
    assert desk.act("next") == "next: bass"
    desk.run(3)
    play = desk.plays()[-1]
    stop = next(c for c in desk.sent if c["kind"] == CommandKind.STEM_STOP)
    assert int(play["id"]) != old
    assert int(stop["frame"]) == int(play["frame"])
    assert int(stop["slot"]) != int(play["slot"])


def test_two_queued_one_after_the_other_do_not_enter_together() -> None:
    desk = Desk()
    desk.let_in()
    desk.ready()
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
    desk = Desk()
    desk.let_in()
    desk.ready()
    desk.act("enter", "bass")
    while not desk.plays():
        desk.run(0.1)
    assert desk.act("stop_role", "bass") == "stopping"
    desk.run(0.05)
    stop = desk.sent[-1]
    play = desk.plays()[0]
    assert stop["kind"] == CommandKind.STEM_STOP
    assert stop["slot"] == play["slot"]
    assert stop["frame"] + stop["a"] < play["frame"]
    desk.say(ReportKind.STEM_ENDED, id=int(play["id"]), slot=int(play["slot"]))
    assert desk.conductor.book.entries[int(play["id"])].state is StemState.READY
    desk.run(5)
    assert len(desk.plays()) == 1


def test_refused_stem_is_queued_for_the_next_boundary() -> None:
    desk = Desk()
    desk.let_in()
    desk.ready()
    desk.act("enter", "bass")
    while not desk.plays():
        desk.run(0.1)
    play = desk.plays()[0]
    desk.now = int(play["frame"]) + 100
    desk.say(ReportKind.STEM_REFUSED, id=int(play["id"]), slot=int(play["slot"]), a=100,
             frame=desk.now)  # fmt: skip
    desk.run(2.5)
    again = desk.plays()[1]
    assert int(again["id"]) == int(play["id"])
    assert int(again["frame"]) == int(play["frame"]) + 2 * RATE


def test_stem_that_can_never_be_played_is_given_up() -> None:
    desk = Desk()
    desk.let_in()
    desk.ready()
    desk.act("enter", "bass")
    while not desk.plays():
        desk.run(0.1)
    play = desk.plays()[0]
    desk.say(ReportKind.STEM_REFUSED, id=int(play["id"]), slot=int(play["slot"]), a=-1,
             frame=desk.now)  # fmt: skip
    assert desk.conductor.book.entries[int(play["id"])].state is StemState.REJECTED
    desk.run(3)
    assert int(desk.plays()[-1]["id"]) != int(play["id"])


def test_stem_of_which_nothing_is_heard_is_tried_again() -> None:
    """Its command or the report of its start died with a process."""
    desk = Desk()
    desk.let_in()
    desk.ready()
    desk.act("enter", "bass")
    desk.run(2.5)
    first = desk.plays()[0]
    desk.run(LOST_S + 2.5)
    again = desk.plays()[1]
    assert again["id"] == first["id"]
    assert (int(again["frame"]) - int(first["frame"])) % (2 * RATE) == 0
    between = desk.sent[[id(c) for c in desk.sent].index(id(first)) :]
    stops = [c for c in between if c["kind"] == CommandKind.STEM_STOP]
    assert any(s["slot"] == first["slot"] and s["frame"] < again["frame"] for s in stops)


def test_drift_strikes_a_stem_again_on_the_phrase() -> None:
    desk = Desk()
    desk.let_in()
    desk.ready()
    id_ = playing(desk, "drums")
    assert desk.conductor.clock is not None
    desk.conductor.clock.set_bpm(121.0)
    desk.run(4.5)
    again = desk.plays()[1]
    assert int(again["id"]) == id_
    line = desk.conductor.line
    assert line is not None
    frame = int(again["frame"])
    assert line.next_boundary(frame, Boundary.PHRASE) == frame
    stop = next(c for c in desk.sent if c["kind"] == CommandKind.STEM_STOP)
    assert (int(stop["frame"]), int(stop["slot"])) == (frame, int(desk.plays()[0]["slot"]))


def test_constant_tempo_strikes_nothing_again() -> None:
    desk = Desk()
    desk.let_in()
    desk.ready()
    playing(desk, "drums")
    desk.run(20)
    assert len(desk.plays()) == 1


def test_stem_struck_again_in_vain_is_queued_anew() -> None:
    desk = Desk()
    desk.let_in()
    desk.ready()
    id_ = playing(desk, "drums")
    assert desk.conductor.clock is not None
    desk.conductor.clock.set_bpm(121.0)
    desk.run(4.5)
    again = desk.plays()[1]
    desk.say(ReportKind.STEM_REFUSED, id=id_, slot=int(again["slot"]), a=7, frame=desk.now)
    desk.run(5)
    assert int(desk.plays()[2]["id"]) == id_


def test_failing_maker_is_asked_again_with_patience() -> None:
    desk = Desk()
    asked = 0
    for _ in range(400):
        desk.run(STEP / RATE)
        for entry, _ in desk.conductor.book.requests:
            asked += 1
            event = {"job": entry.id, "event": "failed", "reason": "no"}
            desk.conductor.book.pool_event(event, desk.now)
        desk.conductor.book.requests.clear()
    seconds = 400 * STEP / RATE
    ahead = sum(r.ahead for r in PATCH.roles.values())
    assert len(PATCH.roles) <= asked <= ahead * (1 + seconds / FAILED_WAIT_S)


def test_lost_job_is_asked_again_when_the_pool_comes_back() -> None:
    desk = Desk()
    book = desk.conductor.book
    lost = {entry.id: request for entry, request in book.requests}
    known = min(lost)
    book.requests.clear()
    process = ConductorProcess.__new__(ConductorProcess)
    process.conductor, process._unsent = desk.conductor, []
    process._ask_again({known})
    again = {entry.id: request for entry, request in book.requests}
    assert set(again) == set(lost) - {known}
    for id_, request in again.items():
        wanted = lost[id_]
        assert (request.seed, request.bars, request.bpm) == (wanted.seed, wanted.bars, wanted.bpm)


def resumed(desk: Desk, stems: np.ndarray) -> Conductor:
    """A successor with what the journal holds, as JSON text."""
    saved = json.loads(json.dumps(desk.conductor.to_dict()))
    successor = Conductor(desk.patch, 40, SLOT_FRAMES)
    successor.restore(saved)
    successor.reconcile(stems, desk.now)
    return successor


def sounding(*plays: np.void, state: int = 2) -> np.ndarray:
    stems = fresh()[0]["stems"].copy()
    for play in plays:
        stem = stems[int(play["slot"])]
        stem["id"], stem["start"], stem["state"] = play["id"], play["frame"], state
        stem["stop"], stem["role"] = 2**62, play["c"]
    assert stems.dtype == STEM
    return stems


def test_successor_goes_on_identically_from_the_journal() -> None:
    one, two = Desk(), Desk()
    for desk in (one, two):
        desk.let_in()
        desk.ready()
        playing(desk, "drums")
        desk.act("enter", "bass")
        desk.run(0.3)
    two.conductor = resumed(two, sounding(*two.plays()))
    for desk in (one, two):
        desk.sent.clear()
        desk.act("next")
        desk.run(8)
    stem_commands = (CommandKind.STEM_PLAY, CommandKind.STEM_STOP)
    first, second = ([c for c in desk.sent if c["kind"] in stem_commands] for desk in (one, two))
    assert first
    assert np.array_equal(np.array(first, COMMAND), np.array(second, COMMAND))
    assert one.conductor.status(one.now)["bar"] == two.conductor.status(two.now)["bar"]


def test_successor_of_an_older_journal_adopts_what_sounds() -> None:
    """The predecessor sent a stem and died before it wrote that down."""
    desk = Desk()
    desk.let_in()
    desk.ready()
    desk.act("enter", "bass")
    desk.run(0.01)
    old = json.loads(json.dumps(desk.conductor.to_dict()))
    while not desk.plays():
        desk.run(0.1)
    play = desk.plays()[0]
    successor = Conductor(desk.patch, 40, SLOT_FRAMES)
    successor.restore(old)
    successor.reconcile(sounding(play), desk.now)
    entry = successor.book.entries[int(play["id"])]
    assert (entry.state, entry.voice) == (StemState.PLAYING, int(play["slot"]))
    desk.conductor = successor
    desk.sent.clear()
    desk.run(4)
    assert not desk.plays()


def test_what_sounds_and_belongs_to_nothing_is_stopped() -> None:
    desk = Desk()
    play = np.zeros(1, COMMAND)[0]
    play["slot"], play["id"] = 5, 777
    desk.conductor = resumed(desk, sounding(play))
    desk.sent.clear()
    desk.run(0.05)
    stops = [c for c in desk.sent if c["kind"] == CommandKind.STEM_STOP]
    assert [int(c["slot"]) for c in stops] == [5]


def test_stem_that_ended_unheard_of_is_done() -> None:
    desk = Desk()
    desk.let_in()
    desk.ready()
    id_ = playing(desk, "drums")
    successor = resumed(desk, fresh()[0]["stems"])
    assert successor.book.entries[id_].state is StemState.DONE


@pytest.mark.parametrize("name", sorted(Conductor.ACTIONS))
def test_every_action_answers_at_any_time(name: str) -> None:
    fresh_one = Conductor(PATCH, 10, SLOT_FRAMES)
    assert fresh_one.act(name, 5) == "the performance has not begun"
    desk = Desk()
    for stem in (None, 0, 1, 99, -1, 1 << 70):
        for role in (None, "drums"):
            assert isinstance(desk.act(name, role, stem), str)
    assert desk.act(name, "none").startswith("role 'none', expected")


def test_dry_keeps_wanted_roles_out_until_it_is_over() -> None:
    desk = Desk()
    desk.let_in()
    desk.ready()
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

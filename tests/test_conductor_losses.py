"""Risk: a stem is forgotten, or sounds twice, when the audio process, the conductor or the pool
dies, refuses or fails."""

from __future__ import annotations

import json

import numpy as np
from conductor_desk import PATCH, RATE, SLOT_FRAMES, STEP, Desk, opened, playing

from engine.conductor import Conductor
from engine.conductor_process import ConductorProcess
from engine.layout import COMMAND, CommandKind, ReportKind
from engine.state import STEM, fresh
from engine.stem import StemState
from engine.stem_asking import FAILED_WAIT_S
from engine.stem_book import LOST_S


def test_refused_stem_is_queued_for_the_next_boundary() -> None:
    desk = opened()
    play = desk.entering("bass")
    desk.now = int(play["frame"]) + 100
    desk.say(ReportKind.STEM_REFUSED, id=int(play["id"]), slot=int(play["slot"]), a=100,
             frame=desk.now)  # fmt: skip
    desk.run(2.5)
    again = desk.plays()[1]
    assert int(again["id"]) == int(play["id"])
    assert int(again["frame"]) == int(play["frame"]) + 2 * RATE


def test_stem_that_can_never_be_played_is_given_up() -> None:
    desk = opened()
    play = desk.entering("bass")
    desk.say(ReportKind.STEM_REFUSED, id=int(play["id"]), slot=int(play["slot"]), a=-1,
             frame=desk.now)  # fmt: skip
    assert desk.conductor.book.entries[int(play["id"])].state is StemState.REJECTED
    desk.run(3)
    assert int(desk.plays()[-1]["id"]) != int(play["id"])


def test_stem_of_which_nothing_is_heard_is_tried_again() -> None:
    """Its command or the report of its start died with a process."""
    desk = opened()
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


def test_a_stem_is_told_its_beat_and_tempo_once_whatever_the_clock_then_does() -> None:
    desk = opened()
    playing(desk, "drums")
    line, clock = desk.conductor.line, desk.conductor.clock
    assert line is not None
    assert clock is not None
    clock.set_bpm(121.0)
    desk.run(20)
    (play,) = desk.plays()
    assert float(play["w"]) == round(line.beat_at(int(play["frame"])))
    assert float(play["z"]) == RATE * 60.0 / line.bpm


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
    desk = opened()
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
    desk = opened()
    id_ = playing(desk, "drums")
    successor = resumed(desk, fresh()[0]["stems"])
    assert successor.book.entries[id_].state is StemState.DONE


def test_what_a_stem_was_made_from_is_in_the_log() -> None:
    """Seed and tempo, by which it can be made again."""
    desk = opened()
    desk.entering("bass")
    said = {e["id"]: (e["seed"], e["bpm"]) for e in desk.conductor.news if e["event"] == "stem"}
    entries = desk.conductor.book.entries
    assert said
    assert said == {id_: (entries[id_].seed, entries[id_].bpm) for id_ in said}

"""Risk: whatever hands, pool and deaths do, a stem enters off its boundary, two of a role sound at
once, one is queued for ever, or the conductor falls over."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.ask import Ask
from engine.channel_map import plain_map
from engine.conductor import Conductor
from engine.conductor_hands import ACTIONS as ALL_ACTIONS
from engine.layout import CommandKind
from engine.patch import Clock, Output, Patch, Role
from engine.performance import LivePerformance
from engine.shm import Shared
from engine.stem import STEM_STEPS, VARIATIONS, Play, StemState
from engine.stem_book import LOST_S, StemBook
from engine.stem_shelf import FAILED_KEPT
from engine.timeline import Boundary, Timeline

RATE = 8000
BLOCK = 200  # 25 ms
PATCH = Patch(
    roles={
        "drums": Role(enter="bar", bars=1, ahead=2),
        "bass": Role(enter="phrase", bars=2, ahead=1),
        "fx": Role(enter="beat", bars=1, ahead=1, choke="top"),
        "shots": Role(enter="beat", leave="now", bars=1, ahead=1, choke="top", play="once"),
    },
    outputs={"main": Output((1, 2))},
    clock=Clock(bpm=150.0, beats_per_bar=4, bars_per_phrase=2),
)
ROLES = list(PATCH.roles)
ACTIONS = sorted(set(ALL_ACTIONS) - {"tap"})  # taps follow each other as no machine does


def heard(stem: np.void) -> list[tuple[int, int]]:
    """Spans of frames in which a stem of the audio process sounds, without fades."""
    start, stop = int(stem["start"]), int(stem["stop"])
    hush, unhush = int(stem["hush"]), int(stem["unhush"])
    if not stem["loop"]:
        stop = min(stop, start + int(stem["length"]))
    spans = [(start, min(stop, hush)), (max(start, unhush), stop)] if unhush else [(start, stop)]
    return [(a, b) for a, b in spans if a < b]


class Stage(RuleBasedStateMachine):
    """A conductor and the real forward, block by block; the pool is this machine."""

    losses = False  # whether processes die with what they had in their hands
    armed = False

    def __init__(self) -> None:
        super().__init__()
        self.patch = Patch(**{**vars(PATCH), "armed": self.armed})
        self.shared = Shared.private(self.patch)
        self.engine = LivePerformance(self.patch, self.shared, plain_map(self.patch), RATE, None)
        self.conductor = self.new_conductor()
        self.t = 1000
        self.jobs: dict[int, tuple[int, float, float]] = {}  # what the pool was asked
        self.seen: dict[int, StemState] = {}
        self.tick()
        self.conductor.act("this_is_one", self.t)
        self.conductor.act("let_in", self.t)

    def new_conductor(self) -> Conductor:
        return Conductor(self.patch, self.shared.slots, self.shared.slot_frames)

    @property
    def book(self) -> StemBook:
        return self.conductor.book

    def tick(self, lose_commands: bool = False) -> None:
        """One block of sound, then the conductor's turn."""
        self.engine.hear(None, BLOCK)
        self.engine.forward(self.t)
        self.t += BLOCK
        for report in self.shared.ring("reports").pop(512):
            self.conductor.report(report)
        self.conductor.begin(self.t, RATE)
        self.conductor.advance(self.t)
        line = self.conductor.line
        assert line is not None
        for command in self.conductor.commands:
            if command["kind"][0] == CommandKind.STEM_PLAY:
                self.check_boundary(command[0], line)
            if not lose_commands:
                self.shared.ring("commands").push(command)
        self.conductor.commands.clear()
        for entry, request in self.book.requests:
            self.jobs[entry.id] = (request.bars, request.bpm, request.beats_per_bar)
        self.book.requests.clear()
        self.conductor.news.clear()
        self.check_steps()

    def check_boundary(self, command: np.void, line: Timeline) -> None:
        """A stem begins, a fill ends, on the boundary of its role or of the press."""
        entry = self.book.entries[int(command["id"])]
        role = self.patch.roles[ROLES[int(command["c"])]]
        boundary, frame = entry.at or Boundary(role.enter), int(command["frame"])
        if boundary is Boundary.NOW:
            assert frame == 0
            return
        assert frame > self.t
        if entry.turn is Play.FILL:
            assert entry.until is not None
            frame = line.frame_at(entry.until)
        assert line.next_boundary(frame, boundary) == frame

    def check_steps(self) -> None:
        """Only allowed steps, seen at every tick: a way from the state before to the one now."""
        for id_, entry in self.book.entries.items():
            before = self.seen.get(id_, StemState.REQUESTED)
            reach = {before}
            for _ in range(4):
                reach |= {to for state in reach for to in STEM_STEPS[state]}
            assert entry.state in reach
        self.seen = {i: e.state for i, e in self.book.entries.items()}

    # ---- rules

    def wait(self, blocks: int) -> None:
        for _ in range(blocks):
            self.tick()

    @rule(blocks=st.integers(1, 150))
    def time_passes_and_stems_get_ready(self, blocks: int) -> None:
        self.wait(blocks // 2)
        self.pool_says("ready")
        self.wait(blocks - blocks // 2)

    @rule(
        name=st.sampled_from(ACTIONS),
        role=st.sampled_from([*ROLES, None]),
        stem=st.integers(0, 12),
        blocks=st.integers(0, 40),
    )
    def hand(self, name: str, role: str | None, stem: int, blocks: int) -> None:
        assert isinstance(self.conductor.act(name, self.t, role, stem or None), str)
        self.wait(blocks)

    @rule(
        name=st.sampled_from(["enter", "enter", "stop_role", "next"]),
        role=st.sampled_from(ROLES),
        blocks=st.integers(0, 90),
    )
    def musical_hand(self, name: str, role: str, blocks: int) -> None:
        if not self.conductor.oriented:
            self.conductor.act("this_is_one", self.t)
        if not self.conductor.let_in:
            self.conductor.act("let_in", self.t)
        self.pool_says("ready")
        self.conductor.act(name, self.t, role)
        self.wait(blocks)

    @rule(count=st.integers(2, 4), role=st.sampled_from(ROLES), blocks=st.integers(0, 30))
    def stems_are_queued_one_after_the_other(self, count: int, role: str, blocks: int) -> None:
        self.pool_says("ready")
        for entry in self.book.of(role, StemState.READY, StemState.DONE)[:count]:
            self.conductor.act("queue_stem", self.t, None, entry.id)
            self.wait(blocks)

    @rule(
        role=st.sampled_from(ROLES),
        variation=st.integers(1, VARIATIONS),
        at=st.sampled_from([None, *Boundary]),
        play=st.sampled_from([None, Play.LOOP, Play.ONCE, Play.FILL, Play.FILL, Play.ENDING]),
        blocks=st.integers(0, 90),
    )
    def a_variation_is_picked(
        self, role: str, variation: int, at: Boundary | None, play: Play | None, blocks: int
    ) -> None:
        if not self.conductor.oriented:
            self.conductor.act("this_is_one", self.t)
        if not self.conductor.let_in:
            self.conductor.act("let_in", self.t)
        self.pool_says("ready")
        ask = Ask(self.t, role, at=at, play=play, variation=variation)
        self.conductor.act("pick", self.t, ask=ask)
        self.wait(blocks)

    @rule(kind=st.sampled_from(["progress", "late", "failed"]))
    def pool_has_trouble(self, kind: str) -> None:
        self.pool_says(kind)

    def pool_says(self, kind: str) -> None:
        for id_ in [*self.jobs]:
            bars, bpm, beats = self.jobs[id_]
            loop = bars * beats * 60.0 / bpm * RATE
            event = {"job": id_, "event": kind, "frames": round(loop), "loop": loop}
            self.book.pool_event(event, self.t)
            if kind in ("ready", "failed"):
                del self.jobs[id_]

    @rule(job=st.integers(0, 40), kind=st.sampled_from(["progress", "ready", "failed", "late"]))
    def pool_says_it_of_any_job(self, job: int, kind: str) -> None:
        if job not in self.jobs:
            event = {"job": job, "event": kind, "frames": 10, "loop": 10.0}
            known = self.book.entries.get(job)
            before = known.state if known else None
            self.book.pool_event(event, self.t)
            assert known is None or known.state is before

    @rule()
    def conductor_dies_and_comes_back(self) -> None:
        saved = json.loads(json.dumps(self.conductor.to_dict()))
        lost = self.conductor
        self.conductor = self.new_conductor()
        self.conductor.restore(saved)
        self.conductor.reconcile(self.engine.state[0]["stems"], self.t)
        assert self.conductor.let_in == lost.let_in
        assert self.conductor.wanted == lost.wanted
        asked = {e.id for e in self.book.entries.values() if e.id in self.jobs}
        self.jobs = {i: job for i, job in self.jobs.items() if i in asked}

    @rule()
    def audio_process_dies_and_comes_back(self) -> None:
        self.engine = LivePerformance(
            self.patch, self.shared, plain_map(self.patch), RATE, None, self.engine.state.copy()
        )
        self.t += 1700

    @precondition(lambda self: self.losses)
    @rule()
    def commands_are_lost(self) -> None:
        for _ in range(5):
            self.tick(lose_commands=True)

    @precondition(lambda self: self.losses)
    @rule()
    def reports_are_lost(self) -> None:
        self.engine.hear(None, BLOCK)
        self.engine.forward(self.t)
        self.t += BLOCK
        self.shared.ring("reports").clear()

    # ---- what holds

    @invariant()
    def one_of_a_role_at_a_time(self) -> None:
        """Fades apart: from where one of a choke group starts, the one before has been told to stop
        or to be unheard."""
        if self.losses:
            return
        stems = self.engine.state[0]["stems"]
        for group in ([0], [1], [2, 3]):
            spans = sorted(
                span for s in stems if s["state"] and s["role"] in group for span in heard(s)
            )
            assert all(a[1] <= b[0] for a, b in pairwise(spans)), spans
        for name in ROLES:
            loops = [e for e in self.book.of(name, StemState.PLAYING) if e.turn is not Play.FILL]
            assert len(loops) <= 1

    @invariant()
    def every_variation_has_one_place(self) -> None:
        for name in ROLES:
            places = [e.variation for e in self.book.entries.values() if e.role == name]
            places = [p for p in places if p]
            assert len(places) == len(set(places)) <= VARIATIONS

    @invariant()
    def nothing_enters_uninvited(self) -> None:
        if not self.conductor.let_in:
            assert not self.book.of("drums", StemState.QUEUED) or self.losses

    @invariant()
    def the_book_stays_small(self) -> None:
        assert len(self.book.entries) <= self.shared.slots + FAILED_KEPT + len(ROLES)
        slots = [e.slot for e in self.book.entries.values() if e.slot >= 0]
        assert len(slots) == len(set(slots))

    @invariant()
    def nothing_waits_for_ever(self) -> None:
        line = self.conductor.line
        if line is None:
            return
        for entry in self.book.entries.values():
            late = LOST_S * RATE + 2 * line.beats_of(Boundary.PHRASE) * line.frames_per_beat
            if entry.state is StemState.QUEUED:
                assert entry.beat is not None
                assert self.t - line.frame_at(entry.beat) < late
            if entry.state is StemState.RETIRING and entry.sent:
                assert self.t - entry.stop_frame < late

    def teardown(self) -> None:
        """Left alone for some bars, book and sound agree."""
        self.conductor.act("stop_all", self.t)
        self.conductor.let_in = self.conductor.scripted = False
        self.conductor.wanted.clear()
        self.conductor.scripted = True
        for _ in range(round(LOST_S * RATE * 2 / BLOCK) + 450):
            self.tick()
        stems = self.engine.state[0]["stems"]
        assert not stems["state"].any(), stems[stems["state"] > 0]
        busy = (StemState.PLAYING, StemState.RETIRING, StemState.QUEUED)
        assert not [e for e in self.book.entries.values() if e.state in busy]


class LossyStage(Stage):
    losses = True


class ArmedStage(Stage):
    armed = True


SETTINGS = settings(max_examples=6, stateful_step_count=20, deadline=None, derandomize=True)
TestStage = Stage.TestCase
TestLossyStage = LossyStage.TestCase
TestArmedStage = ArmedStage.TestCase
TestStage.settings = TestLossyStage.settings = TestArmedStage.settings = SETTINGS

"""Risk: a note hangs: its off lost, its producer gone, or the waiting list full."""

from __future__ import annotations

from functools import cache

import numpy as np
from engine_stage import SOUNDFONT, Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.admission import PENDING_MAX, Due, NoteIntake, by_voice
from engine.layout import ALL_VOICES, NOTE, NoteKind
from engine.patch import MidiIn, Output, Patch, Voice
from engine.ring import Ring

BLOCK = 64
KEYS = (0, 60, 61, 127)
EVENTS = st.lists(
    st.tuples(
        st.integers(-300, 600),  # frame, from now
        st.sampled_from(list(NoteKind)),
        st.integers(0, 3),  # voice
        st.sampled_from([*KEYS, 200]),
        st.sampled_from([0, 1, 127, 255]),
        st.sampled_from([0, 8192, 16383, -1, 1 << 30]),
    ),
    max_size=12,
)
# One step: what a producer pushes, whether it is a new one, and whether the consumer looks.
STEPS = st.lists(st.tuples(EVENTS, st.booleans(), st.booleans()), max_size=25)


class Listener:
    """Keeps book of what an intake lets sound, as a synthesiser would."""

    def __init__(self, capacity: int = 256) -> None:
        self.ring = Ring.private(NOTE, capacity)
        self.intake = NoteIntake(self.ring)
        self.t = 10_000
        self.sounding: set[tuple[int, int]] = set()
        self.heard: list[Due] = []

    def push(self, events: list[tuple[int, ...]]) -> None:
        records = np.zeros(len(events), NOTE)
        for record, (frame, kind, voice, key, velocity, value) in zip(records, events, strict=True):
            record["frame"], record["kind"], record["voice"] = self.t + frame, kind, voice
            record["key"], record["velocity"], record["value"] = key, velocity, value
            record["epoch"] = self.ring.epoch
        self.ring.push(records)

    def block(self) -> list[Due]:
        due: list[Due] = []
        self.intake.take(self.t + BLOCK, due)
        for voice, events in enumerate(by_voice(due, self.t, BLOCK, 16)):
            offsets = [e[0] for e in events]
            assert offsets == sorted(offsets)
            assert all(0 <= o < BLOCK for o in offsets)
            for _, kind, key, _, value in events:
                assert 0 <= value <= 16383
                if kind == NoteKind.ON:
                    self.sounding.add((voice, key))
                elif kind == NoteKind.OFF:
                    self.sounding.discard((voice, key))
        self.t += BLOCK
        self.heard += due
        assert self.sounding == set(self.intake.held)
        return due


def run(listener: Listener, steps: list) -> None:
    for events, anew, looks in steps:
        if anew:
            listener.ring.new_epoch()
        listener.push(events)
        if looks:
            listener.block()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(STEPS)
def test_after_all_off_nothing_is_held(steps: list) -> None:
    listener = Listener()
    run(listener, steps)
    for _ in range(30):  # whatever was due has come, however much waited in the ring
        listener.block()
    listener.push([(0, NoteKind.ALL_OFF, ALL_VOICES, 0, 0, 0)])
    listener.block()
    assert not listener.intake.held
    assert not listener.sounding


@settings(max_examples=60, deadline=None, derandomize=True)
@given(STEPS)
def test_new_epoch_releases_at_once_and_forgets_what_waits(steps: list) -> None:
    listener = Listener()
    run(listener, steps)
    listener.ring.new_epoch()
    for _ in range(30):
        listener.block()
        assert not listener.sounding
    listener.push([(10, NoteKind.ON, 1, 60, 90, 0)])
    listener.block()
    assert listener.sounding == {(1, 60)}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(EVENTS)
def test_every_sane_event_of_one_producer_comes_once_and_in_order(events: list) -> None:
    listener = Listener()
    listener.push(events)
    for _ in range(12):
        listener.block()
    controls = [
        (10_000 + f, kind, voice)
        for f, kind, voice, key, velocity, value in events
        if kind in (NoteKind.CC, NoteKind.BEND, NoteKind.PROGRAM)
        and key < 128
        and velocity < 128
        and 0 <= value <= 16383
    ]
    got = [(d[0], d[3], d[2]) for d in listener.heard if d[3] in (2, 3, 4)]
    assert got == sorted(controls, key=lambda c: c[0])


def test_late_note_sounds_now_with_its_off_behind_it() -> None:
    listener = Listener()
    listener.push([(-5000, NoteKind.ON, 0, 60, 90, 0), (-4000, NoteKind.OFF, 0, 60, 0, 0)])
    due = listener.block()
    assert [d[3] for d in due] == [NoteKind.ON, NoteKind.OFF]
    assert [e[0] for e in by_voice(due, 10_000, BLOCK, 1)[0]] == [0, 0]


def test_struck_again_while_held_is_released_first() -> None:
    listener = Listener()
    listener.push([(0, NoteKind.ON, 0, 60, 90, 0), (9, NoteKind.ON, 0, 60, 80, 0)])
    assert [d[3] for d in sorted(listener.block())] == [NoteKind.ON, NoteKind.OFF, NoteKind.ON]


def test_waiting_list_is_bounded_and_when_full_nothing_hangs() -> None:
    listener = Listener(capacity=1024)
    listener.push([(0, NoteKind.ON, 0, 60, 90, 0)])
    listener.block()
    for _ in range(2 * PENDING_MAX // 100):
        listener.push([(1 << 30, NoteKind.OFF, 0, 60, 0, 0)] * 100)
        listener.block()
        assert len(listener.intake._pending) <= PENDING_MAX
    assert not listener.sounding


PATCH = Patch(
    midi={"keys": MidiIn(voice="piano")},
    voices={"piano": Voice(to={"main": 0.0})},
    outputs={"main": Output((1, 2))},
)


@cache
def with_a_sampler() -> Stage:
    """One for all examples: it takes a while to load."""
    return Stage(PATCH, SOUNDFONT)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(STEPS)
def test_nothing_a_producer_pushes_makes_forward_fail(steps: list) -> None:
    stage = with_a_sampler()
    for events, anew, _ in steps:
        if anew:
            stage.shared.ring("midi_notes").new_epoch()
        for frame, kind, voice, key, velocity, value in events:
            stage.note(
                "midi_notes", kind, key, frame=stage.t + frame, voice=voice, velocity=velocity,
                value=value,
            )  # fmt: skip
        assert np.isfinite(stage.play(256)).all()
    stage.shared.ring("midi_notes").new_epoch()
    stage.play(128)
    assert not stage.engine.state["notes"].any()


def test_what_was_played_before_the_first_block_stays_silent_and_its_offs_harm_nothing() -> None:
    ring = Ring.private(NOTE, 64, "notes")
    intake = NoteIntake(ring)
    early = np.zeros(4, NOTE)
    early["kind"], early["key"], early["velocity"] = NoteKind.ON, (60, 64, 67, 0), 90
    early["kind"][3], early["value"][3] = NoteKind.PROGRAM, 19
    ring.push(early)
    intake.skip(0)
    later = np.zeros(2, NOTE)
    later["kind"], later["key"], later["velocity"] = (NoteKind.OFF, NoteKind.ON), (60, 72), 90
    ring.push(later)
    due: list = []
    intake.take(128, due)
    assert [(d[3], d[4]) for d in due] == [(NoteKind.PROGRAM, 0), (NoteKind.ON, 72)]

"""Risk: a number that no conductor or player means, from a damaged ring or process, takes the sound
down."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from engine_stage import Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.control import AHEAD_MAX, WAITING_MAX
from engine.layout import (
    ALL_COMMANDS,
    COMMAND,
    NOTE,
    SAFE,
    CommandKind,
    LevelKind,
    NoteKind,
    ReportKind,
)
from engine.patch import Cv, Input, MidiIn, Output, Patch, Player, Role, Strip, Voice

PATCH = Patch(
    inputs={"mic": Input(channel=1, strip=Strip(highpass_hz=80.0), to={"main": -6.0})},
    midi={"keys": MidiIn(voice="piano")},
    voices={"piano": Voice(to={"main": -6.0}), "answer": Voice(to={"main": -6.0})},
    players={"reply": Player(model="notochord", listens="keys", voice="answer")},
    roles={"drums": Role(to={"main": 0.0, "delay": -6.0})},
    outputs={"main": Output((1, 2)), "click": Output((3,))},
    cv={
        "clock": Cv(channel=4, kind="clock"),
        "reset": Cv(channel=5, kind="reset", every="phrase"),
        "lfo": Cv(channel=6, kind="lfo", beats=0.25),
        "pitch": Cv(channel=7, source="piano"),
        "gate": Cv(channel=8, source="stems.drums", kind="gate"),
    },
)
START = 64_000
SIGNED, UNSIGNED = 1 << 63, 1 << 32
WHOLE = st.one_of(
    st.sampled_from([-SIGNED, SIGNED - 1, 0, 1, -1, 2**62, 2**40, 2**31, START + 100, 64, 4]),
    st.integers(-SIGNED, SIGNED - 1),
    st.integers(START - 300, START + 900),
    st.integers(0, 4096),
)
REAL = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1.0, 0.5, 120.0, 399.0, 1e9, 2000.0, 1999.5]),
)
SMALL = st.one_of(st.integers(0, 40), st.integers(0, 65_535))
FIELDS = {
    "kind": st.one_of(st.sampled_from([int(k) for k in CommandKind]), SMALL),
    "frame": WHOLE,
    "a": WHOLE,
    "b": WHOLE,
    "x": REAL,
    "y": REAL,
    "z": REAL,
    "w": REAL,
    "id": st.integers(0, UNSIGNED - 1),
    "slot": SMALL,
    "c": SMALL,
}
SOON = START + 300
MEANT: list[dict[str, float]] = [
    {"kind": CommandKind.TIMELINE, "frame": SOON, "x": 8.0, "y": 200.0, "a": 3, "b": 2},
    {"kind": CommandKind.STEM_PLAY, "frame": SOON, "b": 900, "x": 1.0, "y": 900.0, "z": 9000.0},
    {"kind": CommandKind.STEM_STOP, "frame": SOON, "a": 240},
    {"kind": CommandKind.STEM_HUSH, "frame": SOON, "b": SOON + 500},
    {"kind": CommandKind.GAIN, "frame": SOON, "a": 480, "x": 0.5},
    {"kind": CommandKind.LEVEL, "frame": SOON, "a": 480, "x": 0.5},
    {"kind": CommandKind.STRIP, "x": 100.0},
    {"kind": CommandKind.SAFE, "slot": 5, "x": 0.5},
    {"kind": CommandKind.CLICK, "frame": SOON, "slot": 1},
]
# What is meant, but for some of its fields.
COMMANDS = st.builds(
    lambda meant, wrong: {**meant, **wrong},
    st.sampled_from(MEANT),
    st.fixed_dictionaries({}, optional=FIELDS),
) | st.sampled_from(MEANT).flatmap(
    lambda meant: st.sampled_from(sorted(FIELDS)).flatmap(
        lambda name: FIELDS[name].map(lambda value: {**meant, name: value})
    )
)


def goes_on(stage: Stage) -> bool:
    """Whether what leaves next is finite and within full scale, and time goes on."""
    until = stage.t + 1300
    with np.errstate(all="ignore"):
        out = stage.play(1300)
    reached = int(stage.engine.state[0]["t"]) == until
    return reached and bool(np.isfinite(out).all()) and bool(np.abs(out[:, :2]).max() <= 1.0)


@given(st.lists(COMMANDS, min_size=1, max_size=12))
@settings(max_examples=250, deadline=None, derandomize=True)
def test_no_command_ends_forward(commands: list[dict[str, float]]) -> None:
    stage = Stage(PATCH)
    stage.shared.arena[:8192] = 0.1
    stage.command(CommandKind.TIMELINE, frame=START, x=0.0, y=390.0, a=4, b=1)
    stage.command(CommandKind.CLICK, slot=1)
    stage.stem(np.full((2, 2000), 0.1, np.float32), y=2000.0, z=9000.0)
    for fields in commands:
        record = np.zeros(1, COMMAND)
        for name, value in fields.items():
            record[name] = value
        stage.shared.ring("commands").push(record)
    assert goes_on(stage)
    assert goes_on(stage)


@pytest.mark.parametrize("ring", ["commands", "midi_notes", "answers.reply", "midi_safe"])
@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_bytes_end_forward(ring: str, data: st.DataObject) -> None:
    dtype = {"commands": COMMAND, "midi_safe": SAFE}.get(ring, NOTE)
    stage = Stage(PATCH)
    raw = data.draw(st.binary(min_size=dtype.itemsize, max_size=8 * dtype.itemsize))
    records = np.frombuffer(raw[: len(raw) // dtype.itemsize * dtype.itemsize], dtype)
    stage.shared.ring(ring).push(records)
    assert goes_on(stage)


def test_a_late_start_of_any_lateness_is_refused_and_told() -> None:
    stage = Stage(PATCH)
    stage.stem(np.zeros((2, 100), np.float32), frame=-SIGNED, id=7)
    stage.play(256)
    (told,) = [r for r in stage.reports() if r["kind"] == ReportKind.STEM_REFUSED]
    assert told["id"] == 7
    assert told["a"] > 2**61


@pytest.mark.parametrize("kind", [CommandKind.GAIN, CommandKind.LEVEL])
def test_a_ramp_of_any_length_is_followed(kind: CommandKind) -> None:
    stage = Stage(PATCH)
    stage.command(kind, slot=0, c=LevelKind.FADER, a=SIGNED - 1, x=0.0)
    audio = np.full((512, 1), 0.5, np.float32)
    assert np.abs(np.diff(stage.play(audio)[100:, 0])).max() < 0.01


def test_commands_that_fill_the_waiting_list_are_refused_and_told() -> None:
    stage = Stage(PATCH)
    for _ in range(WAITING_MAX // 64 + 1):
        for _ in range(64):
            stage.command(CommandKind.CLICK, slot=1, frame=START + 900_000)
        stage.play(64)
    stage.command(CommandKind.CLICK, slot=1, frame=stage.t + AHEAD_MAX + 1000)
    stage.play(64)
    told = [r for r in stage.reports() if r["kind"] == ReportKind.DROPPED]
    assert {r["slot"] for r in told} == {ALL_COMMANDS}
    assert sum(r["a"] for r in told) == 64 + 1


def test_late_and_refused_notes_are_told_in_bounds() -> None:
    stage = Stage(PATCH)
    for key in range(40, 60):
        stage.note("answers.reply", NoteKind.ON, key=key, voice=1, frame=stage.t - 4800)
    stage.note("answers.reply", NoteKind.ON, key=200, voice=1)
    stage.note("midi_notes", NoteKind.ON, key=60, frame=stage.t - 256)  # as a hand's does
    stage.play(512)
    told = stage.reports()
    late = [r for r in told if r["kind"] == ReportKind.NOTE_LATE]
    assert {(r["slot"], r["a"]) for r in late} == {(1, 4800)}
    assert 0 < len(late) < 20
    assert [(r["slot"], r["a"]) for r in told if r["kind"] == ReportKind.DROPPED] == [(1, 1)]
    assert sum(r["kind"] == ReportKind.NOTE_ON for r in told) == 21


def test_notes_that_found_no_room_in_their_ring_are_told() -> None:
    stage = Stage(PATCH)
    ring = stage.shared.ring("midi_notes")
    notes = np.zeros(ring.capacity + 9, NOTE)
    notes["kind"], notes["frame"], notes["epoch"] = NoteKind.OFF, stage.t, ring.epoch
    ring.push(notes)
    stage.play(512)
    told = [r for r in stage.reports() if r["kind"] == ReportKind.DROPPED]
    assert [(r["slot"], r["a"]) for r in told] == [(0, 9)]
    assert all(a["frame"] <= b["frame"] for a, b in pairwise(told))

"""Risk: DRY, panic or master depend on somebody else, leave generated sound, or click."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import RATE, SOUNDFONT, Stage

from engine.layout import NoteKind, ReportKind, SafeKind
from engine.patch import Cv, Input, MidiIn, Output, Patch, Player, Role, Voice

# Every kind of generated sound has outputs of its own: main holds the sum, the others say what it
# is made of. 1-2 main, 3 live input, 4-5 players' voice, 6-7 texture, 8-9 stems, 10-11 live voice.
PATCH = Patch(
    inputs={"mic": Input(channel=1, to={"main": 0.0, "cue": 0.0, "reverb": -6.0})},
    midi={"keys": MidiIn(voice="piano")},
    voices={
        "piano": Voice(to={"monitor4": 0.0}),
        "answer": Voice(program=16, to={"monitor1": 0.0, "main": -6.0}),
    },
    players={
        "duo": Player(model="notochord", listens="keys", voice="answer"),
        "sea": Player(model="rave", listens="mic", to={"monitor2": 0.0, "main": -6.0}),
    },
    roles={"drums": Role(to={"monitor3": 0.0, "main": -6.0})},
    outputs={
        "main": Output((1, 2)),
        "cue": Output((3,)),
        "monitor1": Output((4, 5)),
        "monitor2": Output((6, 7)),
        "monitor3": Output((8, 9)),
        "monitor4": Output((10, 11)),
    },
    cv={"gate": Cv(channel=12, source="answer", kind="gate", gate_volts=5.0)},
)
PLAIN = Patch(inputs={"mic": Input(channel=1, to={"main": 0.0})}, outputs={"main": Output((1, 2))})
CUE, ANSWER, TEXTURE, STEMS, LIVE, GATE = (
    2,
    slice(3, 5),
    slice(5, 7),
    slice(7, 9),
    slice(9, 11),
    11,
)
GENERATED = (ANSWER, TEXTURE, STEMS)
IN_50_MS = RATE // 20


def tone(frames: int, level: float = 0.1, hertz: float = 330.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(frames) / RATE)).astype(np.float32)


def everything_sounds() -> Stage:
    stage = Stage(PATCH, SOUNDFONT)
    stage.note("midi_notes", NoteKind.ON, key=60, voice=0)
    stage.note("answers.duo", NoteKind.ON, key=64, voice=1)
    stage.stem(np.stack([tone(9600), tone(9600)]), y=9600.0)
    stage.texture("sea", stage.t, np.stack([tone(30_000)] * 2))
    out = stage.play(tone(9600)[:, None])
    for part in (*GENERATED, LIVE, CUE):
        assert np.abs(out[-2000:, part]).max() > 1e-3
    assert out[-1, GATE] == pytest.approx(0.5)
    return stage


def steps(x: np.ndarray) -> float:
    return float(np.abs(np.diff(x, axis=0)).max())


def test_dry_silences_all_that_is_generated_and_nothing_else() -> None:
    stage = everything_sounds()
    stage.safe(SafeKind.DRY_ON)
    dry = tone(9600)[:, None]
    out = stage.play(dry)
    for part in GENERATED:
        assert np.array_equal(out[IN_50_MS:, part], np.zeros_like(out[IN_50_MS:, part]))
        assert steps(out[:, part]) < 0.05
    assert np.array_equal(out[:, CUE], dry[:, 0])
    assert np.array_equal(out[IN_50_MS:, 0], dry[IN_50_MS:, 0])  # effect tails are gone too
    assert np.abs(out[:, LIVE]).max() > 1e-3
    assert not out[IN_50_MS:, GATE].any()
    kinds = [r["kind"] for r in stage.reports()]
    assert ReportKind.DRY in kinds


def test_under_dry_new_answers_stay_unheard_and_raise_no_gate() -> None:
    stage = everything_sounds()
    stage.safe(SafeKind.DRY_ON)
    stage.play(IN_50_MS)
    stage.note("answers.duo", NoteKind.ON, key=70, voice=1)
    out = stage.play(4800)
    for part in (*GENERATED, GATE):
        assert not out[:, part].any()


def test_dry_off_comes_back_without_a_step() -> None:
    stage = everything_sounds()
    stage.safe(SafeKind.DRY_ON)
    stage.play(4800)
    stage.safe(SafeKind.DRY_OFF)
    out = stage.play(9600)
    for part in (STEMS, TEXTURE):
        assert np.abs(out[2000:, part]).max() > 0.05
        assert steps(out[:, part]) < 0.02
    assert np.abs(out[2000:, ANSWER]).max() > 1e-3


def test_toggle_goes_both_ways_and_says_so() -> None:
    stage = Stage(PATCH)
    seen = []
    for _ in range(3):
        stage.safe(SafeKind.DRY_TOGGLE)
        stage.play(128)
        seen += [r["slot"] for r in stage.reports() if r["kind"] == ReportKind.DRY]
    assert seen == [1, 0, 1]


def test_panic_ends_all_notes_and_stems_and_lets_the_dry_sound_pass() -> None:
    stage = everything_sounds()
    stage.reports()
    stage.safe(SafeKind.PANIC)
    dry = tone(48_000)[:, None]
    out = stage.play(dry)
    assert np.array_equal(out[:, CUE], dry[:, 0])
    assert not out[IN_50_MS:, STEMS].any()
    assert not out[IN_50_MS:, ANSWER].any()
    assert not out[IN_50_MS:, GATE].any()
    assert np.abs(out[-4800:, LIVE]).max() < 1e-3  # released, and died away
    assert not stage.engine.state["notes"].any()
    assert not any(intake.held for intake in stage.engine.intakes)
    kinds = [r["kind"] for r in stage.reports()]
    assert kinds.count(ReportKind.PANIC) == 1
    assert kinds.count(ReportKind.STEM_ENDED) == 1
    assert steps(out[:, STEMS]) < 0.02


def test_after_panic_a_new_answer_is_heard() -> None:
    stage = everything_sounds()
    stage.safe(SafeKind.PANIC)
    stage.play(4800)
    stage.note("answers.duo", NoteKind.ON, key=70, voice=1)
    assert np.abs(stage.play(9600)[:, ANSWER]).max() > 1e-3


@pytest.mark.parametrize("level", [0.0, 0.5, 1.5])
def test_master_is_a_ramp_to_its_level(level: float) -> None:
    stage = Stage(PLAIN)
    dry = np.full((4800, 1), 0.25, np.float32)
    stage.play(dry)
    stage.safe(SafeKind.MASTER, level)
    out = stage.play(dry)[:, 0]
    assert steps(out[:, None]) < 0.25 * 1.5 / 400
    assert out[0] == pytest.approx(0.25, abs=1e-3)
    assert (out[600:] == np.float32(0.25) * np.float32(level)).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e9])
def test_master_out_of_range_is_ignored(value: float) -> None:
    stage = Stage(PLAIN)
    stage.safe(SafeKind.MASTER, value)
    dry = np.full((1000, 1), 0.25, np.float32)
    assert np.array_equal(stage.play(dry)[:, 0], dry[:, 0])


def test_all_of_it_works_with_a_full_ring_of_reports_that_nobody_reads() -> None:
    stage = everything_sounds()
    reports = stage.shared.ring("reports")
    reports.push(np.zeros(reports.capacity, reports.dtype))
    assert len(reports) == reports.capacity
    stage.safe(SafeKind.MASTER, 0.5)
    stage.safe(SafeKind.DRY_ON)
    dry = tone(4800)[:, None]
    out = stage.play(dry)
    assert np.array_equal(out[IN_50_MS:, 0], dry[IN_50_MS:, 0] * np.float32(0.5))
    stage.safe(SafeKind.PANIC)
    stage.safe(SafeKind.DRY_OFF)
    assert not stage.play(9600)[IN_50_MS:, STEMS].any()
    assert reports.dropped > 0

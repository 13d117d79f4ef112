"""Risk: a stem that is listened to before it enters begins or ends with a click in the headphones,
or its notes are played there as if they were sound."""

from __future__ import annotations

import numpy as np
from conducted_stage import Conducted

from engine.ask import Ask
from engine.layout import CommandKind
from engine.patch import Clock, Output, Patch, Role, Voice
from engine.stem import StemState

RATE = 48000
PATCH = Patch(
    roles={"pad": Role(bars=1, to={"main": 0.0}), "bass": Role(bars=1, voice="synth")},
    voices={"synth": Voice(to={"main": 0.0})},
    outputs={"main": Output((1, 2)), "cue": Output((3, 4))},
    clock=Clock(bpm=240.0, bars_per_phrase=1),
)


def steady(_: str, frames: int) -> np.ndarray:
    return np.full((2, frames), 0.5, np.float32)


def listening() -> Conducted:
    stage = Conducted(PATCH, steady)
    stage.go(RATE // 4)
    return stage


def audition(stage: Conducted, role: str) -> str:
    stem = stage.conductor.book.of(role, StemState.READY)[0]
    return stage.conductor.act("audition", stage.t, ask=Ask(stage.t, role, stem.id))


def test_it_begins_and_ends_without_a_step_and_is_heard_to_its_end() -> None:
    stage = listening()
    assert "listening" in audition(stage, "pad")
    out = stage.go(2 * RATE)
    assert not out[:, :2].any()
    heard = np.flatnonzero(out[:, 2])
    assert heard[-1] - heard[0] > RATE - 8
    assert out[:, 2].max() == 0.5
    assert np.abs(np.diff(out[:, 2])).max() <= 0.5 / 64 + 1e-6


def test_one_after_the_other_makes_no_step() -> None:
    stage = listening()
    out = []
    for _ in range(4):
        assert "listening" in audition(stage, "pad")
        out.append(stage.go(RATE // 3)[:, 2])
    heard = np.concatenate(out)
    assert heard.max() <= 1.0
    assert np.abs(np.diff(heard)).max() <= 2 * 0.5 / 64 + 1e-6


def test_notes_are_not_played_as_sound() -> None:
    stage = listening()
    stem = stage.conductor.book.of("bass", StemState.READY)[0]
    stem.midi = True
    assert audition(stage, "bass") == f"{stem.id} is notes for the voice synth"
    kinds = [int(c[0]["kind"]) for c in stage.conductor.commands]
    assert CommandKind.STEM_PLAY not in kinds

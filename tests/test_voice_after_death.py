"""Risk: a voice comes back from the death of the audio process out of tune, too loud, or as another
instrument."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import RATE, SOUNDFONT, Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.layout import NoteKind
from engine.patch import MidiIn, Output, Patch, Voice
from engine.state import fresh
from engine.voice_memory import remember, told

PATCH = Patch(
    midi={"keys": MidiIn(voice="piano")},
    voices={"piano": Voice(to={"main": 0.0}), "other": Voice(to={"cue": 0.0})},
    outputs={"main": Output((1, 2)), "cue": Output((3, 4))},
)
ORGAN, BEND, CC = 16, NoteKind.BEND, NoteKind.CC
WIDE_BEND = [(CC, 101, 0), (CC, 100, 0), (CC, 6, 12), (CC, 101, 127), (CC, 100, 127)]
TOLD = {
    "volume": [(CC, 7, 40)],
    "pan and expression": [(CC, 10, 10), (CC, 11, 90)],
    "bend": [(BEND, 0, 12_000)],
    "bend with a wide range": [*WIDE_BEND, (BEND, 0, 10_000)],
    "tuning": [(CC, 101, 0), (CC, 100, 2), (CC, 6, 66), (CC, 98, 1), (CC, 6, 10)],
    "programme": [(NoteKind.PROGRAM, 0, ORGAN)],
    "programme of a bank": [(CC, 0, 8), (NoteKind.PROGRAM, 0, 4)],
    "reset after volume": [(CC, 7, 10), (CC, 121, 0), (CC, 11, 100)],
}


def heard(told_: list[tuple[int, int, int]], dies: bool) -> np.ndarray:
    """A note after a voice was told something, and the audio process has died or not."""
    stage = Stage(PATCH, SOUNDFONT)
    for kind, key, value in told_:
        stage.note("midi_notes", NoteKind(kind), key=key, value=value)
    stage.play(512)
    if dies:
        stage.resume(stage.engine.state)
    stage.note("midi_notes", NoteKind.ON, key=60)
    return stage.play(RATE // 8)


@pytest.mark.parametrize("what", TOLD)
def test_voice_sounds_as_it_was_told_to_before_the_death(what: str) -> None:
    alive = heard(TOLD[what], dies=False)
    assert np.abs(alive[:, :2]).max() > 1e-3
    assert np.array_equal(heard(TOLD[what], dies=True), alive)
    assert not np.array_equal(heard([], dies=False), alive)


def test_sounding_note_starts_again_on_the_voice_it_was_on() -> None:
    stage = Stage(PATCH, SOUNDFONT)
    stage.note("midi_notes", NoteKind.PROGRAM, value=ORGAN)
    stage.note("midi_notes", NoteKind.ON, key=60)
    stage.play(4096)
    stage.resume(stage.engine.state)
    again = stage.play(RATE // 8)
    organ = Stage(PATCH, SOUNDFONT)
    organ.note("midi_notes", NoteKind.PROGRAM, value=ORGAN)
    organ.note("midi_notes", NoteKind.ON, key=60)
    assert np.array_equal(again, organ.play(RATE // 8))


messages = st.one_of(
    st.tuples(st.just(int(CC)), st.integers(0, 127), st.integers(0, 127)),
    st.tuples(st.just(int(BEND)), st.just(0), st.integers(0, 16_383)),
    st.tuples(st.just(int(NoteKind.PROGRAM)), st.just(0), st.integers(0, 127)),
)


@given(st.lists(messages, max_size=30))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_what_is_told_again_leaves_the_same_to_tell(sequence: list[tuple[int, int, int]]) -> None:
    """So a second death loses no more than the first, and no message makes one up."""
    memory, again = fresh()[0]["voices"][:2]
    for message in sequence:
        remember(memory, *message)
    for message in told(memory):
        remember(again, *message)
    assert told(again) == told(memory)
    assert {m[:2] for m in told(memory) if m[1] not in (6, 38, 100, 101)} <= {
        m[:2] for m in sequence
    }

"""Risk: a pianist's pedal does nothing, or holds a note for ever; a wheel stays turned when whoever
turned it has died."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import RATE, SOUNDFONT, Stage

from engine.layout import ALL_VOICES, NoteKind, SafeKind
from engine.patch import MidiIn, Output, Patch, Voice
from engine.sampler import SUSTAINED_MOST

PATCH = Patch(
    midi={"keys": MidiIn(voice="organ")},
    voices={"organ": Voice(program=16, to={"main": 0.0})},
    outputs={"main": Output((1, 2))},
)
SUSTAIN = 64
GONE = RATE // 2  # of an organ's release


def pedal(stage: Stage, value: int, ahead: int = 0) -> None:
    stage.note(
        "midi_notes", NoteKind.CC, key=SUSTAIN, value=value, frame=stage.t + ahead, velocity=0
    )


def note(stage: Stage, kind: NoteKind, key: int = 60) -> None:
    stage.note("midi_notes", kind, key=key)


def loud(stage: Stage) -> float:
    return float(np.abs(stage.play(4800)[:, 0]).max())


def held() -> Stage:
    """A key that only the pedal holds."""
    stage = Stage(PATCH, SOUNDFONT)
    stage.shared.ring("midi_notes").new_epoch()
    pedal(stage, 127)
    note(stage, NoteKind.ON)
    stage.play(4800)
    note(stage, NoteKind.OFF)
    stage.play(GONE)
    assert loud(stage) > 0.01
    return stage


def test_key_sounds_as_long_as_the_pedal_is_down() -> None:
    stage = held()
    pedal(stage, 63)
    stage.play(GONE)
    assert loud(stage) == 0


def test_key_that_is_down_still_sounds_on_when_the_pedal_comes_up() -> None:
    stage = held()
    note(stage, NoteKind.ON, 64)
    pedal(stage, 0)
    stage.play(GONE)
    assert loud(stage) > 0.01
    note(stage, NoteKind.OFF, 64)
    stage.play(GONE)
    assert loud(stage) == 0


def test_key_struck_again_under_the_pedal_ends_with_it() -> None:
    stage = held()
    for _ in range(5):
        note(stage, NoteKind.ON)
        stage.play(1000)
        note(stage, NoteKind.OFF)
        stage.play(1000)
    pedal(stage, 0)
    stage.play(GONE)
    assert loud(stage) == 0


def test_pedal_that_stays_down_lets_the_oldest_key_go() -> None:
    """Else the sampler would cut one short when all its voices are taken."""

    def played(first: bool, others: int) -> np.ndarray:
        stage = Stage(PATCH, SOUNDFONT)
        pedal(stage, 127)
        for key in range(40 if first else 41, 41 + others):
            note(stage, NoteKind.ON, key)
            note(stage, NoteKind.OFF, key)
        stage.play(GONE)
        return stage.play(4800)[:, 0]

    assert np.abs(played(True, SUSTAINED_MOST - 1) - played(False, SUSTAINED_MOST - 1)).max() > 0.01
    assert np.abs(played(True, SUSTAINED_MOST) - played(False, SUSTAINED_MOST)).max() < 1e-3


@pytest.mark.parametrize("audio_too", [False, True])
def test_whoever_held_the_pedal_and_the_wheel_and_died_lets_go(audio_too: bool) -> None:
    stage = held()
    stage.note("midi_notes", NoteKind.BEND, value=12_000)
    note(stage, NoteKind.ON, 62)
    stage.play(512)
    if audio_too:
        stage.resume(stage.engine.state)
        stage.play(512)
    stage.shared.ring("midi_notes").new_epoch()
    stage.note("midi_notes", NoteKind.ALL_OFF, voice=ALL_VOICES)
    stage.play(GONE)
    assert loud(stage) == 0
    memory = stage.engine.state["voices"][0, 0]
    assert (int(memory["controls"][SUSTAIN]), int(memory["bend"])) == (0, 8192)


def test_all_notes_off_after_a_loss_ends_what_the_pedal_holds() -> None:
    """The pedal's way up may have been among what a full ring has refused."""
    stage = held()
    stage.note("midi_notes", NoteKind.BEND, value=12_000)
    stage.note("midi_notes", NoteKind.ALL_OFF, voice=ALL_VOICES)
    stage.play(GONE)
    assert loud(stage) == 0
    assert int(stage.engine.state["voices"][0, 0]["bend"]) == 8192


def test_panic_ends_what_the_pedal_holds() -> None:
    stage = held()
    stage.safe(SafeKind.PANIC)
    stage.play(GONE)
    assert loud(stage) == 0


def test_pedal_comes_up_at_its_frame_at_any_block_size() -> None:
    def played(block: int) -> np.ndarray:
        stage = Stage(PATCH, SOUNDFONT, block=block)
        note(stage, NoteKind.ON)
        pedal(stage, 127, 100)
        stage.note("midi_notes", NoteKind.OFF, frame=stage.t + 1000)
        pedal(stage, 0, 5001)
        return stage.play(8192)

    assert np.array_equal(played(128), played(1024))


def test_successor_whose_pedal_is_down_holds_what_is_let_go() -> None:
    stage = Stage(PATCH, SOUNDFONT)
    pedal(stage, 127)
    note(stage, NoteKind.ON)
    stage.play(4800)
    stage.resume(stage.engine.state)
    stage.play(4800)
    note(stage, NoteKind.OFF)
    stage.play(GONE)
    assert loud(stage) > 0.01
    pedal(stage, 0)
    stage.play(GONE)
    assert loud(stage) == 0

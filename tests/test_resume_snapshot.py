"""Risk: an audio process that died comes back elsewhere in the music, louder, or with a note that
never ends."""

from __future__ import annotations

import time

import numpy as np
import pytest
from engine_stage import RATE, SOUNDFONT, Stage

from devices.audio.process import snapshot_of
from engine.control import COMMANDS_A_BLOCK
from engine.layout import CommandKind, LevelKind, NoteKind, ReportKind, SafeKind
from engine.patch import Input, MidiIn, Output, Patch, Player, Role, Voice

PATCH = Patch(
    inputs={"mic": Input(channel=1, to={"main": -6.0})},
    midi={"keys": MidiIn(voice="piano")},
    voices={
        "piano": Voice(to={"monitor1": 0.0}),
        "one": Voice(program=16, to={"monitor2": 0.0}),
        "two": Voice(program=16, to={"monitor3": 0.0}),
    },
    players={
        "a": Player(model="notochord", listens="keys", voice="one"),
        "b": Player(model="notochord", listens="keys", voice="two"),
    },
    roles={"drums": Role(to={"main": 0.0}), "bass": Role(to={"cue": 0.0})},
    outputs={
        "main": Output((1, 2)),
        "cue": Output((3, 4)),
        "monitor1": Output((5,)),
        "monitor2": Output((6,)),
        "monitor3": Output((7,)),
    },
)
GAP = 12_345  # frames that nobody played
RNG = np.random.default_rng(8)
LOOP = RNG.uniform(-0.2, 0.2, (2, 5001)).astype(np.float32)
AFTER = 4096


def music(stage: Stage) -> None:
    """A loop, one that is to start later, gains on their way, master half down."""
    stage.stem(LOOP, slot=0, c=0, id=1, y=5000.37, x=0.7)
    stage.stem(LOOP, offset=20_000, slot=1, c=1, id=2, y=5000.37, frame=stage.t + 16_000)
    stage.command(CommandKind.GAIN, slot=0, c=0, frame=stage.t + 500, a=30_000, x=1.0)
    stage.safe(SafeKind.MASTER, 0.5)


@pytest.mark.parametrize("played", [1024, 4096, 16_384])
def test_everything_is_at_its_place_as_if_nothing_had_happened(played: int) -> None:
    audio = RNG.uniform(-0.3, 0.3, (played + GAP + AFTER, 1)).astype(np.float32)
    whole = Stage(PATCH)
    music(whole)
    wanted = whole.play(audio)
    stage = Stage(PATCH)
    music(stage)
    stage.play(audio[:played])
    stage.resume(stage.engine.state, GAP)
    out = stage.play(audio[played + GAP :])
    assert np.abs(out[:, 0]).max() > 0.1
    assert np.array_equal(out, wanted[played + GAP :])


def test_stem_that_was_to_start_in_the_gap_is_said_to_have_started() -> None:
    stage = Stage(PATCH)
    music(stage)
    stage.play(8192)
    stage.reports()
    stage.resume(stage.engine.state, GAP)
    stage.play(1024)
    started = [r for r in stage.reports() if r["kind"] == ReportKind.STEM_STARTED]
    assert [(r["id"], r["slot"]) for r in started] == [(2, 1)]


def test_dry_stays_as_it_was() -> None:
    stage = Stage(PATCH)
    music(stage)
    stage.safe(SafeKind.DRY_ON)
    stage.play(4096)
    stage.resume(stage.engine.state, GAP)
    assert not stage.play(AFTER)[:, 2:4].any()
    stage.safe(SafeKind.DRY_TOGGLE)
    assert np.abs(stage.play(AFTER)[:, 2:4]).max() > 0.05


def test_panic_that_had_begun_is_carried_out() -> None:
    stage = Stage(PATCH)
    music(stage)
    stage.play(2048)
    stage.safe(SafeKind.PANIC)
    stage.play(256)
    stage.resume(stage.engine.state, GAP)
    assert not stage.play(AFTER)[:, 2:4].any()
    assert not stage.engine.state["stems"]["state"].any()


NOTES = [("midi_notes", 0, 4), ("answers.a", 1, 5), ("answers.b", 2, 6)]


@pytest.mark.parametrize(("ring", "voice", "channel"), NOTES)
def test_sounding_note_is_struck_again_and_its_producer_releases_it(
    ring: str, voice: int, channel: int
) -> None:
    stage = Stage(PATCH, SOUNDFONT)
    stage.shared.ring(ring).new_epoch()
    stage.note(ring, NoteKind.ON, key=60, voice=voice)
    stage.play(4096)
    stage.resume(stage.engine.state, GAP)
    assert np.abs(stage.play(AFTER)[:, channel]).max() > 1e-3
    stage.note(ring, NoteKind.OFF, key=60, voice=voice)
    stage.play(RATE)
    assert not stage.engine.state["notes"].any()
    assert np.abs(stage.play(AFTER)[:, channel]).max() < 1e-3


@pytest.mark.parametrize(("ring", "voice", "channel"), NOTES)
def test_producer_that_died_as_well_leaves_nothing_sounding(
    ring: str, voice: int, channel: int
) -> None:
    stage = Stage(PATCH, SOUNDFONT)
    stage.shared.ring(ring).new_epoch()
    stage.note(ring, NoteKind.ON, key=60, voice=voice)
    stage.play(1024)
    state = stage.engine.state.copy()
    stage.shared.ring(ring).new_epoch()
    stage.resume(state, GAP)
    stage.play(1024)
    assert not stage.engine.state["notes"].any()


@pytest.mark.parametrize(("ring", "voice", "channel"), NOTES)
def test_off_that_the_dead_one_had_taken_is_not_lost(ring: str, voice: int, channel: int) -> None:
    """Waiting for its frame at the snapshot, or taken after it."""
    for ahead in (600, 0):
        stage = Stage(PATCH)
        stage.shared.ring(ring).new_epoch()
        stage.note(ring, NoteKind.ON, key=60, voice=voice)
        stage.play(512)
        if ahead:
            stage.note(ring, NoteKind.OFF, key=60, voice=voice, frame=stage.t + ahead)
            stage.play(128)
        state = stage.engine.state.copy()
        if not ahead:
            stage.note(ring, NoteKind.OFF, key=60, voice=voice)
            stage.play(128)  # after the last snapshot
        assert len(stage.shared.ring(ring)) == 0
        assert state["notes"][0, voice, 60]
        stage.resume(state, GAP)
        stage.play(256)
        assert not stage.engine.state["notes"].any()
        assert not any(i.held for i in stage.engine.intakes)


def test_what_had_sounded_is_not_taken_a_second_time() -> None:
    stage = Stage(PATCH)
    for key in (60, 62, 64):
        stage.note("midi_notes", NoteKind.ON, key=key)
        stage.note("midi_notes", NoteKind.OFF, key=key, frame=stage.t + 100)
    stage.play(512)
    stage.reports()
    stage.resume(stage.engine.state, GAP)
    stage.play(512)
    kinds = [r["kind"] for r in stage.reports()]
    assert ReportKind.NOTE_ON not in kinds


HAND = [
    (CommandKind.LEVEL, {"slot": 0, "c": int(LevelKind.BUS), "x": 0.25}),
    (CommandKind.LEVEL, {"slot": 0, "c": int(LevelKind.MUTE), "x": 0.0}),
    (CommandKind.STRIP, {"slot": 0, "c": 0, "x": 400.0}),
    (CommandKind.GAIN, {"slot": 0, "c": 0, "x": 0.1}),
]


@pytest.mark.parametrize(("kind", "fields"), HAND)
def test_hand_s_word_in_the_block_that_a_death_took_is_obeyed_by_the_successor(
    kind: CommandKind, fields: dict[str, float]
) -> None:
    """Taken from the ring, and no snapshot knows of it."""
    audio = RNG.uniform(-0.3, 0.3, (GAP + AFTER, 1)).astype(np.float32)
    outs = []
    for dies in (False, True):
        stage = Stage(PATCH)
        stage.play(1024)
        state = stage.engine.state.copy()
        stage.command(kind, frame=stage.t, **fields)
        if dies:
            stage.play(128)
            stage.t -= 128
            stage.resume(state)
        outs.append(stage.play(audio))
    assert np.abs(outs[0] - Stage(PATCH).play(audio)).max() > 1e-3
    assert np.array_equal(outs[1], outs[0])


def test_dry_in_the_block_that_a_death_took_is_obeyed_once() -> None:
    stage = Stage(PATCH)
    music(stage)
    stage.play(1024)
    state = stage.engine.state.copy()
    stage.safe(SafeKind.DRY_TOGGLE)
    stage.play(128)
    stage.resume(state, GAP)
    stage.play(256)
    assert stage.engine.state["dry"][0] == 1
    stage.resume(stage.engine.state, GAP)
    stage.play(256)
    assert stage.engine.state["dry"][0] == 1


def test_command_that_waited_for_its_frame_holds_from_there_in_the_successor() -> None:
    stage = Stage(PATCH)
    music(stage)
    stage.play(1024)
    begins = stage.t + 3000
    stage.command(CommandKind.CLICK, slot=1, frame=begins)
    stage.command(CommandKind.LEVEL, slot=0, c=int(LevelKind.BUS), x=0.0, frame=begins)
    stage.play(128)
    stage.resume(stage.engine.state, 1000)
    out = stage.play(AFTER)
    at = begins - stage.t + len(out)
    assert out[:at, 0].any()
    assert not out[at:, 0].any()
    assert stage.engine.state["click"][0] == 1


def test_more_than_a_block_takes_is_done_again_in_its_order() -> None:
    stage = Stage(PATCH)
    stage.play(128)
    state = stage.engine.state.copy()
    for x in np.linspace(0.0, 1.0, 3 * COMMANDS_A_BLOCK).tolist():
        stage.command(CommandKind.GAIN, slot=0, c=0, x=x)
    stage.play(3 * 128)
    stage.resume(state)
    stage.command(CommandKind.GAIN, slot=0, c=0, x=0.75)
    stage.play(5 * 128)
    assert stage.engine.state[0]["gains"][0, 0]["g1"] == 0.75


def test_after_a_long_time_everything_is_as_hands_left_it_but_no_note_sounds() -> None:
    stage = Stage(PATCH, SOUNDFONT)
    ring = "midi_notes"
    stage.shared.ring(ring).new_epoch()
    stage.safe(SafeKind.MASTER, 0.125)
    stage.safe(SafeKind.DRY_ON)
    stage.command(CommandKind.LEVEL, slot=0, c=int(LevelKind.MUTE), x=0.0)
    stage.note(ring, NoteKind.ON, key=60)
    stage.play(4096)
    stage.note(ring, NoteKind.OFF, key=60)
    stage.note(ring, NoteKind.ON, key=64)
    stage.note(ring, NoteKind.CC, key=1, value=99)
    stage.resume(stage.engine.state, 100 * RATE, long_ago=True)
    out = stage.play(AFTER)
    assert not out.any()
    state = stage.engine.state[0]
    assert (float(state["master"]["g1"]), int(state["dry"])) == (0.125, 1)
    assert float(state["mutes"][0]["g1"]) == 0.0
    assert not state["notes"].any()
    stage.note(ring, NoteKind.ON, key=67)
    assert np.abs(stage.play(AFTER)[:, 4]).max() > 1e-4


@pytest.mark.parametrize(("age_s", "long_ago"), [(1.0, False), (600.0, True)])
def test_snapshot_of_any_age_is_gone_on_from(age_s: float, long_ago: bool) -> None:
    stage = Stage(PATCH)
    stage.play(256)
    stage.engine.state["mono_ns"] = time.monotonic_ns() - round(age_s * 1e9)
    assert snapshot_of(stage.shared) == (None, False)
    stage.shared.sections["state"].write(stage.engine.state)
    state, old = snapshot_of(stage.shared)
    assert old is long_ago
    assert state is not None
    assert state.tobytes() == stage.engine.state.tobytes()


def test_notes_played_while_nobody_sounded_are_no_chord_at_the_return() -> None:
    """Those that have ended are left out, the one that sounded is over; what is held is heard."""
    stage = Stage(PATCH, SOUNDFONT)
    stage.shared.ring("midi_notes").new_epoch()
    stage.note("midi_notes", NoteKind.ON, key=50)
    stage.play(4096)
    stage.reports()
    state, began = stage.engine.state.copy(), stage.t
    stage.note("midi_notes", NoteKind.OFF, key=50, frame=began + 6000)
    for i in range(100):
        stage.note("midi_notes", NoteKind.ON, key=60 + i % 20, frame=began + 500 * i)
        stage.note("midi_notes", NoteKind.OFF, key=60 + i % 20, frame=began + 500 * i + 400)
    stage.note("midi_notes", NoteKind.CC, key=64, value=0, frame=began + 49_000)
    stage.note("midi_notes", NoteKind.ON, key=40, frame=began + 50_000)
    stage.resume(state, 60_000)
    out = stage.play(AFTER)[:, 4]
    on = [r["a"] for r in stage.reports() if r["kind"] == ReportKind.NOTE_ON]
    assert on == [40]
    alone = Stage(PATCH, SOUNDFONT, start=stage.t - AFTER)
    alone.note("midi_notes", NoteKind.ON, key=40)
    assert np.array_equal(out, alone.play(AFTER)[:, 4])


def test_all_notes_off_while_nobody_sounded_leaves_what_came_after_it() -> None:
    stage = Stage(PATCH)
    stage.shared.ring("midi_notes").new_epoch()
    stage.note("midi_notes", NoteKind.ON, key=50)
    stage.play(1024)
    stage.reports()
    state, began = stage.engine.state.copy(), stage.t
    stage.note("midi_notes", NoteKind.ON, key=60, frame=began + 100)
    stage.note("midi_notes", NoteKind.ALL_OFF, frame=began + 200)
    stage.note("midi_notes", NoteKind.ON, key=61, frame=began + 300)
    stage.resume(state, 60_000)
    stage.play(1024)
    assert [r["a"] for r in stage.reports() if r["kind"] == ReportKind.NOTE_ON] == [61]
    assert np.flatnonzero(stage.engine.state["notes"][0, 0]).tolist() == [61]

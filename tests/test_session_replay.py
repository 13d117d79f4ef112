"""Risk: a recorded performance, rendered again, is not what was played."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from engine_stage import SOUNDFONT
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_stage import PATCH, RecordedStage

from engine.layout import CommandKind, NoteKind, SafeKind
from engine.mixer import linear
from engine.patch_cv import Cv
from engine.replay import Edit, Replay
from engine.replay_check import check
from engine.session import read_session

RNG = np.random.default_rng(20)
LOOP = RNG.uniform(-0.2, 0.2, (2, 5001)).astype(np.float32)
GAP = 5000
FADED = 4800


def noise(frames: int) -> np.ndarray:
    return RNG.uniform(-0.3, 0.3, (frames, 1)).astype(np.float32)


def music(stage: RecordedStage) -> None:
    """A bit of everything that reaches a block."""
    stage.stem(LOOP, slot=0, c=0, id=1, y=5000.37, x=0.7)
    stage.stem(LOOP * 0.5, offset=20_000, slot=1, c=1, id=2, frame=stage.t + 6000)
    stage.command(CommandKind.GAIN, slot=0, c=0, frame=stage.t + 500, a=3000, x=1.0)
    stage.command(CommandKind.TIMELINE, frame=stage.t, x=0.0, y=120.0, a=4, b=4)
    stage.safe(SafeKind.MASTER, 0.5)
    stage.note("midi_notes", NoteKind.ON, 60, frame=stage.t + 77)
    stage.note("midi_notes", NoteKind.OFF, 60, frame=stage.t + 9000)
    stage.note("answers.answer", NoteKind.ON, 64, voice=1, frame=stage.t - 40)
    stage.texture("mist", stage.t + 200, RNG.uniform(-0.2, 0.2, (2, 4000)).astype(np.float32))
    stage.horn(RNG.uniform(-0.2, 0.2, 3000).astype(np.float32), stage.t + 64)


def replayed(stage: RecordedStage) -> Replay:
    stage.turn()
    return Replay(read_session(stage.take), SOUNDFONT if stage.soundfont else None)


def played(stage: RecordedStage, replay: Replay) -> np.ndarray:
    """Main as it leaves: float32 (frames, 2), of every block in order."""
    return np.concatenate([b.engine.mixer.buses[0, :, : b.n].T.copy() for b in replay.blocks()])


@pytest.mark.parametrize("block", [1, 64, 128, 1031])
def test_every_sample_is_as_it_was_played_at_any_block(tmp_path: Path, block: int) -> None:
    stage = RecordedStage(tmp_path, soundfont=SOUNDFONT if block == 128 else None, block=block)
    music(stage)
    heard = stage.play(noise(max(1500, 9000 if block > 1 else 0)), lambda t: stage.turn())
    assert np.abs(heard).max() > 0.1
    replay = replayed(stage)
    found = check(replay.session, replay)
    assert (found.equal, found.frames, found.gaps) == (True, len(heard), [])
    assert not found.problems
    assert np.array_equal(played(stage, replayed(stage)), heard[:, :2])


@pytest.mark.parametrize("snapshot_age", [1, 3])
def test_audio_process_that_died_is_followed_by_its_successor(
    tmp_path: Path, snapshot_age: int
) -> None:
    stage = RecordedStage(tmp_path, soundfont=SOUNDFONT)
    music(stage)
    before = stage.play(noise(4096), lambda t: stage.turn())
    state = stage.engine.state.copy()
    before = np.concatenate([before, stage.play(noise(128 * snapshot_age))])
    stage.note("midi_notes", NoteKind.ON, 67, frame=stage.t + GAP + 300)
    stage.resume(state, GAP)
    after = stage.play(noise(8192), lambda t: stage.turn())
    replay = replayed(stage)
    found = check(replay.session, replay)
    assert (found.equal, found.lives) == (True, 2)
    assert found.gaps == [(64_000 + len(before), GAP)]
    assert np.array_equal(played(stage, replayed(stage)), np.concatenate([before, after])[:, :2])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from("nsgdrmpekx"), min_size=1, max_size=30), st.integers(0, 9))
def test_whatever_happens_in_whatever_order(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str], seed: int
) -> None:
    stage = RecordedStage(tmp_path_factory.mktemp("s"), block=(64, 128, 256)[seed % 3])
    rng = np.random.default_rng(seed)
    heard = []
    state = stage.engine.state.copy()
    epoch = 0
    for act in acts:
        if act == "n":
            stage.note("midi_notes", NoteKind.ON, int(rng.integers(128)), frame=stage.t + 99)
        elif act == "s":
            stage.stem(LOOP, offset=2 * 5001 * int(rng.integers(3)), frame=stage.t + 500)
        elif act == "g":
            stage.command(CommandKind.GAIN, slot=0, c=0, a=700, x=float(rng.uniform(0, 1)))
        elif act == "d":
            stage.safe(SafeKind.DRY_TOGGLE)
        elif act == "m":
            stage.texture("mist", stage.t + 10, rng.uniform(-1, 1, (2, 300)).astype(np.float32))
        elif act == "p":
            stage.safe(SafeKind.PANIC)
        elif act == "e":
            epoch = stage.shared.ring("midi_notes").new_epoch()
        elif act == "r":
            stage.recorder_dies()
        elif act == "k":
            stage.resume(state, int(rng.integers(0, 3000)))
            stage.engine.fade_to(stage.t, 0.0, 0)
            stage.engine.fade_to(stage.t, 1.0)
        elif act == "x":
            stage.turn()
        if act == "k" or rng.random() < 0.5:
            state = stage.engine.state.copy()
        heard.append(stage.play(noise(stage.block * int(rng.integers(1, 9)))))
    assert epoch == stage.shared.ring("midi_notes").epoch
    replay = replayed(stage)
    found = check(replay.session, replay)
    assert found.equal, found
    assert np.array_equal(played(stage, replayed(stage)), np.concatenate(heard)[:, :2])


def test_block_whose_frame_had_been_is_rendered_from_its_own_input(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path)
    music(stage)
    heard = [stage.play(noise(1280))]
    for back in (128, 128, 256):
        stage.t -= back
        heard.append(stage.play(noise(640)))
        stage.turn()
        stage.recorder_dies()
    replay = replayed(stage)
    found = check(replay.session, replay)
    assert (found.equal, found.frames) == (True, 1280 + 3 * 640)
    assert np.array_equal(played(stage, replayed(stage)), np.concatenate(heard)[:, :2])


def test_a_sample_that_was_changed_is_found(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path)
    music(stage)
    stage.play(noise(4096))
    stage.turn()
    path = stage.take / "tracks" / "bus.main.au"
    data = bytearray(path.read_bytes())
    data[1024 + 8 * 1000 + 7] ^= 1  # the last bit of the right channel
    path.write_bytes(data)
    replay = replayed(stage)
    found = check(replay.session, replay)
    assert (found.equal, found.first_difference, found.different) == (False, 65_000, 1)


def test_what_the_recorder_lost_is_a_gap_of_the_check(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path)
    stage.play(noise(1280))
    stage.turn()
    stage.play(noise(128 * 4096 + 640))  # five more blocks than its ring holds
    stage.turn()
    for _ in range(3):
        stage.play(noise(48_000))
        stage.turn()
    replay = replayed(stage)
    found = check(replay.session, replay)
    assert (found.equal, found.problems) == (True, [])
    lost = sum(frames for _, frames in found.gaps)  # with what filters remember of it
    assert found.gaps[0][0] == 64_000 + 1280 + 128 * 4096
    assert 640 < lost < 48_000
    assert found.frames == 1280 + 128 * 4096 + 640 + 3 * 48_000 - lost


def after_a_loss(tmp_path: Path) -> RecordedStage:
    """Three seconds after the recorder has lost five blocks."""
    stage = RecordedStage(tmp_path)
    stage.play(noise(128 * 4096 + 640))
    for _ in range(3):
        stage.turn()
        stage.play(noise(48_000))
    stage.turn()
    return stage


def test_a_difference_long_after_a_loss_is_one(tmp_path: Path) -> None:
    stage = after_a_loss(tmp_path)
    path = stage.take / "tracks" / "bus.main.au"
    data = bytearray(path.read_bytes())
    data[-8] ^= 1  # of the exponent
    path.write_bytes(data)
    replay = replayed(stage)
    found = check(replay.session, replay)
    assert (found.equal, found.first_difference) == (False, stage.t - 1)


def test_what_stays_different_after_a_loss_is_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.replay_check.REMEMBERED_S", 1.5)
    stage = after_a_loss(tmp_path)
    path = stage.take / "tracks" / "bus.main.au"
    data = bytearray(path.read_bytes())
    wrong = np.frombuffer(bytes(data[-8 * 3 * 48_000 :]), ">f4") * np.float32(0.5)
    data[-8 * 3 * 48_000 :] = wrong.astype(">f4").tobytes()
    path.write_bytes(data)
    replay = replayed(stage)
    found = check(replay.session, replay)
    assert (found.equal, found.different) == (False, pytest.approx(1.5 * 48_000, abs=256))


def test_a_muted_source_is_not_heard_and_the_others_are(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path)
    music(stage)
    stage.play(noise(8192))
    stage.turn()
    session = read_session(stage.take)
    quiet = dict.fromkeys(Replay(session).source_names, 0.0)
    assert not played(stage, Replay(session, edit=Edit(quiet))).any()
    del quiet["stems.drums"]
    rest = played(stage, Replay(session, edit=Edit(quiet)))
    halves = played(stage, Replay(session, edit=Edit({**quiet, "stems.drums": 0.5})))
    assert rest.any()
    assert np.array_equal(halves, rest * np.float32(0.5))


# ---- another texture


def test_another_texture_is_heard_in_place_of_the_recorded_one(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path)
    stage.texture("mist", stage.t + 200, RNG.uniform(-0.2, 0.2, (2, 4000)).astype(np.float32))
    stage.play(noise(16_384), lambda t: stage.turn())
    stage.turn()
    session = read_session(stage.take)
    others = dict.fromkeys(Replay(session).source_names, 0.0)
    del others["texture.mist"]
    new = RNG.uniform(-0.2, 0.2, (6000, 2)).astype(np.float32)
    edit = Edit(others, {"mist": new})
    heard = played(stage, Replay(session, edit=edit))
    assert np.array_equal(heard[:6000], new * np.float32(linear(-6.0)))
    assert not heard[6000 + FADED :].any()  # what it held is let go
    old = played(stage, Replay(session, edit=Edit(others)))
    assert not np.array_equal(old, heard)
    nothing = Edit({}, {"mist": session.tracks["texture.mist"].astype(np.float32)})
    assert np.array_equal(
        played(stage, Replay(session, edit=nothing)), played(stage, Replay(session))
    )


# ---- voltages


VOLTAGES = dataclasses.replace(
    PATCH,
    cv={
        "pitch": Cv(channel=5, source="piano", kind="pitch"),
        "gate": Cv(channel=6, source="piano", kind="gate"),
        "away": Cv(channel="no such port", source="piano", kind="gate"),
        "slow": Cv(channel=7, kind="lfo", hz=3.0),
    },
)


def test_voltages_are_recorded_as_they_left_and_rendered_again(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path, VOLTAGES)
    music(stage)
    before = stage.play(noise(4096), lambda t: stage.turn())
    stage.note("midi_notes", NoteKind.ON, 67, frame=stage.t + GAP + 300)
    stage.resume(stage.engine.state, GAP)
    after = stage.play(noise(4096))
    replay = replayed(stage)
    tracks = replay.session.tracks
    for name, channel in (("pitch", 4), ("gate", 5), ("slow", 6)):
        track = tracks[f"cv_out.{name}"][:, 0]
        assert np.array_equal(track[: len(before)], before[:, channel])
        assert np.array_equal(track[len(before) + GAP :], after[:, channel])
        assert np.abs(track).max() > 0.01
    assert not np.abs(tracks["cv_out.away"]).any()  # no port, nothing left
    found = check(replay.session, replay)
    assert (found.equal, found.unequal) == (True, {})
    assert {"cv_out.pitch", "bus.cue", "bus.main"} <= set(found.compared)


@pytest.mark.parametrize("name", ["cv_out.gate", "bus.cue"])
def test_an_output_that_was_changed_is_named(tmp_path: Path, name: str) -> None:
    stage = RecordedStage(tmp_path, VOLTAGES)
    music(stage)
    stage.play(noise(4096))
    stage.turn()
    path = stage.take / "tracks" / f"{name}.au"
    data = bytearray(path.read_bytes())
    data[1024 + 3000] ^= 1
    path.write_bytes(data)
    replay = replayed(stage)
    found = check(replay.session, replay)
    assert (found.equal, found.unequal, found.different) == (False, {name: 1}, 0)

"""Risk: a session of another version, cut off anywhere, with files missing, swapped or spoilt, ends
in a traceback, or is said to be whole."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_stage import PATCH, RecordedStage

from engine.demo import DemoError, live_result
from engine.journal import Journal
from engine.layout import CommandKind, NoteKind
from engine.patch import Output, Patch
from engine.patch_cv import Cv
from engine.recorder import Keeper, _keeper
from engine.replay import Replay
from engine.replay_check import Check, check
from engine.replay_export import export
from engine.session import Session, SessionError, read_session
from engine.shm import Shared
from engine.tracks import HEADER_BYTES, tap_dtype

RNG = np.random.default_rng(21)
LOOP = RNG.uniform(-0.2, 0.2, (2, 3000)).astype(np.float32)
FRAMES = 4096
AGAIN = 256
VOLTAGE = dataclasses.replace(PATCH, cv={"slow": Cv(channel=5, kind="lfo", hz=3.0)})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of two audio processes."""
    stage = RecordedStage(tmp_path_factory.mktemp("whole"), VOLTAGE)
    stage.stem(LOOP, y=2999.5, x=0.7)
    stage.note("midi_notes", NoteKind.ON, 60, frame=stage.t + 77)
    stage.command(CommandKind.GAIN, a=3000, x=0.5)
    stage.play(noise())
    stage.resume(stage.engine.state, 1000)
    stage.play(noise())
    stage.turn()
    stage.t -= AGAIN  # a cycle so late that its frames come again
    stage.play(noise()[:AGAIN])
    stage.turn()
    return stage.take


def noise() -> np.ndarray:
    return RNG.uniform(-0.3, 0.3, (FRAMES, 1)).astype(np.float32)


@pytest.fixture
def take(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / made.name))


def judged(take: Path) -> Check | str:
    """The check, or why there is none."""
    try:
        session = read_session(take)
        return check(session, Replay(session))
    except SessionError as error:
        return str(error)


def checked(take: Path) -> Check:
    found = judged(take)
    assert isinstance(found, Check), found
    return found


FILES = (
    "admitted.bin",
    "session.json",
    "patch.json",
    "stems.jsonl",
    "tracks/bus.main.au",
    "tracks/input.mic.au",
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FILES), st.floats(0, 1))
def test_file_cut_off_at_any_byte_is_replayed_up_to_there_or_refused(
    made: Path, tmp_path_factory: pytest.TempPathFactory, name: str, share: float
) -> None:
    take = Path(shutil.copytree(made, tmp_path_factory.mktemp("cut") / made.name))
    size = (take / name).stat().st_size
    left = int(share * size)
    with (take / name).open("r+b") as f:
        f.truncate(left)
    found = judged(take)
    if isinstance(found, str):
        assert str(take) in found or "bus.main" in found
    elif left == size:
        assert found.equal
        assert not found.problems
    elif name == "admitted.bin":
        assert found.equal or not found.frames
        assert found.frames < 2 * FRAMES + AGAIN
        assert found.frames + sum(n for _, n in found.gaps) >= 2 * FRAMES  # the rest is no praise
    elif name.startswith("tracks") and not found.problems:
        assert found.equal or not found.frames
        assert len(found.gaps) > 1 or found.gaps[0] != (64_000 + FRAMES, 1000)
    else:
        assert found.problems or not found.equal or left == size - 1  # the line's end alone


BESIDE = ("again.bin", "jumps.jsonl", "progress.bin", "tracks/cv_out.slow.au", "tracks/bus.cue.au")


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(BESIDE), st.floats(0, 1))
def test_what_lies_beside_cut_off_at_any_byte_is_a_gap_and_no_difference(
    made: Path, tmp_path_factory: pytest.TempPathFactory, name: str, share: float
) -> None:
    take = Path(shutil.copytree(made, tmp_path_factory.mktemp("cut") / made.name))
    with (take / name).open("r+b") as f:
        f.truncate(int(share * (take / name).stat().st_size))
    found = checked(take)
    whole = checked(made)
    assert whole.equal
    assert found.first_difference is None
    lost = whole.frames - found.frames
    assert lost >= 0
    if name.startswith("tracks"):
        assert sum(n for _, n in found.gaps) >= sum(n for _, n in whole.gaps) + lost
    elif name == "again.bin":
        assert lost in (0, AGAIN // 2, AGAIN)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from((*FILES, *BESIDE)), st.integers(0, 2**20), st.binary(min_size=1, max_size=40)
)
def test_file_with_rubbish_in_it_is_replayed_or_refused(
    made: Path, tmp_path_factory: pytest.TempPathFactory, name: str, at: int, rubbish: bytes
) -> None:
    take = Path(shutil.copytree(made, tmp_path_factory.mktemp("bad") / made.name))
    data = bytearray((take / name).read_bytes())
    at %= len(data)
    data[at : at + len(rubbish)] = rubbish[: len(data) - at]
    (take / name).write_bytes(data)
    assert judged(take)


def test_half_a_character_in_a_name_is_refused(take: Path) -> None:
    path = take / "patch.json"
    text = path.read_text()
    assert "\\udfba" in text  # JSON has the emoji as a pair
    path.write_text(text.replace("\\ud83c\\udfba", "\\udfba"))
    with pytest.raises(SessionError, match=r"patch\.json: cut off or broken"):
        read_session(take)


@pytest.mark.parametrize("key", ["format", "layout"])
def test_other_version_is_named(take: Path, key: str) -> None:
    path = take / "session.json"
    facts = json.loads(path.read_text())
    facts[key], facts["versions"]["segue"] = "other", "9.9"
    path.write_text(json.dumps(facts))
    with pytest.raises(SessionError, match=r"segue that made it \(segue 9\.9\)"):
        read_session(take)


def test_other_numpy_is_said_and_rendered(take: Path) -> None:
    path = take / "session.json"
    facts = json.loads(path.read_text())
    facts["versions"]["numpy"] = "0.1"
    path.write_text(json.dumps(facts))
    found = checked(take)
    assert found.equal
    assert "numpy 0.1" in found.problems[0]


def test_missing_input_is_said_and_the_rest_rendered(take: Path) -> None:
    (take / "tracks" / "input.mic.au").unlink()
    found = checked(take)
    assert not found.equal
    assert "input.mic is missing" in found.problems[0]


def test_swapped_tracks_are_not_taken_for_each_other(take: Path) -> None:
    mic, mist = take / "tracks" / "bus.cue.au", take / "tracks" / "texture.mist.au"
    spare = mic.with_suffix(".spare")
    mic.rename(spare)
    mist.rename(mic)
    spare.rename(mist)
    session = read_session(take)
    assert "holds texture.mist" in session.problems[1]
    assert "holds bus.cue" in session.problems[0]


def test_track_of_another_session_is_not_taken(take: Path, tmp_path: Path) -> None:
    other = RecordedStage(tmp_path / "other", start=1000)
    other.play(noise())
    other.turn()
    shutil.copy(other.take / "tracks" / "input.mic.au", take / "tracks")
    assert "from frame 1000" in read_session(take).problems[0]


def test_missing_stem_is_silent_and_said(take: Path) -> None:
    for stem in (take / "stems").iterdir():
        stem.unlink()
    found = checked(take)
    assert not found.equal
    assert any("silent in the replay" in p for p in found.problems)


def test_stem_that_was_changed_since_is_silent_and_said(take: Path) -> None:
    (stem,) = (take / "stems").iterdir()
    data = bytearray(stem.read_bytes())
    data[2000] ^= 1
    stem.write_bytes(data)
    found = checked(take)
    assert not found.equal
    assert any("was changed since" in p and "silent" in p for p in found.problems)


@pytest.mark.parametrize("what", ["nothing", "empty"])
def test_folder_that_is_no_session_is_said(tmp_path: Path, what: str) -> None:
    folder = tmp_path / what
    if what == "empty":
        folder.mkdir()
    with pytest.raises(SessionError, match="segue run --session"):
        read_session(folder)


def test_tracks_are_read_by_others_cut_off_in_a_sample_too(take: Path) -> None:
    path = take / "tracks" / "bus.main.au"
    session = read_session(take)
    with path.open("r+b") as f:
        f.truncate(path.stat().st_size - 5)
    audio, rate = soundfile.read(path, dtype="float32")
    assert rate == 48_000
    assert np.array_equal(audio, session.tracks["bus.main"][: len(audio)])
    assert len(audio) == session.frames - 1


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("voices", "one", "to", "main"), 2**63),
        (("outputs", "cue", "level_db"), 10**30),
        (("inputs", "mic", "strip", "highpass_hz"), "x"),
        (("clock", "beats_per_bar"), float("nan")),
        (("voices", "one", "program"), [1, 2, 3]),
        (("cv", "slow", "seed"), 10**30),
        (("cv", "slow", "width_ms"), 1e308),
    ],
)
def test_patch_of_a_session_that_no_loader_has_seen_is_refused_in_words(
    take: Path, tmp_path: Path, keys: tuple[str, ...], value: object
) -> None:
    path = take / "patch.json"
    patch = json.loads(path.read_text())
    place = patch
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(patch))
    with pytest.raises(SessionError):
        export(read_session(take), Replay(read_session(take)), tmp_path / "out")


# ---- the disk


def test_full_disk_stops_the_recording_and_nothing_else(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path)
    keeper = Keeper(stage.shared, stage.recording)
    stage.play(noise())
    keeper.turn()
    assert keeper.stopped == ""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        heard = stage.play(noise(), lambda t: keeper.turn())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in keeper.stopped
    assert np.abs(heard).max() > 0.1
    stage.play(noise())
    keeper.turn()
    assert len(stage.shared.ring("tap.recorder")) == 0  # nobody waits for it
    session: Session = read_session(stage.take)
    found = check(session, Replay(session))
    assert found.equal
    assert found.frames >= FRAMES


def test_disk_that_may_not_be_written_is_said_and_nothing_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Path("/proc/self")  # read-only, for root too
    patch = Patch(outputs={"main": Output((1, 2))})
    shared = Shared.create(tmp_path / "performance", patch, session=str(nowhere))
    keeper = _keeper(shared, nowhere, 48_000.0)
    assert keeper.stopped
    assert "no recording" in caplog.text
    block = np.zeros(1, tap_dtype(patch))
    shared.ring("tap.recorder").push(block)
    keeper.turn()
    keeper.close()
    assert len(shared.ring("tap.recorder")) == 0
    journal = Journal(tmp_path, nowhere)
    journal.write({"event": "stem", "frame": 1})
    journal.close()
    assert "no log" in caplog.text


def test_live_demo_whose_disk_was_full_says_so_and_one_with_a_torn_log_is_whole(
    tmp_path: Path,
) -> None:
    stage = RecordedStage(tmp_path)
    blocks = round(8 * 48_000 / FRAMES)
    for _ in range(blocks):
        stage.play(noise(), lambda t: stage.turn())
    stage.turn()
    (tmp_path / "log.jsonl").write_text('{"event": "begin", "frame": 64000}\n{"event": "no')
    made = live_result(PATCH, tmp_path, {})
    assert made.png.exists()
    assert soundfile.info(made.wav).frames == blocks * FRAMES
    with (stage.take / "tracks" / "bus.main.au").open("r+b") as track:
        track.truncate(HEADER_BYTES + 8 * 48_000)
    with pytest.raises(DemoError, match=r"stopped after 1\.0 s"):
        live_result(PATCH, tmp_path, {})
    (stage.take / "tracks" / "bus.main.au").unlink()
    with pytest.raises(DemoError, match=r"bus\.main is missing"):
        live_result(PATCH, tmp_path, {})

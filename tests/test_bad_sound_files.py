"""Risk: a file or a line from outside is taken for what it is not, or takes something down."""

from __future__ import annotations

import json
import math
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import shm_records
from engine.audio_file import AudioFileError, read_audio
from engine.clock import Clock
from engine.conductor_hands import ACTIONS
from engine.conductor_process import ConductorProcess
from engine.kernel import pointer
from engine.patch import Output, Patch, Role, Voice
from engine.process import Stop
from engine.sampler import SampledVoice
from engine.shm import Shared
from engine.soundfont import SoundFontError, prove
from engine.timeline import Timeline, check_bpm

RATE = 48000
SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")


def tone(frames: int, channels: int, rate: int = RATE) -> np.ndarray:
    x = 0.5 * np.sin(2 * np.pi * 440 * np.arange(frames) / rate)
    return np.repeat(x[:, None], channels, axis=1).astype(np.float32)


# ---- sound that is unusual, and right


@pytest.mark.parametrize("channels", [1, 2, 12])
def test_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    soundfile.write(tmp_path / "x.wav", tone(1000, channels), RATE, subtype="FLOAT")
    audio = read_audio(tmp_path / "x.wav", RATE)
    assert audio.dtype == np.float32
    assert np.array_equal(audio, tone(1000, channels))


def test_eight_bit(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone(4800, 1), RATE, subtype="PCM_U8")
    np.testing.assert_allclose(read_audio(tmp_path / "x.wav", RATE), tone(4800, 1), atol=0.01)


@pytest.mark.parametrize("rate", [8000, 44_100, 192_000])
def test_other_rates_are_resampled_to_the_right_length_and_pitch(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "x.wav", tone(rate, 2, rate), rate, subtype="FLOAT")
    audio = read_audio(tmp_path / "x.wav", RATE)
    assert audio.shape[1] == 2
    assert abs(len(audio) - RATE) < RATE // 100
    middle = audio[RATE // 4 : 3 * RATE // 4, 0]
    crossings = np.count_nonzero(np.diff(np.signbit(middle))) / 2
    assert crossings == pytest.approx(220, abs=2)


def test_silence_is_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros((500, 2)), RATE)
    assert not read_audio(tmp_path / "x.wav", RATE).any()


def test_truncated_file_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(10_000, 2), RATE, subtype="FLOAT")
    path.write_bytes(path.read_bytes()[:40_000])
    audio = read_audio(path, RATE)
    assert 4000 < len(audio) < 5000
    assert np.array_equal(audio, tone(10_000, 2)[: len(audio)])


# ---- what is refused


def refusal(path: Path) -> str:
    """What is said of a file that is not read, without its name, which is part of it."""
    with pytest.raises(AudioFileError) as caught:
        read_audio(path, RATE)
    named, _, said = str(caught.value).partition(str(path))
    return "the file is not named" if named or not said else said


def test_no_frames(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros((0, 2)), RATE)
    assert "no frames" in refusal(tmp_path / "x.wav")


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3", "x.raw", "x", "x.mid"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 5000, b"RIFF\xff\xff\xff\xffWAVEfmt ", b"fLaC" + b"\xff" * 99, b"# text\n"],
)
def test_what_is_no_sound(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert re.search("not a sound file|no frames", refusal(tmp_path / name))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.wav")
    assert "no such file" in refusal(tmp_path)


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    x = tone(100, 1)
    x[50] = np.nan
    soundfile.write(tmp_path / "x.wav", x, RATE, subtype="FLOAT")
    assert "not finite" in refusal(tmp_path / "x.wav")


def test_more_channels_than_a_stage_has(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros((10, 65)), RATE)
    assert "65 channels, at most 64" in refusal(tmp_path / "x.wav")


# ---- SoundFonts


def test_the_systems_soundfont_is_one_and_sounds() -> None:
    prove(SOUNDFONT)  # raises where it is none
    voice, sides = SampledVoice(SOUNDFONT, Voice(), RATE), np.zeros((2, 2048), np.float32)
    voice.note_on(60, 100)
    voice.render(0, 2048, (), pointer(sides[:1]), pointer(sides[1:]))
    assert np.abs(sides).max() > 0.01


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "starts with"),
        (b"not a SoundFont at all", "starts with"),
        (b"RIFF\x10\0\0\0WAVEfmt " + bytes(100), "starts with"),
        (b"RIFF\x10\0\0\0sfbk", "cannot be played"),
        (b"RIFF\xff\xff\xff\x7fsfbkLIST\xff\xff\xff\x7fsdta" + bytes(100), "cannot be played"),
    ],
)
def test_what_is_no_soundfont(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "x.sf2"
    path.write_bytes(content)
    with pytest.raises(SoundFontError, match=match) as caught:
        prove(path)
    assert str(path) in str(caught.value)


def test_truncated_soundfont(tmp_path: Path) -> None:
    path = tmp_path / "x.sf2"
    path.write_bytes(SOUNDFONT.read_bytes()[:100_000])
    with pytest.raises(SoundFontError, match="cannot be played"):
        prove(path)


def test_missing_soundfont(tmp_path: Path) -> None:
    with pytest.raises(SoundFontError, match="no such file"):
        prove(tmp_path / "none.sf2")


# ---- tempo


@pytest.mark.parametrize("bpm", [0.0, -100.0, math.nan, math.inf, 10_000.0, 19.9, 400.1])
def test_tempo_that_is_none_changes_nothing(bpm: float) -> None:
    with pytest.raises(ValueError, match="tempo is"):
        check_bpm(bpm)
    with pytest.raises(ValueError, match="tempo is"):
        Timeline(frame=0, beat=0.0, bpm=bpm, rate=48000.0)
    clock = Clock(Timeline(frame=0, beat=0.0, bpm=120.0, rate=48000.0))
    with pytest.raises(ValueError, match="tempo is"):
        clock.set_bpm(bpm)
    clock.advance(48_000)
    assert clock.line.bpm == 120.0
    assert clock.line.beat_at(48_000) == pytest.approx(2.0)


# ---- the control socket

PATCH = Patch(roles={"drums": Role()}, outputs={"main": Output((1, 2))})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "do": st.sampled_from(["act", "status", "x"]) | JSON,
        "name": st.sampled_from(sorted(ACTIONS)) | JSON,
        "role": st.sampled_from(["drums", "none", None]) | JSON,
        "stem": st.sampled_from([1, 0, -1, 1 << 70]) | JSON,
        "at": st.sampled_from(["now", "bar", "soon"]) | JSON,
        "play": st.sampled_from(["fill", "ending", "thrice"]) | JSON,
        "variation": st.integers(-1, 6) | JSON,
        "bars": st.sampled_from([1, 2, 3]) | JSON,
    },
)


@pytest.fixture(scope="module")
def conductor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConductorProcess]:
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    folder = tmp_path_factory.mktemp("shm") / "performance"
    process = ConductorProcess(Shared.create(folder, PATCH), Stop())
    for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
        signal.signal(number, handler)
    clock = np.zeros(1, shm_records.CLOCK)
    clock["callbacks"], clock["rate"], clock["t"] = 1, RATE, 1000
    process.shared.sections["clock"].write(clock)
    process.tick()
    yield process
    process.journal.close()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(asked=ASKED | JSON)
def test_every_json_line_gets_an_answer(conductor: ConductorProcess, asked: object) -> None:
    answer = conductor._answer(json.dumps(asked).encode() + b"\n")
    assert isinstance(answer, dict)
    assert json.dumps(answer)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(line=st.binary(max_size=60))
def test_every_other_line_gets_an_answer(conductor: ConductorProcess, line: bytes) -> None:
    answer = conductor._answer(line)
    assert isinstance(answer, dict)
    assert json.dumps(answer)


@pytest.mark.parametrize(
    "line", [b"[" * 60_000, b"{" * 100, b'{"do":' * 5000, b"\xff\xfe", b"1" * 60_000, b"NaN"]
)
def test_hostile_lines(conductor: ConductorProcess, line: bytes) -> None:
    assert "error" in conductor._answer(line)
    assert conductor.conductor.status(0)["stems"] is not None


def test_what_was_asked_for_is_done_between_the_garbage(conductor: ConductorProcess) -> None:
    conductor.conductor.let_in = False
    assert conductor._answer(b'{"do": "act", "name": "this_is_one"}') == {"said": "one"}
    assert conductor._answer(b'{"do": "act", "name": "let_in"}') == {"said": "let in"}
    conductor.tick()

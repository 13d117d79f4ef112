"""Risk: a sound file becomes a stem of another tempo, length or key than it should, or one bad file
in a folder takes the others, or what plays, away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from pool_driver import Driver

from engine.adapter import AdapterError
from engine.patch import CAPTURE_MAKER, Clock, Patch, Role
from engine.pool import EventKind, Pool
from engine.stem import FILES_MAKER, Play, StemRequest, StemState
from engine.stem_book import StemBook
from engine.stem_facts import Facts, found, given
from engine.stem_files import load_stem, octave, transposition
from engine.timeline import Timeline

RATE = 16000
SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")


def request(bars: int = 2, bpm: float = 120.0, seed: int = 0, **more: object) -> StemRequest:
    return StemRequest(1, "loops", bars, bpm, 4, seed=seed, **more)  # type: ignore[arg-type]


def clicks(bpm: float, bars: int, rate: int = RATE) -> np.ndarray:
    """float32 (frames,): a burst a beat, the first of a bar louder, and a quiet tone."""
    frames = round(bars * 4 * 60.0 / bpm * rate)
    rng, out = np.random.default_rng(1), np.zeros(frames, np.float32)
    for beat in range(bars * 4):
        at = round(beat * 60.0 / bpm * rate)
        burst = rng.uniform(-1, 1, 400) * np.exp(-np.arange(400) / 60)
        part = out[at : at + 400]
        part += (0.9 if beat % 4 == 0 else 0.5) * burst[: len(part)].astype(np.float32)
    return out


def chords(notes: tuple[int, ...], seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    each = [np.sin(2 * np.pi * 440.0 * 2 ** ((n - 69) / 12) * t) for n in notes]
    return (0.2 * np.sum(each, axis=0) / len(notes)).astype(np.float32)


def onsets(audio: np.ndarray, count: int) -> np.ndarray:
    """Frames of the strongest rise in each of `count` equal parts, wrapped a little to the left."""
    level = np.abs(np.roll(audio, 400))
    part = len(level) // count
    return np.array(
        [i * part + int(np.argmax(level[i * part : i * part + 1200])) - 400 for i in range(count)]
    )


# ---- what is given


@pytest.mark.parametrize(
    ("name", "bpm", "key", "minor"),
    [
        ("drums_120bpm", 120.0, None, False),
        ("bass 96.5 BPM F#m", 96.5, 6, True),
        ("Pad_Ebmaj_100bpm", 100.0, 3, False),
        ("riff-Bb min-88 bpm", 88.0, 10, True),
        ("A night in 1999", None, None, False),
        ("take 3000bpm", None, None, False),
        ("C_lead", None, 0, False),
    ],
)
def test_a_name_gives_tempo_and_key(
    tmp_path: Path, name: str, bpm: float | None, key: int | None, minor: bool
) -> None:
    facts = given(tmp_path / f"{name}.wav")
    assert (facts.bpm, facts.key, facts.minor) == (bpm, key, minor)


def test_a_side_car_counts_before_the_name(tmp_path: Path) -> None:
    text = "bpm: 90\nkey: A minor\nbars: 2\nplay: fill\nchoke: kit\n"
    (tmp_path / "x 120bpm C.yaml").write_text(text)
    facts = given(tmp_path / "x 120bpm C.wav")
    assert facts == Facts(90.0, "sidecar", 9, True, "sidecar", 2, Play.FILL, "kit")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bpm: fast", "bpm is 'fast', expected 20 to 400"),
        ("tempo: 90", "key 'tempo', expected one of bpm"),
        ("bars: 0", "bars is 0, expected a whole number of bars"),
        ("play: twice", "play is 'twice', expected one of loop, once, fill, ending"),
        ("key: H", "key is 'H', expected a tonic"),
        ("bpm: [90]", "bpm is None"),
        ("- 1", "expected keys such as"),
        ("bpm: 90\nbpm: 91", "bpm"),
        ("#" * 5000, "more than 4096 bytes"),
        ("{", "expected"),
    ],
)
def test_a_bad_side_car_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(AdapterError, match=r"x\.yaml") as raised:
        given(tmp_path / "x.wav")
    assert said in str(raised.value)


@settings(max_examples=80, deadline=None, derandomize=True)
@for_all(data=st.binary(max_size=200))
def test_any_side_car_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("side")
    (folder / "x.yaml").write_bytes(data)
    try:
        facts = given(folder / "x.wav")
    except AdapterError:
        return
    assert facts.bpm is None or 20 <= facts.bpm <= 400


# ---- what is found


@pytest.mark.parametrize("bpm", [84.0, 105.0, 131.0])
def test_tempo_is_found_and_made_whole_bars(bpm: float) -> None:
    audio = clicks(bpm, 8)[:, None]
    facts = found(Facts(), audio, RATE, 4, 100.0)
    assert facts.bpm_from == "beats"
    assert octave(facts.bpm or 0.0, bpm) == pytest.approx(bpm, rel=1e-3)


def test_where_no_beat_is_heard_the_length_says_it() -> None:
    audio = chords((60, 64, 67), 4 * 4 * 60.0 / 110.0)[:, None]
    facts = found(Facts(), audio, RATE, 4, 118.0)
    assert (facts.bpm_from, facts.bpm) == ("length", pytest.approx(110.0, rel=1e-3))


@pytest.mark.parametrize(
    ("notes", "key", "minor"),
    [((60, 64, 67, 72, 65, 71, 62), 0, False), ((57, 60, 64, 69, 52, 59, 62), 9, True)],
)
def test_key_is_found(notes: tuple[int, ...], key: int, minor: bool) -> None:
    scale = np.concatenate([chords((n,), 0.8 if i < 4 else 0.4) for i, n in enumerate(notes)])
    facts = found(Facts(bpm=120.0), scale[:, None], RATE, 4, 120.0)
    assert (facts.key, facts.minor, facts.key_from) == (key, minor, "pitch")


# ---- what becomes of it


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.aiff", "x.ogg", "x.mp3"])
def test_every_kind_of_file_becomes_exact_bars_at_the_rate(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, clicks(120.0, 2, 44100), 44100)
    stem = load_stem(request(), {"folder": str(tmp_path)}, RATE)
    assert stem.audio is not None
    assert stem.audio.shape == (2, 64_000)
    assert stem.audio.dtype == np.float32
    assert stem.frames_exact == 64_000.0
    assert np.abs(stem.audio).max() < 10 ** (-1 / 20)
    assert np.abs(onsets(stem.audio[0], 8) - np.arange(8) * 8000).max() < 0.02 * RATE


def test_a_file_at_the_tempo_is_left_as_it_is_but_for_its_level(tmp_path: Path) -> None:
    sound = clicks(120.0, 2)
    soundfile.write(tmp_path / "x 120bpm.wav", sound, RATE, subtype="FLOAT")
    audio = load_stem(request(), {"folder": str(tmp_path)}, RATE).audio
    assert audio is not None
    gain = float(np.abs(audio).max() / np.abs(sound).max())
    assert np.allclose(audio[0], sound * gain, atol=1e-6)


@pytest.mark.parametrize("bpm", [104.0, 140.0, 61.0])
def test_another_tempo_is_stretched_onto_the_beats(tmp_path: Path, bpm: float) -> None:
    soundfile.write(tmp_path / f"x {bpm:g}bpm.wav", clicks(bpm, 2), RATE)
    audio = load_stem(request(), {"folder": str(tmp_path)}, RATE).audio
    assert audio is not None
    beats = 4 if bpm < 70 else 8
    assert np.abs(onsets(audio[0], beats) - np.arange(beats) * 64_000 / beats).max() < 0.01 * RATE


def test_shorter_files_repeat_and_longer_ones_are_cut(tmp_path: Path) -> None:
    one, eight = clicks(120.0, 1), clicks(120.0, 8)
    soundfile.write(tmp_path / "a 120bpm.wav", one, RATE)
    soundfile.write(tmp_path / "b 120bpm.wav", eight, RATE)
    for seed in (0, 1):
        audio = load_stem(request(seed=seed), {"folder": str(tmp_path)}, RATE).audio
        assert audio is not None
        loud = np.abs(audio[0, ::1]).reshape(2, -1).max(axis=1)
        assert loud[0] == pytest.approx(loud[1], rel=0.05)


def test_a_tail_sounds_on_over_the_beginning(tmp_path: Path) -> None:
    tail = chords((69,), 4.3)  # 1760 turns in four seconds: it adds up
    soundfile.write(tmp_path / "x 120bpm.wav", tail, RATE)
    audio = load_stem(request(), {"folder": str(tmp_path)}, RATE).audio
    assert audio is not None
    assert np.abs(audio[0, :4000]).max() > 1.3 * np.abs(audio[0, 8000:60_000]).max()


def test_key_is_matched_by_the_nearer_way() -> None:
    a_minor = Facts(key=9, minor=True)
    assert transposition(a_minor, request(key=0)) == 0  # its relative
    assert transposition(a_minor, request(key=11, minor=True)) == 2
    assert transposition(a_minor, request(key=3, minor=True)) == -6
    assert transposition(Facts(), request(key=3)) == 0


def test_transposed_to_the_key_when_asked(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x 120bpm C.wav", chords((60,), 4.0), RATE)
    config = {"folder": str(tmp_path), "match_key": True}
    stem = load_stem(request(key=2), config, RATE)
    assert stem.audio is not None
    assert stem.provenance["transposed"] == 2
    spectrum = np.abs(np.fft.rfft(stem.audio[0, 16_000:48_000]))
    assert np.argmax(spectrum) * 0.5 == pytest.approx(440 * 2 ** ((62 - 69) / 12), abs=3.0)


# ---- bad files


def test_bad_files_are_skipped_each_with_one_message(tmp_path: Path) -> None:
    good = clicks(120.0, 2)
    soundfile.write(tmp_path / "f good 120bpm.wav", good, RATE)
    whole = (tmp_path / "f good 120bpm.wav").read_bytes()
    (tmp_path / "a empty.wav").write_bytes(b"")
    (tmp_path / "b text.wav").write_text("not a sound")
    (tmp_path / "c cut.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(tmp_path / "d silent.wav", np.zeros(32_000, np.float32), RATE)
    soundfile.write(tmp_path / "e six.wav", np.zeros((8000, 6), np.float32) + 0.1, RATE)
    os.mkfifo(tmp_path / "e2 pipe.wav")
    (tmp_path / "e3 endless.wav").symlink_to("/dev/zero")
    (tmp_path / "notes.txt").write_text("no sound file at all")
    (tmp_path / ".hidden.wav").write_text("of a desktop")
    stem = load_stem(request(), {"folder": str(tmp_path)}, RATE)
    skipped = str(stem.provenance["skipped"]).splitlines()
    assert stem.provenance["file"] == "f good 120bpm.wav"
    assert [s.partition(":")[0].rpartition("/")[2][0] for s in skipped] == list("abcdeee")


def test_a_folder_without_a_usable_file_says_why(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="no sound file in it"):
        load_stem(request(), {"folder": str(tmp_path)}, RATE)
    (tmp_path / "x.wav").write_bytes(b"RIFF")
    with pytest.raises(AdapterError, match=r"none of its 1 files can be used; x\.wav"):
        load_stem(request(), {"folder": str(tmp_path)}, RATE)
    with pytest.raises(AdapterError, match="No such file"):
        load_stem(request(), {"folder": str(tmp_path / "gone")}, RATE)


@settings(max_examples=40, deadline=None, derandomize=True)
@for_all(
    cut=st.integers(0, 3000),
    noise=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8),
)
def test_any_broken_file_is_a_stem_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("broken")
    soundfile.write(folder / "x.wav", clicks(240.0, 1)[:1400], RATE)
    data = bytearray((folder / "x.wav").read_bytes()[:cut])
    for at, value in noise:
        if at < len(data):
            data[at] = value
    (folder / "x.wav").write_bytes(bytes(data))
    try:
        stem = load_stem(request(bars=1), {"folder": str(folder)}, RATE)
    except AdapterError:
        return
    assert stem.audio is not None
    assert np.isfinite(stem.audio).all()


# ---- through the pool, which a file may kill


@pytest.fixture
def driver() -> Iterator[Driver]:
    pool = Pool(SOUNDFONT, RATE, workers=1, warm=())
    yield Driver(pool)
    pool.close()


@pytest.mark.slow
def test_the_pool_loads_files_and_has_no_stand_in_for_them(driver: Driver, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x 120bpm.wav", clicks(120.0, 2), RATE)
    driver.pool.submit(FILES_MAKER, request(), 0, False, {"folder": str(tmp_path)})
    driver.until(lambda: len(driver.ends()) == 1)
    event = driver.ends()[-1]
    assert event.kind is EventKind.READY
    assert event.stem is not None
    kept = None if event.stem.audio is None else event.stem.audio.copy()
    (tmp_path / "x 120bpm.wav").write_bytes(b"changed while it plays")
    assert np.array_equal(event.stem.audio, kept)
    driver.pool.submit(FILES_MAKER, request(), 0, False, {"folder": str(tmp_path)})
    driver.until(lambda: len(driver.ends()) == 2)
    event = driver.ends()[-1]
    assert event.kind is EventKind.FAILED
    assert "none of its 1 files" in event.reason


# ---- in the book


def test_files_come_in_turn_and_a_side_car_says_how_they_are_played() -> None:
    patch = Patch(
        roles={
            "loops": Role(folder="/somewhere", ahead=3),
            "bass": Role(),
            "taken": Role(maker=CAPTURE_MAKER),
        },
        clock=Clock(bpm=120.0),
    )
    book, line = StemBook(patch, 16, 1 << 20), Timeline(0, 0.0, 120.0, 48000.0)
    for _ in range(3):
        book.fill(line, 0)
    assert [r.seed for e, r in book.requests if e.role == "loops"] == [0, 1, 2]
    assert not book.of("taken", StemState.REQUESTED)
    provenance = {"play": "fill", "choke": "kit", "skipped": "a.wav: silent\nb.wav: cut off"}
    for _ in range(2):
        entry = book.of("loops", StemState.REQUESTED)[0]
        event = {"job": entry.id, "event": "ready", "frames": 9, "loop": 9.0}
        book.pool_event({**event, "provenance": provenance}, 5)
        assert (entry.play, entry.turn, entry.choke) == (Play.FILL, Play.FILL, "kit")
    told = [n["reason"] for n in book.news if n["event"] == "stem_file"]
    assert told == ["a.wav: silent", "b.wav: cut off"]
    again = StemBook(patch, 16, 1 << 20)
    again.restore(book.to_dict())
    assert again.asked == {"loops": 2}

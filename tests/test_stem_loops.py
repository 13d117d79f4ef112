"""Risk: a rendered stem is not as long as its bars, clicks at the join, is too loud or silent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.stem import Stem, StemNote, StemRequest
from engine.stem_render import RenderError, frames_exact, render
from models.rules.adapter import RulesMaker

SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
RATE = 48000
PROGRAMS = {"drums": 0, "bass": 33, "chords": 4, "pads": 89, "melody": 73}


def rendered(role: str, bars: int, bpm: float, metre: int = 4, rate: int = RATE) -> Stem:
    request = StemRequest(1, role, bars, bpm, metre, seed=3)
    maker = RulesMaker()
    maker.load(None, rate, {"program": PROGRAMS[role], "drums": role == "drums"})
    notes = maker.generate(request, lambda _: None, lambda: False)
    return render(request, notes, SOUNDFONT, rate, PROGRAMS[role], role == "drums")


@pytest.mark.parametrize(
    ("bars", "bpm", "metre", "rate", "frames"),
    [
        (4, 124.0, 4, 48000, 371612.9032258065),
        (1, 77.7, 3, 48000, 111196.9111969112),
        (1, 133.3, 5, 44100, 99249.81245311328),
    ],
)
def test_length_is_exact(bars: int, bpm: float, metre: int, rate: int, frames: float) -> None:
    stem = rendered("melody", bars, bpm, metre, rate)
    assert stem.audio is not None
    assert stem.frames_exact == pytest.approx(frames, abs=1e-6)
    assert stem.audio.shape == (2, round(frames))
    assert stem.audio.dtype == np.float32


@pytest.mark.parametrize(
    ("role", "bars", "bpm", "metre"),
    [
        *((role, 1, 124.0, 4) for role in PROGRAMS),
        ("pads", 1, 400.0, 2),
        ("chords", 1, 77.7, 7),
    ],
)
def test_no_step_at_the_join(role: str, bars: int, bpm: float, metre: int) -> None:
    audio = rendered(role, bars, bpm, metre).audio
    assert audio is not None
    join = np.abs(audio[:, 0] - audio[:, -1]).max()
    around = np.concatenate((audio[:, -240:], audio[:, :240]), axis=1)
    steps = np.abs(np.diff(around, axis=1)).max(axis=0)
    neighbours = np.delete(steps, 239)
    assert join <= neighbours.max()


def test_a_tail_goes_on_over_the_join() -> None:
    """A note struck at the end is still heard at the start of the loop."""
    request = StemRequest(1, "melody", 1, 120.0)
    struck = [StemNote(3.5, 0.5, 72, 110), StemNote(2.0, 0.5, 60, 60)]
    audio = render(request, struck, SOUNDFONT, RATE, 11, False).audio
    assert audio is not None
    assert np.abs(audio[:, :4800]).max() > 0.1 * np.abs(audio).max()


def test_the_same_notes_render_to_the_same_bits() -> None:
    first, second = rendered("chords", 1, 124.0), rendered("chords", 1, 124.0)
    assert np.array_equal(first.audio, second.audio)


@pytest.mark.parametrize("role", list(PROGRAMS))
def test_level_and_peak(role: str) -> None:
    import pyloudnorm

    stem = rendered(role, 2, 124.0)
    assert stem.audio is not None
    measured = pyloudnorm.Meter(RATE).integrated_loudness(stem.audio.T)
    assert measured == pytest.approx(stem.loudness_lufs, abs=0.3)
    assert -24.0 < stem.loudness_lufs <= -17.99
    assert np.abs(stem.audio).max() < 10 ** (-1 / 20)


def test_silence_is_refused() -> None:
    with pytest.raises(RenderError, match="silent"):
        render(StemRequest(1, "bass", 1, 120.0), [], SOUNDFONT, RATE, 33, False)


@pytest.mark.parametrize("bpm", [0.0, float("nan"), float("inf"), 10_000.0, -5.0])
def test_impossible_tempos_are_refused(bpm: float) -> None:
    with pytest.raises(RenderError, match="tempo"):
        frames_exact(StemRequest(1, "bass", 1, bpm), RATE)


def test_a_stem_of_an_hour_is_refused() -> None:
    with pytest.raises(RenderError, match="long"):
        frames_exact(StemRequest(1, "bass", 64, 20.0, 16), RATE)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"MThd" + bytes(100), b"RIFF\x10\0\0\0sfbkLIST" + bytes(64)]
)
def test_what_is_no_soundfont_is_refused(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.sf2"
    bad.write_bytes(content)
    note = [StemNote(0.0, 1.0, 60, 100)]
    with pytest.raises(RenderError, match=r"bad\.sf2"):
        render(StemRequest(1, "bass", 1, 120.0), note, bad, RATE, 33, False)


def test_a_missing_soundfont_is_named(tmp_path: Path) -> None:
    note = [StemNote(0.0, 1.0, 60, 100)]
    with pytest.raises(RenderError, match=r"none\.sf2"):
        render(StemRequest(1, "bass", 1, 120.0), note, tmp_path / "none.sf2", RATE, 33, False)


def test_a_note_that_is_let_go_makes_no_step() -> None:
    notes = [StemNote(0.0, 0.55, 36, 110, 33), StemNote(1.0, 0.45, 43, 110, 33)]
    notes += [StemNote(2.0, 0.6, 40, 110, 33), StemNote(3.0, 0.5, 33, 110, 33)]
    request = StemRequest(1, "bass", 1, 110.0, 4)
    audio = render(request, notes, SOUNDFONT, RATE, 33, False).audio
    assert audio is not None
    bend = np.abs(np.diff(audio[0].astype(np.float64), 2))
    beat = 60.0 / 110.0 * RATE
    for note in notes:
        off = round((note.start + note.duration) * beat)
        held, released = bend[off - 4800 : off - 64].max(), bend[off - 8 : off + 1200].max()
        assert released < 6.0 * held  # ten times, where the gain stands still for 64 frames

"""Risk: the listener stamps beats wrongly, hears beats in silence, or breaks on bad audio."""

from pathlib import Path

import numpy as np
import pytest

from engine.adapter import AdapterError
from engine.clock import Clock
from engine.clock_state import ClockState
from engine.layout import OBSERVATION, ObservationKind
from engine.timeline import Timeline
from models.aubio.adapter import AubioListener

RATE = 48_000
RNG = np.random.default_rng(3)
HIT = (RNG.standard_normal(4_800) * np.exp(-np.arange(4_800) / 800.0) * 0.5).astype(np.float32)


def listener(rate: int = RATE) -> AubioListener:
    a = AubioListener()
    a.load(None, rate, {})
    return a


def hits(bpm: float, seconds: float, first: int = 12_345, rate: int = RATE) -> np.ndarray:
    audio = np.zeros(round(seconds * rate), np.float32)
    k = 0
    while (at := first + round(k * rate * 60 / bpm)) + len(HIT) < len(audio):
        audio[at : at + len(HIT)] += HIT
        k += 1
    return audio


def hear(a: AubioListener, audio: np.ndarray, start: int = 0) -> np.ndarray:
    audio = np.atleast_2d(audio)
    ends = range(0, audio.shape[1] - a.hop + 1, a.hop)
    return np.concatenate([a.observe(start + i, audio[:, i : i + a.hop]) for i in ends])


def of(kind: ObservationKind, found: np.ndarray) -> np.ndarray:
    return found[found["kind"] == kind]


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_beats_carry_the_frame_of_the_sound_at_any_rate(rate: int) -> None:
    start, first = 1_000_000_007, 12_345
    found = of(ObservationKind.BEAT, hear(listener(rate), hits(110, 25, first, rate), start))
    late = found[found["frame"] > start + 8 * rate]
    period = rate * 60 / 110
    off = (late["frame"] - start - first + period / 2) % period - period / 2
    assert len(late) >= 25
    assert abs(float(np.median(off))) < 0.010 * rate
    assert np.all(np.abs(off) < 0.035 * rate)
    assert float(np.median(late["x"])) == pytest.approx(110, rel=0.02)
    assert np.all((late["y"] > 0) & (late["y"] < 1))


def test_a_clock_locks_to_hits_through_the_listener() -> None:
    audio = hits(96, 30)
    a, clock = listener(), Clock(Timeline(0, 0.0, 104.0, RATE), follow=True)
    for i in range(0, len(audio) - a.hop, a.hop):
        for observation in a.observe(i, audio[None, i : i + a.hop]):
            clock.observe(observation)
        clock.advance(i + a.hop)
    assert clock.state is ClockState.LOCKED
    beat = clock.line.beat_at(12_345 + 44 * 30_000)
    assert abs(beat - round(beat)) * 0.625 < 0.025
    assert clock.line.bpm == pytest.approx(96, rel=0.02)


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_and_hiss_have_no_beats_onsets_or_pitch(level: float) -> None:
    hiss = (RNG.standard_normal(RATE * 10) * level).astype(np.float32)
    found = hear(listener(), hiss)
    assert set(found["kind"]) == {ObservationKind.LEVEL}
    assert np.all(np.isfinite(found["x"]))


def test_beats_end_two_seconds_after_the_music() -> None:
    audio = np.concatenate([hits(120, 15), np.zeros(RATE * 10, np.float32)])
    found = of(ObservationKind.BEAT, hear(listener(), audio))
    assert len(found) > 15
    assert found["frame"].max() < 17.6 * RATE


def test_a_jump_in_frames_starts_anew_and_stamps_by_the_new_frames() -> None:
    audio = hits(120, 10)
    a, fresh = listener(), listener()
    hear(a, audio)
    again = hear(a, audio, start=50_000_000)
    expected = hear(fresh, audio, start=50_000_000)
    assert np.array_equal(again, expected)
    assert of(ObservationKind.BEAT, again)["frame"].min() >= 50_000_000


def test_bad_samples_do_not_stop_the_beats() -> None:
    audio = hits(120, 20)
    audio[RATE * 9 : RATE * 9 + 50] = np.nan
    audio[RATE * 11] = np.inf
    audio[RATE * 12] = 1e30
    found = hear(listener(), audio)
    beats = of(ObservationKind.BEAT, found)
    assert np.count_nonzero(beats["frame"] > 13 * RATE) >= 10
    assert np.all(np.isfinite(found["x"]))
    assert np.all(np.isfinite(found["y"]))


def test_pitch_onset_and_level_belong_to_their_input() -> None:
    t = np.arange(RATE * 4) / RATE
    tone = (0.25 * np.sin(2 * np.pi * 220.0 * t)).astype(np.float32)
    tone[: 2 * RATE] = 0.0
    found = hear(listener(), np.stack([np.zeros_like(tone), tone]))
    pitch = of(ObservationKind.PITCH, found)
    onset = of(ObservationKind.ONSET, found)
    level = of(ObservationKind.LEVEL, found)
    assert set(pitch["input"]) == set(onset["input"]) == {1}
    assert abs(float(np.median(pitch["x"])) - 57.0) < 0.2  # A3
    assert abs(int(onset["frame"][0]) - 2 * RATE) < 0.030 * RATE
    assert level[level["input"] == 1]["x"][-1] == pytest.approx(-15.05, abs=0.1)
    assert np.all(level[level["input"] == 0]["x"] == -120.0)


def test_the_records_are_the_layouts_even_when_there_are_none() -> None:
    a = listener()
    found = a.observe(0, np.zeros((1, a.hop), np.float32))
    assert found.dtype == OBSERVATION
    with pytest.raises(ValueError, match=r"expected \(inputs, 512\)"):
        a.observe(0, np.zeros((1, 128), np.float32))


@pytest.mark.parametrize(
    ("checkpoint", "rate", "config", "says"),
    [
        (Path("x.pt"), RATE, {}, "has no weights"),
        (None, RATE, {"hop": 256}, "unknown key 'hop'"),
        (None, RATE, {"silence_db": "quiet"}, "expected a number"),
        (None, RATE, {"silence_db": float("nan")}, "expected a number from -90 to 0"),
        (None, 0, {}, "rate is 0"),
    ],
)
def test_a_wrong_configuration_is_refused(
    checkpoint: Path | None, rate: int, config: dict[str, object], says: str
) -> None:
    with pytest.raises(AdapterError, match=says):
        AubioListener().load(checkpoint, rate, config)

"""Risk: a figure that a check rests on is wrong."""

import json
import math

import numpy as np
import pytest

from engine import sound_check

RATE = 48_000
RNG = np.random.default_rng(5)


def sine(hz: float, amplitude: float, seconds: float = 4.0, phase: float = 0.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * t + phase)).astype(np.float32)


def test_a_997_hz_tone_reads_as_the_standard_says() -> None:
    full = sound_check.check(sine(997.0, 1.0), RATE)
    both = sound_check.check(np.stack([sine(997.0, 0.1)] * 2), RATE)
    assert full.lufs == pytest.approx(-3.01, abs=0.1)
    assert both.lufs == pytest.approx(-20.0, abs=0.1)
    assert full.seconds == 4.0


def test_the_true_peak_between_samples_is_found() -> None:
    tone = sine(12_000.0, 0.5, phase=math.pi / 4)  # samples at 0.354, the wave at 0.5
    tone[:200] *= np.linspace(0, 1, 200)
    tone[-200:] *= np.linspace(1, 0, 200)
    figures = sound_check.check(tone, RATE)
    assert figures.peak_db == pytest.approx(-9.03, abs=0.05)
    assert figures.true_peak_db == pytest.approx(-6.02, abs=0.3)


@pytest.mark.parametrize("frames", [0, 1, 100, 30_000])
def test_silence_and_scraps_have_no_loudness_and_no_share(frames: int) -> None:
    figures = sound_check.check(np.zeros((2, frames), np.float32), RATE)
    assert figures.lufs == -math.inf
    assert figures.audible == 0.0
    assert json.loads(json.dumps(figures.to_dict()))["lufs"] is None


def test_values_that_are_no_numbers_are_counted_and_left_out() -> None:
    tone = np.stack([sine(440.0, 0.1)] * 2)
    tone[0, 5_000:5_003] = np.nan
    tone[1, 9_000] = np.inf
    figures = sound_check.check(tone, RATE)
    assert figures.not_finite == 4
    assert figures.lufs == pytest.approx(-20.0, abs=1.0)


def test_the_share_of_time_two_buses_sound_together() -> None:
    one, other = sine(300.0, 0.1), sine(200.0, 0.1)
    one[: 2 * RATE] = 0.0
    other[3 * RATE :] = 1e-3 * other[3 * RATE :]  # there, but below -50 dBFS
    assert sound_check.audible_share([one, other], RATE, 2) == pytest.approx(0.25)
    assert sound_check.audible_share([one, other], RATE, 1) == pytest.approx(1.0)
    assert sound_check.audible_share([one], RATE) == pytest.approx(0.5)


def test_senseless_questions_are_refused() -> None:
    tone = sine(440.0, 0.5)
    with pytest.raises(ValueError, match="rate is 0"):
        sound_check.check(tone, 0)

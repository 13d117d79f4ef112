"""Risk: a figure of the sound check is wrong: a trim clips, a margin howls, a band tunes to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import soundcheck_levels, soundcheck_loop
from engine.soundcheck_loop import Way, delay, measure, ring_out, sweep
from engine.soundcheck_tuning import NoReference, reference
from engine.tuning import frequency
from models.aubio.tuning import pitches

RATE = 48_000
RNG = np.random.default_rng(3)


def sine(hz: float, peak_db: float, seconds: float = 2.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return (10 ** (peak_db / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


# ---- levels


@pytest.mark.parametrize(
    ("peak_db", "trim_db", "advice"),
    [
        (-20.0, 8.0, ""),
        (-12.0, 0.0, ""),
        (-3.0, -9.0, ""),
        (-40.0, 24.0, "turn the preamp up by 4 dB more"),
        (0.0, -12.0, "clipped before it got here"),
        (-70.0, None, "too quiet to judge"),
    ],
)
def test_a_trim_leaves_the_headroom_or_says_what_to_do(
    peak_db: float, trim_db: float | None, advice: str
) -> None:
    found = soundcheck_levels.trim(sine(997.0, peak_db), RATE)
    assert found.peak_db == pytest.approx(peak_db, abs=0.1)
    assert found.trim_db == (None if trim_db is None else pytest.approx(trim_db, abs=0.1))
    assert advice in found.advice
    assert bool(advice) == bool(found.advice)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-3, 3, width=32) | st.just(math.nan), min_size=0, max_size=300))
def test_whatever_was_recorded_the_trimmed_peak_is_within_the_headroom(values: list[float]) -> None:
    x = np.array(values, np.float32)
    found = soundcheck_levels.trim(x, RATE)
    if found.trim_db is not None:
        assert -24.0 <= found.trim_db <= 24.0
        peak = np.abs(np.nan_to_num(x)).max() * 10 ** (found.trim_db / 20)
        assert peak <= 10 ** (soundcheck_levels.TARGET_PEAK_DB / 20) * 1.001


def test_noise_and_hum_are_told_apart() -> None:
    white = RNG.normal(0.0, 10 ** (-70 / 20), 4 * RATE).astype(np.float32)
    found = soundcheck_levels.noise(white + np.float32(0.3), RATE)  # a constant is no noise
    assert found.rms_db == pytest.approx(-70.0, abs=0.2)
    assert found.hum_hz is None
    for mains in (50.0, 60.0):
        hum = sum(sine(mains * k, -55.0 - 6 * k, 4.0) for k in (1, 2, 3, 5))
        assert soundcheck_levels.noise(white + hum, RATE).hum_hz == mains
    assert soundcheck_levels.noise(np.zeros(10, np.float32), RATE).hum_hz is None


# ---- loops


def room(late: int, gain: float, seconds: float = 0.4) -> np.ndarray:
    """A direct sound and a decaying tail: the response of loudspeaker, air, microphone."""
    n = round(seconds * RATE)
    tail = RNG.normal(0.0, 1.0, n) * 10.0 ** (-3.0 * np.arange(n) / n) * 0.05
    tail[0] = 1.0
    return np.concatenate([np.zeros(late), gain * tail])


def through(response: np.ndarray, level_db: float, noise: float) -> Way:
    played = sweep(RATE, level_db)
    frames = len(played) + round(soundcheck_loop.TAIL_S * RATE)
    size = 1 << (frames + len(response)).bit_length()
    heard = np.fft.irfft(np.fft.rfft(played, size) * np.fft.rfft(response, size), size)[:frames]
    heard += RNG.normal(0.0, noise, frames)
    quiet = RNG.normal(0.0, noise, frames)
    return measure(played, heard.astype(np.float32), quiet.astype(np.float32), RATE)


@pytest.mark.parametrize("late", [64, 333, 20_001])
def test_a_delay_is_found_to_the_frame_through_a_room_and_noise(late: int) -> None:
    found = delay(through(room(late, 0.1), -40.0, 1e-4))
    assert found == pytest.approx(late, abs=0.1)


def test_where_nothing_comes_back_there_is_no_delay() -> None:
    assert delay(through(np.zeros(10), -40.0, 1e-3)) is None
    assert delay(Way(RATE, np.zeros(100), np.zeros(100))) is None


def howls(response: np.ndarray, gain: float, late: int, seconds: float = 6.0) -> bool:
    """Close the loop: what comes out of the room goes back into it, louder by `gain`."""
    blocks = round(seconds * RATE / late)
    size = 1 << (late + len(response)).bit_length()
    spectrum = np.fft.rfft(response, size)
    room_sound = np.zeros((blocks + 2) * late + size)
    room_sound[0] = 1.0  # somebody claps
    for b in range(blocks):
        out = gain * room_sound[b * late : (b + 1) * late]
        answer = np.fft.irfft(np.fft.rfft(out, size) * spectrum, size)
        room_sound[b * late : b * late + size] += answer
    early, end = room_sound[2 * RATE : 3 * RATE], room_sound[5 * RATE : 6 * RATE]
    return bool(np.std(end) > np.std(early))


def test_the_margin_is_where_the_loop_begins_to_howl() -> None:
    late = 960  # 20 ms of converters, blocks and air
    response = room(late, 0.08)
    found = ring_out(through(response, -40.0, 1e-5), 0.0)
    assert found.heard
    assert not howls(response, 10 ** ((found.margin_db - 0.5) / 20), late)
    assert howls(response, 10 ** ((found.margin_db + 1.0) / 20), late)
    # a fader that is 6 dB up takes 6 dB of it
    louder = ring_out(through(response, -40.0, 1e-5), 6.0)
    assert louder.margin_db == pytest.approx(found.margin_db - 6.0, abs=0.3)


def test_a_resonance_is_named_by_its_band() -> None:
    t = np.arange(RATE // 2) / RATE
    ring = 0.01 * np.exp(-t / 0.05) * np.sin(2 * np.pi * 2500.0 * t)
    response = np.concatenate([np.zeros(500), ring])
    response[500] += 0.05
    found = ring_out(through(response, -40.0, 1e-6), 0.0)
    assert found.worst_hz == pytest.approx(2520.0, rel=0.01)
    size = 1 << 18
    hz = np.fft.rfftfreq(size, 1 / RATE)
    wanted = np.abs(np.fft.rfft(response, size))[(hz > 100) & (hz < 15_000)].max()
    assert found.margin_db == pytest.approx(-20 * np.log10(wanted), abs=0.3)


def test_what_drowns_in_noise_is_no_figure_but_a_bound() -> None:
    found = ring_out(through(room(960, 1e-6), -40.0, 1e-3), 0.0)
    assert not found.heard
    assert not any(b.heard for b in found.bands)
    assert found.margin_db < 120.0  # what the noise lets one say, not what silence would


def test_distortion_of_a_loudspeaker_does_not_pass_for_the_room() -> None:
    played = sweep(RATE, -20.0)
    frames = len(played) + round(soundcheck_loop.TAIL_S * RATE)
    clean = np.zeros(frames)
    clean[960 : 960 + len(played)] = 0.1 * played
    bent = clean + 3.0 * clean**2 + 10.0 * clean**3
    quiet = np.zeros(frames, np.float32)
    straight = ring_out(measure(played, clean.astype(np.float32), quiet, RATE), 0.0)
    curved = ring_out(measure(played, bent.astype(np.float32), quiet, RATE), 0.0)
    assert curved.margin_db == pytest.approx(straight.margin_db, abs=0.5)


# ---- tuning


def brass(hz: float, seconds: float = 3.0, vibrato_cents: float = 0.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    bend = vibrato_cents / 1200.0 * np.log(2.0) / (2 * np.pi * 5.0)
    phase = 2 * np.pi * hz * (t - bend * np.cos(2 * np.pi * 5.0 * t))
    x = sum(np.sin(k * phase) / k for k in range(1, 9))
    return np.asarray(0.1 * x + RNG.normal(0, 1e-3, len(t)), np.float32)


@pytest.mark.parametrize("tuning_hz", [415.3, 432.0, 440.0, 442.7, 466.2])
@pytest.mark.parametrize(("key", "octave"), [(69, -1), (69, 0), (70, -2), (62, 1)])
def test_the_reference_is_taken_within_a_cent(tuning_hz: float, key: int, octave: int) -> None:
    heard = brass(frequency(key, tuning_hz) * 2.0**octave)
    found = reference(*pitches(heard, RATE), key=key)
    assert 1200 * np.log2(found.tuning_hz / tuning_hz) == pytest.approx(0.0, abs=1.0)
    assert found.seconds > 2.0
    assert found.spread_cents < 1.0


@pytest.mark.parametrize(
    ("heard", "why"),
    [
        (np.zeros(3 * RATE, np.float32), "clear pitch"),
        (RNG.normal(0, 0.1, 3 * RATE).astype(np.float32), "clear pitch"),
        (brass(440.0, 0.5), "clear pitch"),
        (brass(440.0, vibrato_cents=40.0), "without vibrato"),
        (brass(frequency(66)), "from the one asked for"),
        (np.concatenate([brass(440.0, 1.5), brass(466.2, 1.5)]), "without vibrato"),
        (np.full(3 * RATE, np.nan, np.float32), "clear pitch"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_reason(heard: np.ndarray, why: str) -> None:
    with pytest.raises(NoReference, match=why):
        reference(*pitches(heard, RATE))


def test_a_gentle_vibrato_is_a_reference_still() -> None:
    found = reference(*pitches(brass(441.0, vibrato_cents=8.0), RATE))
    assert found.tuning_hz == pytest.approx(441.0, abs=0.3)

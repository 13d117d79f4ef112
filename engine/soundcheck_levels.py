"""Trims and noise from what was recorded: figures and what to do about them. Pure.

Audio is float32 (frames,) of one input before its trim, full scale 1.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.sound_check import decibels, integrated_lufs, true_peak_db

TARGET_PEAK_DB = -12.0  # dBTP after the trim: the headroom for the moment that nobody rehearsed
TRIM_MIN_DB, TRIM_MAX_DB = -24.0, 24.0
CLIPPED_DB = -0.1  # samples at or above have been cut off before they got here
CLIPPED_SAMPLES = 3
QUIET_PEAK_DB = -50.0  # below it there was no playing, or a cable is missing
NOISY_DB = -60.0  # dBFS RMS after the trim: an audience hears it between the songs
HUM_HZ = (50.0, 60.0)
HUM_PARTIALS = 8
HUM_WIDTH_HZ = 1.5
HUM_SHARE = 0.5  # of the noise's power


@dataclass(frozen=True)
class Trim:
    """trim_db: None where nothing can be told. peak_db (dBTP), lufs: as measured, before it.
    advice: what to do, '' if nothing."""

    trim_db: float | None
    peak_db: float
    lufs: float
    advice: str = ""


@dataclass(frozen=True)
class Noise:
    """rms_db: dBFS. hum_hz: 50 or 60 where mains hum is most of it, else None."""

    rms_db: float
    hum_hz: float | None


def trim(audio: np.ndarray, rate: int) -> Trim:
    """The trim that brings the loudest moment to TARGET_PEAK_DB, within TRIM_MIN..MAX."""
    x = np.nan_to_num(audio, nan=0.0, posinf=0.0, neginf=0.0)
    peak, lufs = true_peak_db(x), integrated_lufs(x, rate)
    if peak < QUIET_PEAK_DB:
        return Trim(None, peak, lufs, "too quiet to judge: play louder, or turn the preamp up")
    wanted = TARGET_PEAK_DB - peak
    given = min(TRIM_MAX_DB, max(TRIM_MIN_DB, wanted))
    if np.count_nonzero(np.abs(x) >= 10.0 ** (CLIPPED_DB / 20.0)) >= CLIPPED_SAMPLES:
        advice = "clipped before it got here, which no trim mends: turn the preamp down, again"
        return Trim(given, peak, lufs, advice)
    if wanted > TRIM_MAX_DB:
        return Trim(given, peak, lufs, f"turn the preamp up by {wanted - given:.0f} dB more")
    return Trim(given, peak, lufs)


def noise(audio: np.ndarray, rate: int) -> Noise:
    """The noise of an input that nobody plays. A constant voltage does not count."""
    x = np.nan_to_num(audio.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    x = x - (x.mean() if len(x) else 0.0)
    power = float(np.mean(x**2)) if len(x) else 0.0
    rms_db = decibels(math.sqrt(power))
    if len(x) < rate or power == 0.0:
        return Noise(rms_db, None)
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    hz = np.fft.rfftfreq(len(x), 1.0 / rate)
    shares = {}
    for mains in HUM_HZ:
        near = np.zeros(len(hz), bool)
        for k in range(1, HUM_PARTIALS + 1):
            near |= np.abs(hz - k * mains) < HUM_WIDTH_HZ
        shares[mains] = float(spectrum[near].sum() / spectrum.sum())
    mains, share = max(shares.items(), key=lambda item: item[1])
    return Noise(rms_db, mains if share > HUM_SHARE else None)

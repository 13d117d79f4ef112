"""What a recording measures: loudness, peak, how much of it is audible, how far two null.

float32 audio, (channels, frames) or (frames,). Pure; not real-time safe. Clicks are judged by
engine/gig/judge.py, from independent captures.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

AUDIBLE_DB = -50.0  # dBFS RMS
WINDOW_S = 0.1
BLOCK_S = 0.4  # of the loudness meter; anything shorter has no loudness
OVERSAMPLE = 4
SINC_HALF = 16  # taps on either side of a sample between samples
FLOOR_DB = -200.0  # what silence reads


@dataclass(frozen=True)
class SoundCheck:
    """seconds; lufs: integrated (-inf: silence or under 0.4 s); true_peak_db: dBTP, 4 times
    oversampled; peak_db: of samples, dBFS; audible: share of 100 ms windows above -50 dBFS;
    not_finite: samples that are NaN or infinite (counted as silence elsewhere)."""

    seconds: float
    lufs: float
    true_peak_db: float
    peak_db: float
    audible: float
    not_finite: int

    def to_dict(self) -> dict[str, float | int | None]:
        """For JSON, which knows no infinity: None."""
        return {k: v if math.isfinite(v) else None for k, v in asdict(self).items()}


def check(audio: np.ndarray, rate: int) -> SoundCheck:
    """Measure. ValueError for another shape or rate."""
    x = _planar(audio, rate)
    bad = int(np.count_nonzero(~np.isfinite(x)))
    if bad:
        x = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
    return SoundCheck(
        seconds=x.shape[1] / rate,
        lufs=integrated_lufs(x, rate),
        true_peak_db=true_peak_db(x),
        peak_db=decibels(float(np.abs(x).max(initial=0.0))),
        audible=audible_share([x], rate, 1),
        not_finite=bad,
    )


def integrated_lufs(audio: np.ndarray, rate: int) -> float:
    """ITU-R BS.1770 loudness (pyloudnorm), -inf where there is none to measure."""
    import pyloudnorm

    x = _planar(audio, rate)
    if x.shape[1] <= BLOCK_S * rate or not x.any():
        return -math.inf
    # Straight from the meter: its gates take the logarithm of silent blocks, which is no fault.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(pyloudnorm.Meter(rate).integrated_loudness(x.T.astype(np.float64)))


def true_peak_db(audio: np.ndarray) -> float:
    """dBTP: peak after 4 times oversampling with a windowed sinc (as BS.1770 annex 2 does)."""
    x = np.atleast_2d(audio)
    peak = float(np.abs(x).max(initial=0.0))
    at = np.arange(-SINC_HALF, SINC_HALF)
    for phase in range(1, OVERSAMPLE):
        place = at + phase / OVERSAMPLE
        taps = (np.sinc(place) * np.cos(np.pi * place / (2 * SINC_HALF)) ** 2).astype(np.float32)
        for channel in x:
            if len(channel):
                peak = max(peak, float(np.abs(np.convolve(channel, taps, "same")).max()))
    return decibels(peak)


def windows_db(audio: np.ndarray, rate: int, window_s: float = WINDOW_S) -> np.ndarray:
    """dBFS RMS over all channels of each whole window: float64 (windows,)."""
    x = _planar(audio, rate)
    size = max(1, round(window_s * rate))
    count = x.shape[1] // size
    blocks = x[:, : count * size].astype(np.float64).reshape(len(x), count, size)
    power = np.mean(blocks**2, axis=(0, 2)) if count else np.zeros(0)
    return np.asarray(10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DB / 10.0))))


def audible_share(buses: list[np.ndarray], rate: int, at_least: int = 1) -> float:
    """Share of 100 ms windows in which at least so many of the buses (of one length) sound above
    -50 dBFS RMS; 0 where there is no whole window."""
    heard = sum((windows_db(bus, rate) > AUDIBLE_DB).astype(int) for bus in buses)
    return float(np.mean(heard >= at_least)) if np.size(heard) else 0.0


def decibels(linear: float) -> float:
    """20 log10, not below FLOOR_DB."""
    return 20.0 * math.log10(max(linear, 10.0 ** (FLOOR_DB / 20.0)))


def _planar(audio: np.ndarray, rate: int) -> np.ndarray:
    x = np.atleast_2d(audio)
    if x.ndim != 2 or len(x) > 64:
        raise ValueError(f"audio is {audio.shape}, expected (channels, frames)")
    if not 8_000 <= rate <= 400_000:
        raise ValueError(f"rate is {rate}, expected 8000 to 400000 frames a second")
    return x

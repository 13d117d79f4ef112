"""From an output back to an input: how late, and how far from feedback. Pure.

An exponential sweep is played, quietly; what comes back divided by it is the response of the way
(A. Farina, "Simultaneous measurement of impulse response and distortion with a swept-sine
technique", AES 108, 2000: harmonics of a loudspeaker that distorts come out before the response and
are cut off). A loop howls at a frequency where its gain reaches 1 and its phase a whole turn
(Nyquist; T. van Waterschoot and M. Moonen, "Fifty years of acoustic feedback control", Proc. IEEE
99, 2011). With tens of milliseconds on the way such a frequency lies within a few Hz of every
other, so the largest gain alone tells the margin, at worst a little too carefully.

Gains are linear unless a name ends in _db; audio is float32 (frames,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.sound_check import decibels

LOW_HZ, HIGH_HZ = 60.0, 16_000.0  # what is judged; the sweep begins and ends half a third outside
OUTSIDE = 2.0 ** (1 / 6)
SWEEP_S = 3.0
TAIL_S = 1.5  # of a hall; the response is cut there
LEVEL_DB = -40.0  # dBFS, peak
FADE_S = 0.02
BEFORE_S = 0.1  # kept ahead of the moment of playing: the edges of the band ring on both sides
FRAME_S, ABOVE, ALONE = 0.01, 2.0, 5  # where a response ends: so many frames of noise in a row
LEAST_S = 0.15  # kept after that
CLEAR_DB = 20.0  # a delay is sure when its peak stands so far above the rest of the response
HEARD_DB = 10.0  # a band counts where the sweep came back so far above the noise
BANDS_HZ = tuple(1000.0 * 2.0 ** (k / 3.0) for k in range(-12, 13))  # thirds, 62 Hz to 16 kHz


def _high(rate: int) -> float:
    """The upper end of the band that is judged."""
    return min(HIGH_HZ, 0.4 * rate)


def sweep(rate: int, level_db: float = LEVEL_DB, seconds: float = SWEEP_S) -> np.ndarray:
    """Exponential sweep over the band that is judged, faded in and out beside it."""
    n = round(seconds * rate)
    low, high = LOW_HZ / OUTSIDE, _high(rate) * OUTSIDE
    t = np.arange(n) / rate
    turns = math.log(high / low) / seconds
    x = np.sin(2.0 * np.pi * low / turns * np.expm1(t * turns))
    edge = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / (FADE_S * rate))
    return (10.0 ** (level_db / 20.0) * x * np.sin(0.5 * np.pi * edge) ** 2).astype(np.float32)


@dataclass(frozen=True)
class Way:
    """The response of a way from output to input, as measured with a sweep: float64 (frames,) from
    `before` frames ahead of the moment of playing on; noise: what the same division makes of the
    noise alone."""

    rate: int
    response: np.ndarray
    noise: np.ndarray
    before: int = 0


def measure(played: np.ndarray, heard: np.ndarray, quiet: np.ndarray, rate: int) -> Way:
    """played: the sweep. heard: as long or longer, recorded from the sweep's first frame on, with
    the tail. quiet: a recording of as many frames with nothing played."""
    size = 1 << (len(heard) + len(played)).bit_length()
    x = np.fft.rfft(played.astype(np.float64), size)
    hz = np.fft.rfftfreq(size, 1.0 / rate)
    power = np.abs(x) ** 2
    high = _high(rate)
    inside = (hz >= LOW_HZ) & (hz <= high)
    # Divided where the sweep is, faded out beside it: outside there is nothing to divide by.
    inverse = np.conj(x) / np.maximum(power, 0.25 * power[inside].min())
    for edge, end in ((LOW_HZ, 0.5 * LOW_HZ), (high, high * OUTSIDE)):
        inverse *= np.sin(0.5 * np.pi * np.clip((hz - end) / (edge - end), 0.0, 1.0)) ** 2
    before, after = round(BEFORE_S * rate), round(TAIL_S * rate)

    def divided(y: np.ndarray) -> np.ndarray:
        y = np.nan_to_num(y.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        whole = np.fft.irfft(np.fft.rfft(y, size) * inverse, size)
        return np.concatenate([whole[-before:], whole[:after]])

    return Way(rate, divided(heard), divided(quiet), before)


def delay(way: Way) -> float | None:
    """Frames from playing to hearing, to a fraction; None where no peak stands out."""
    power = way.response**2
    at = int(np.argmax(power)) if len(power) else 0
    around = round(0.002 * way.rate)
    rest = np.concatenate([power[: max(0, at - around)], power[at + around :]])
    floor = math.sqrt(float(rest.mean())) if len(rest) else 0.0
    if not 0 < at < len(power) - 1:
        return None
    a, b, c = (abs(float(way.response[at + k])) for k in (-1, 0, 1))
    if b == 0.0 or decibels(b) - decibels(floor) < CLEAR_DB:
        return None
    return at - way.before + 0.5 * (a - c) / (a - 2.0 * b + c)


@dataclass(frozen=True)
class Band:
    """The largest gain within a third of an octave around hz, dB. heard: the sweep came back clear
    of the noise; where it did not, the gain is at most this."""

    hz: float
    gain_db: float
    heard: bool


@dataclass(frozen=True)
class RingOut:
    """margin_db: how far everything may still be raised before it howls, at worst_hz; negative: it
    howls already. heard: False where the loop is so weak that only `at least` can be said."""

    margin_db: float
    worst_hz: float
    heard: bool
    bands: tuple[Band, ...]


def _window(way: Way) -> np.ndarray:
    """1 while the response stands above the noise, and LEAST_S more; faded at both ends. What
    follows is noise alone, and would pass for gain."""
    size = round(FRAME_S * way.rate)
    frames = len(way.response) // size
    energy = np.add.reduceat(way.response**2, np.arange(frames) * size)
    floor = float(np.mean(way.noise**2)) * size
    peak = int(np.argmax(energy))
    over = energy[peak:] > ABOVE * floor
    alone = np.flatnonzero(np.convolve(over, np.ones(ALONE), "valid") == 0)
    last = (peak + (int(alone[0]) if len(alone) else len(over))) * size
    end = min(len(way.response), last + round(LEAST_S * way.rate))
    fade = (end - way.before) // 3
    window = np.zeros(len(way.response))
    window[:end] = 1.0
    window[end - fade : end] = 0.5 + 0.5 * np.cos(np.pi * np.arange(fade) / fade)
    window[: way.before] = np.sin(0.5 * np.pi * np.arange(way.before) / max(1, way.before)) ** 2
    return window


def ring_out(way: Way, gain_db: float) -> RingOut:
    """The loop through segue. gain_db: of the dry way from this input to that output (trim and
    send); what strips and effects add is not in it."""
    window = _window(way)
    size = 1 << (2 * len(window)).bit_length()
    hz = np.fft.rfftfreq(size, 1.0 / way.rate)
    gains = np.abs(np.fft.rfft(way.response * window, size))
    noise = np.abs(np.fft.rfft(way.noise * window, size))
    bands = []
    for centre in BANDS_HZ:
        inside = (hz >= centre * 2.0 ** (-1 / 6)) & (hz < centre * 2.0 ** (1 / 6))
        inside &= (hz >= LOW_HZ) & (hz <= _high(way.rate))
        if inside.any():
            gain, floor = float(gains[inside].max()), float(noise[inside].max())
            heard = decibels(gain) - decibels(floor) >= HEARD_DB
            bands.append(Band(centre, decibels(gain) + gain_db, heard))
    sure = [b for b in bands if b.heard]
    worst = max(sure or bands, key=lambda b: b.gain_db)
    return RingOut(-worst.gain_db, worst.hz, worst.heard, tuple(bands))

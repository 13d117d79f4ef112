"""What an input strip's settings mean: the numbers that the kernel's (engine/strip.c) runs on.

In this order: high-pass (12 dB an octave, Butterworth), gate, low shelf, peak, high shelf,
compressor. Filters are those of R. Bristow-Johnson's "Audio EQ Cookbook". The gate opens within a
millisecond or two at its threshold, stays open for GATE_HOLD_S after the sound was last above 3 dB
below it, and closes fully. The compressor is the feed-forward one of Giannoulis, Massberg and Reiss
(J. Audio Eng. Soc. 60(6), 2012). Ballistics are time constants: 63 % of the way.

A stage that is left out, and a strip without stages, change no bit of the sound. Filters that
change go over in RAMP_S; gate and compressor follow by their own ballistics.

These strips were pedalboard's until each cost 14 us of a 2667 us block in a hot loop, three times
that in the audio process, and blocks of fewer than 64 frames gave other samples; here a strip costs
3 us and any block size gives the same.

Real-time safe in the engine's sense: bounded work, nothing that lasts is allocated.
"""

from __future__ import annotations

import math

import numpy as np

from engine.patch import Ducking, Strip

HIGHPASS_Q = math.sqrt(0.5)
EQ_Q = 0.7
LOW_HZ, MID_HZ, HIGH_HZ = 200.0, 1000.0, 5000.0
HIGHEST = 0.45  # of the rate: where a filter would lie above, it is put here
DUCK_HOLD_S = 0.1
GATE_ATTACK_S, GATE_HOLD_S, GATE_RELEASE_S = 0.001, 0.03, 0.1
RATIO, KNEE_DB, ATTACK_S, RELEASE_S = 3.0, 6.0, 0.005, 0.12
RAMP_S = 0.02

# What a hand may change while it plays, and within what: as the patch may (engine/patch_fields.py).
SETTINGS = {
    "highpass_hz": (10.0, 2000.0),
    "gate_db": (-100.0, 0.0),
    "low_db": (-24.0, 24.0),
    "mid_db": (-24.0, 24.0),
    "high_db": (-24.0, 24.0),
    "compressor_db": (-60.0, 0.0),
}

# The value that sounds like a stage left out, where that is not 0.
WITHOUT = {"highpass_hz": 10.0, "gate_db": -100.0}

Coefficients = tuple[float, float, float, float, float]  # b0 b1 b2 a1 a2, for a0 = 1
THROUGH: Coefficients = (1.0, 0.0, 0.0, 0.0, 0.0)


def _angle(hertz: float, q: float, rate: float) -> tuple[float, float]:
    """cos(w0) and alpha of the cookbook."""
    w0 = 2.0 * math.pi * min(hertz, HIGHEST * rate) / rate
    return math.cos(w0), math.sin(w0) / (2.0 * q)


def _over(a0: float, *rest: float) -> Coefficients:
    b0, b1, b2, a1, a2 = (x / a0 for x in rest)
    return b0, b1, b2, a1, a2


def high_pass(hertz: float, q: float, rate: float) -> Coefficients:
    c, alpha = _angle(hertz, q, rate)
    edge = (1.0 + c) / 2.0
    return _over(1.0 + alpha, edge, -2.0 * edge, edge, -2.0 * c, 1.0 - alpha)


def peak(hertz: float, db: float, q: float, rate: float) -> Coefficients:
    c, alpha = _angle(hertz, q, rate)
    a = 10.0 ** (db / 40.0)
    return _over(
        1.0 + alpha / a, 1.0 + alpha * a, -2.0 * c, 1.0 - alpha * a, -2.0 * c, 1.0 - alpha / a
    )


def shelf(hertz: float, db: float, q: float, rate: float, high: bool) -> Coefficients:
    """Low shelf, or high shelf: the same with cos(w0) and the odd coefficients turned round."""
    c, alpha = _angle(hertz, q, rate)
    turn = -1.0 if high else 1.0
    c *= turn
    a = 10.0 ** (db / 40.0)
    root = 2.0 * math.sqrt(a) * alpha
    return _over(
        (a + 1.0) + (a - 1.0) * c + root,
        a * ((a + 1.0) - (a - 1.0) * c + root),
        turn * 2.0 * a * ((a - 1.0) - (a + 1.0) * c),
        a * ((a + 1.0) - (a - 1.0) * c - root),
        turn * -2.0 * ((a - 1.0) + (a + 1.0) * c),
        (a + 1.0) + (a - 1.0) * c - root,
    )


def filters_of(strip: Strip, rate: float) -> list[Coefficients]:
    """The kernel's four, in its order."""
    low, mid, high = strip.low_db, strip.mid_db, strip.high_db
    return [
        high_pass(strip.highpass_hz, HIGHPASS_Q, rate) if strip.highpass_hz else THROUGH,
        shelf(LOW_HZ, low, EQ_Q, rate, high=False) if low else THROUGH,
        peak(MID_HZ, mid, EQ_Q, rate) if mid else THROUGH,
        shelf(HIGH_HZ, high, EQ_Q, rate, high=True) if high else THROUGH,
    ]


def step(seconds: float, rate: float) -> float:
    """The part of the way that a one-pole with this time constant goes in a frame."""
    return 1.0 - math.exp(-1.0 / (seconds * rate))


def set_strip(cell: np.void, strip: Strip, rate: float, t: int = 0) -> None:
    """Let a record (engine/state.py STRIP) go over to these settings from frame t on."""
    part = (t - int(cell["f0"])) / max(1, int(cell["f1"]) - int(cell["f0"]))
    cell["from"] += min(max(part, 0.0), 1.0) * (cell["to"] - cell["from"])
    cell["to"] = filters_of(strip, rate)
    cell["f0"], cell["f1"] = t, t + round(RAMP_S * rate)
    cell["gate"] = 0.0 if strip.gate_db is None else 10.0 ** (strip.gate_db / 20.0)
    if strip.compressor_db is not None:
        cell["threshold"] = strip.compressor_db
    cell["slope"] = 0.0 if strip.compressor_db is None else 1.0 - 1.0 / RATIO


def begin_strip(cell: np.void, strip: Strip, rate: float) -> None:
    """A record as a performance starts with it: no way to go, nothing heard yet, gate closed."""
    cell["knee"] = KNEE_DB
    cell["attack"], cell["release"] = step(ATTACK_S, rate), step(RELEASE_S, rate)
    cell["gate_attack"], cell["gate_release"] = (
        step(GATE_ATTACK_S, rate),
        step(GATE_RELEASE_S, rate),
    )
    cell["gate_hold"] = round(GATE_HOLD_S * rate)
    cell["from"] = cell["to"] = filters_of(strip, rate)
    set_strip(cell, strip, rate)
    cell["f1"] = cell["f0"]
    cell["gate_gain"] = 1.0 if strip.gate_db is None else 0.0


def values_of(strip: Strip) -> list[float]:
    """Its settings in the order of SETTINGS; NaN where a stage is off."""
    given = [getattr(strip, name) for name in SETTINGS]
    return [math.nan if value is None else float(value) for value in given]


def strip_of(values: np.ndarray) -> Strip:
    """values_of backwards."""
    known = zip(SETTINGS, values.tolist(), strict=True)
    return Strip(**{name: None if math.isnan(value) else value for name, value in known})


def fits(setting: int, value: float) -> bool:
    """Whether a value may be set; NaN takes the stage out."""
    low, high = list(SETTINGS.values())[setting]
    return math.isnan(value) or low <= value <= high


def begin_duck(cell: np.void, ducking: Ducking, rate: float) -> None:
    """A record (engine/state.py DUCK) as a performance starts with it."""
    cell["open"] = 10.0 ** (ducking.threshold_db / 20.0)
    cell["depth"] = 10.0 ** (-ducking.depth_db / 20.0)
    cell["attack"] = step(ducking.attack_ms / 1000.0, rate)
    cell["release"] = step(ducking.release_ms / 1000.0, rate)
    cell["hold"], cell["gain"] = round(DUCK_HOLD_S * rate), 1.0

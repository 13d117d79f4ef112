"""Calibrating an oscillator: a sweep of voltages is measured through an input and turned round.

First coarse steps over the whole range find how the oscillator tracks; then each note is sought
with the voltage that all measurements so far say, and corrected until it is within GOOD_CENTS.
Pure but for `listen`, which plays a voltage and records. Not real-time safe.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.calibration import CalibrationError
from engine.tuning import A4_HZ, A4_KEY

STEP_VOLTS = 0.5
BEYOND_VOLTS = 0.5  # the sweep goes so far beyond the nominal voltages of its notes
GOOD_CENTS = 0.2
USABLE_CENTS = 1.0  # a note that stays worse than this is left out
TRIES = 6
QUIET = 1e-3  # RMS of full scale: -60 dBFS
CLEAR = 0.8  # of the autocorrelation: below, it is no steady tone
AGREE_CENTS = 3.0  # two halves of a recording
HOPS_S = (0.01, 0.04, 0.1)
FINE = 4

Listen = Callable[[float], np.ndarray]  # volts -> what the oscillator then sounds, float32 (n,)


@dataclass(frozen=True)
class Calibrated:
    """table: (MIDI note, volts). worst_cents: of its notes, as last measured. tracking: volts an
    octave as measured, 1 for a perfect oscillator. left_out: notes that could not be reached."""

    table: tuple[tuple[float, float], ...]
    worst_cents: float
    tracking: float
    left_out: tuple[int, ...]


def note_of(hz: float) -> float:
    """Fractional MIDI note of a frequency, A4 at 440 Hz: another tuning moves the notes, later."""
    return A4_KEY + 12.0 * math.log2(hz / A4_HZ)


def frequency(x: np.ndarray, rate: float) -> float | None:
    """Hz of a steady periodic tone, float (n,), at least 4 periods; None for anything else.

    The period by the normalised square difference (McLeod and Wyvill, "A smarter way to find
    pitch", 2005), then the fundamental's phase advance over growing distances."""
    x = np.asarray(x, np.float64) - np.mean(x)
    if not np.isfinite(x).all() or math.sqrt(float(np.mean(x * x))) < QUIET:
        return None
    period = _period(x)
    if period is None:
        return None
    hz = _by_phase(x, rate, rate / period, HOPS_S)
    first, second = (_by_phase(half, rate, hz, HOPS_S[:2]) for half in np.array_split(x, 2))
    if min(first, second) <= 0 or abs(1200 * math.log2(first / second)) > AGREE_CENTS:
        return None
    return hz


def _period(x: np.ndarray) -> float | None:
    """Frames, by the first high maximum of the normalised square difference."""
    n = len(x)
    spectrum = np.fft.rfft(x, 2 * n)
    most = n // 2
    fine = FINE * most  # high notes last few frames: the lags between them count
    r = FINE * np.fft.irfft(spectrum * np.conj(spectrum), FINE * 2 * n)[:fine]
    energy = np.cumsum(x * x)
    m = energy[-1] + energy[-1] - np.concatenate([[0.0], energy[: most - 1]])
    m -= energy[-1] - energy[n - 1 - np.arange(most)]
    d = 2 * r / np.maximum(np.repeat(m, FINE), 1e-12)
    below = np.flatnonzero(d < 0)
    if not len(below):
        return None
    peaks = 1 + np.flatnonzero((d[1:-1] > d[:-2]) & (d[1:-1] >= d[2:]))
    peaks = peaks[peaks > below[0]]
    if not len(peaks) or d[peaks].max() < CLEAR:
        return None
    at = int(peaks[d[peaks] >= 0.93 * d[peaks].max()][0])
    a, b, c = d[at - 1 : at + 2]
    return (at + 0.5 * (a - c) / (a - 2 * b + c)) / FINE


def _by_phase(x: np.ndarray, rate: float, hz: float, hops_s: Sequence[float]) -> float:
    """hz, corrected by how far the fundamental's phase moves in each of `hops_s` seconds; each must
    be known to half a turn from the one before."""
    for hop_s in hops_s:
        hop = min(round(hop_s * rate), len(x) // 2)
        n = len(x) - hop
        tone = np.hanning(n + 2)[1:-1] * np.exp(-2j * np.pi * hz / rate * np.arange(n))
        turn = np.dot(x[hop:], tone) * np.conj(np.dot(x[:n], tone))
        advance = np.angle(turn * np.exp(-2j * np.pi * hz / rate * hop))
        hz += float(advance) * rate / (2 * np.pi * hop)
    return hz


class Sweep:
    """What was measured: volts and notes, rising together."""

    def __init__(self, listen: Listen, rate: float, reach: tuple[float, float]) -> None:
        self._listen, self._rate, self._reach = listen, rate, reach
        self.points: list[tuple[float, float]] = []  # note, volts

    def measure(self, volts: float) -> float | None:
        """The note at a voltage, or None where no steady tone sounds."""
        for _ in range(2):
            hz = frequency(self._listen(volts), self._rate)
            if hz is not None:
                note = note_of(hz)
                self._keep(note, volts)
                return note
        return None

    def _keep(self, note: float, volts: float) -> None:
        at = bisect.bisect(self.points, (note, volts))
        if not any(abs(n - note) < 1e-3 for n, _ in self.points[max(0, at - 1) : at + 1]):
            self.points.insert(at, (note, volts))

    def volts_for(self, note: float) -> float | None:
        """By a straight line between the nearest measured notes; None outside the reach."""
        notes = [n for n, _ in self.points]
        at = min(max(bisect.bisect(notes, note), 1), len(notes) - 1)
        (a, low), (b, high) = self.points[at - 1], self.points[at]
        volts = low + (high - low) * (note - a) / (b - a)
        return volts if self._reach[0] <= volts <= self._reach[1] else None


def calibrate(
    listen: Listen,
    rate: float,
    notes: tuple[int, int],
    reach: tuple[float, float],
    progress: Callable[[float], None] | None = None,
) -> Calibrated:
    """notes: first and last MIDI note. reach: lowest and highest volts of the channel. Raises
    CalibrationError when there is no oscillator to hear, or it does not follow the voltage."""
    sweep = Sweep(listen, rate, reach)
    low = max(reach[0], (notes[0] - 60) / 12 - BEYOND_VOLTS)
    high = min(reach[1], (notes[1] - 60) / 12 + BEYOND_VOLTS)
    steps = np.linspace(low, high, max(2, 1 + math.ceil((high - low) / STEP_VOLTS))).tolist()
    total = len(steps) + notes[1] - notes[0] + 1
    for i, volts in enumerate(steps):
        sweep.measure(volts)
        if progress:
            progress((i + 1) / total)
    _must_follow(sweep, low, high)
    first, last = sweep.points[0], sweep.points[-1]
    tracking = 12 * (last[1] - first[1]) / (last[0] - first[0])
    table: list[tuple[float, float]] = []
    left_out: list[int] = []
    worst = 0.0
    for i, note in enumerate(range(notes[0], notes[1] + 1)):
        found = _seek(sweep, note)
        if found is None:
            left_out.append(note)
        else:
            table.append((float(note), found[0]))
            worst = max(worst, found[1])
        if progress:
            progress((len(steps) + i + 1) / total)
    if len(table) < 2:
        raise CalibrationError(
            f"found {len(table)} notes from {notes[0]} to {notes[1]} within the channel's "
            f"{reach[0]:g} to {reach[1]:g} V, expected more: tune the oscillator to C4 at 0 V"
        )
    return Calibrated(tuple(table), worst, tracking, tuple(left_out))


def _must_follow(sweep: Sweep, low: float, high: float) -> None:
    points = sweep.points
    if len(points) < 2:
        raise CalibrationError(
            f"found no steady tone from {low:.2f} to {high:.2f} V, expected an oscillator at the "
            "input: check the cable, its level, and that the interface is DC-coupled"
        )
    rising = all(b[1] > a[1] for a, b in itertools.pairwise(points))
    if not rising or points[-1][0] - points[0][0] < 1:
        heard = f"{points[0][0]:.1f} to {points[-1][0]:.1f}"
        raise CalibrationError(
            f"found notes {heard} that do not rise with the voltage, expected an oscillator that "
            "follows: check the cable, polarity, and that nothing else modulates it"
        )


def _seek(sweep: Sweep, note: int) -> tuple[float, float] | None:
    """(volts, cents off) of the best try, or None."""
    best: tuple[float, float] | None = None
    for _ in range(TRIES):
        volts = sweep.volts_for(note)
        heard = None if volts is None else sweep.measure(volts)
        if volts is None or heard is None:
            break
        cents = abs(100 * (heard - note))
        if best is None or cents < best[1]:
            best = (volts, cents)
        if cents <= GOOD_CENTS:
            break
    return best if best is not None and best[1] <= USABLE_CENTS else None

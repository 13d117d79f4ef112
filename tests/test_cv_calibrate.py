"""Risk: a calibration leaves an oscillator out of tune, or takes noise for a tone."""

from __future__ import annotations

import numpy as np
import pytest

from engine.calibration import CalibrationError, interpolate
from engine.cv_calibrate import calibrate, frequency, note_of

RATE = 48_000.0
C4_HZ = 440.0 * 2 ** (-9 / 12)
REACH = (-10.0, 10.0)


class Oscillator:
    """A VCO. tracking: octaves a volt. shape: of one cycle, 0..1 -> -1..1. It bends at the top."""

    def __init__(
        self,
        tracking: float = 0.97,
        detune: float = 0.3,
        bend: float = 0.0,
        noise: float = 1e-3,
        shape: str = "saw",
    ) -> None:
        self.tracking, self.detune, self.bend, self.noise = tracking, detune, bend, noise
        self.shape = shape
        self.rng = np.random.default_rng(1)
        self.phase = 0.0

    def note(self, volts: float) -> float:
        bend = self.bend * max(0.0, volts) ** 2
        return 60 + 12 * (volts * self.tracking - bend) + self.detune

    def listen(self, volts: float) -> np.ndarray:
        step = C4_HZ * 2 ** ((self.note(volts) - 60) / 12) / RATE
        p = self.phase + step * np.arange(1, 14_401)
        self.phase = p[-1] % 1
        count = min(20, int(0.45 / step))
        k = np.arange(1, count + 1)[:, None]
        parts = {
            "saw": 1 / k,
            "square": (k % 2) / k,
            "pulse": np.sin(0.1 * np.pi * k) / k,
            "sine": (k == 1) * 1.0,
        }[self.shape]
        x = np.sum(parts * np.sin(2 * np.pi * k * p), axis=0)
        return (0.2 * x + self.noise * self.rng.standard_normal(len(x))).astype(np.float32)


@pytest.mark.parametrize("shape", ["saw", "square", "pulse", "sine"])
@pytest.mark.parametrize("hz", [27.5, 32.7, 110.3, 441.7, 1999.9, 4186.0])
def test_frequency_of_any_wave(shape: str, hz: float) -> None:
    vco = Oscillator(tracking=1.0, detune=note_of(hz) - 60, shape=shape)
    found = frequency(vco.listen(0.0), RATE)
    assert found is not None
    assert abs(1200 * np.log2(found / hz)) < (0.15 if hz > 60 else 0.6)


@pytest.mark.parametrize("what", ["silence", "noise", "click", "nan", "glide", "hum"])
def test_what_is_no_steady_tone_has_no_frequency(what: str) -> None:
    n = 14_400
    x = {
        "silence": np.zeros(n),
        "noise": np.random.default_rng(2).standard_normal(n),
        "click": np.eye(1, n)[0],
        "nan": np.full(n, np.nan),
        "glide": np.sin(2 * np.pi * 300 * np.arange(n) ** 1.1 / RATE),
        "hum": 1e-4 * np.sin(2 * np.pi * 50 * np.arange(n) / RATE),
    }[what]
    assert frequency(x, RATE) is None


@pytest.mark.parametrize("tracking", [0.97, 1.03])
def test_three_per_cent_of_tracking_error_end_within_a_cent_over_five_octaves(
    tracking: float,
) -> None:
    vco = Oscillator(tracking=tracking, bend=0.004)
    done = calibrate(vco.listen, RATE, (36, 96), REACH)
    assert [note for note, _ in done.table] == list(range(36, 97))
    before = max(abs(vco.note((n - 60) / 12) - n) for n in range(36, 97))
    assert before > 0.5  # semitones
    cents = [100 * abs(vco.note(volts) - note) for note, volts in done.table]
    assert max(cents) < 1.0
    assert done.worst_cents < 1.0
    between = [
        100 * abs(vco.note(interpolate(done.table, n + 0.5)) - n - 0.5) for n in range(36, 96)
    ]
    assert max(between) < 1.0
    assert done.tracking == pytest.approx(1 / tracking, abs=0.03)


def test_notes_beyond_the_channel_are_left_out() -> None:
    vco = Oscillator()
    done = calibrate(vco.listen, RATE, (36, 96), (-1.0, 2.0))
    assert done.table[0][0] > 46
    assert set(done.left_out) | {int(n) for n, _ in done.table} == set(range(36, 97))
    assert all(-1.0 <= volts <= 2.0 for _, volts in done.table)


@pytest.mark.parametrize(
    ("listen", "found"),
    [
        (lambda v: np.zeros(14_400, np.float32), "no steady tone"),
        (lambda v: Oscillator().listen(0.0), "no steady tone|do not rise"),
        (lambda v: Oscillator().listen(-v), "do not rise"),
    ],
)
def test_what_does_not_follow_is_refused(listen, found: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CalibrationError, match=found):
        calibrate(listen, RATE, (48, 60), REACH)


def test_a_disturbed_recording_is_taken_again() -> None:
    vco = Oscillator()
    rng = np.random.default_rng(5)

    def listen(volts: float) -> np.ndarray:
        x = vco.listen(volts)
        if rng.random() < 0.15:
            x[6000:9000] = 0.0  # frames that were lost
        return x

    done = calibrate(listen, RATE, (48, 72), REACH)
    assert max(100 * abs(vco.note(volts) - note) for note, volts in done.table) < 1.0

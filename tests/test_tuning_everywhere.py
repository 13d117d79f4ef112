"""Risk: the reference pitch reaches one of sampler, stems and voltages, and not the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_stage import Stage

from engine.kernel import pointer
from engine.layout import NoteKind
from engine.patch import Cv, MidiIn, Output, Patch, Voice
from engine.sampler import SampledVoice
from engine.soundfont import find_soundfont
from engine.stem import StemNote, StemRequest
from engine.stem_render import render
from engine.tuning import A4_KEY, frequency, semitones

RATE = 48_000
FONT = find_soundfont(Patch()) or Path("none")
CENT = 1.0 / 100.0


def ratio_cents(one: np.ndarray, other: np.ndarray) -> float:
    """By how many cents `other` is sharper: the shift along a logarithmic axis at which the two
    spectra lie on each other, to half a cent."""
    hz = np.geomspace(100.0, 4000.0, round(np.log2(40.0) * 2400))  # a step is half a cent

    def spectrum(x: np.ndarray) -> np.ndarray:
        size = 1 << 20
        power = np.abs(np.fft.rfft(x * np.hanning(len(x)), size))
        found = np.interp(hz, np.fft.rfftfreq(size, 1 / RATE), power)
        return np.log(found + 1e-6 * found.max())

    a, b = spectrum(one), spectrum(other)
    most = 200
    inner = a[most:-most] - a.mean()
    likeness = [np.dot(inner, b[most + s : len(b) - most + s]) for s in range(-most, most + 1)]
    return (int(np.argmax(likeness)) - most) / 2.0


def test_semitones_and_frequencies() -> None:
    assert semitones(440.0) == 0.0
    assert semitones(880.0) == pytest.approx(12.0)
    assert frequency(A4_KEY, 443.0) == 443.0
    assert frequency(60) == pytest.approx(261.6256, abs=1e-3)


def sampled(tuning_hz: float, drums: bool = False) -> np.ndarray:
    voice = SampledVoice(FONT, Voice(program=19, drums=drums), RATE, tuning_hz)
    left, right = np.zeros(1024, np.float32), np.zeros(1024, np.float32)
    out = []
    events = [(0, int(NoteKind.ON), 40 if drums else 69, 100, 0)]
    for block in range(64):
        voice.render(block * 1024, 1024, events, pointer(left), pointer(right))
        out.append(left.copy())
        events = []
    return np.concatenate(out)


@pytest.mark.parametrize("tuning_hz", [432.0, 443.0])
def test_a_voice_sounds_at_the_tuning(tuning_hz: float) -> None:
    cents = 100.0 * semitones(tuning_hz)
    assert ratio_cents(sampled(440.0), sampled(tuning_hz)) == pytest.approx(cents, abs=1.0)


def test_drums_have_no_tuning() -> None:
    np.testing.assert_array_equal(sampled(440.0, drums=True), sampled(415.0, drums=True))


def test_a_stem_sounds_at_the_tuning() -> None:
    request = StemRequest(1, "chords", bars=1, bpm=120.0)
    notes = [StemNote(0.0, 3.9, 69, 100)]

    def audio(tuning_hz: float, drums: bool = False) -> np.ndarray:
        stem = render(request, notes, FONT, RATE, 19, drums, tuning_hz)
        assert stem.audio is not None
        return stem.audio[0]

    cents = 100.0 * semitones(443.0)
    assert ratio_cents(audio(440.0), audio(443.0)) == pytest.approx(cents, abs=1.0)
    np.testing.assert_array_equal(audio(440.0, drums=True), audio(443.0, drums=True))


@pytest.mark.parametrize("tuning_hz", [440.0, 432.0, 444.5])
def test_a_voltage_is_at_the_tuning(tuning_hz: float) -> None:
    patch = Patch(
        tuning_hz=tuning_hz,
        midi={"keys": MidiIn(voice="lead")},
        voices={"lead": Voice()},
        outputs={"main": Output((1, 2))},
        cv={"pitch": Cv(channel=3, source="lead")},
    )
    stage = Stage(patch, rate=RATE, block=64)
    stage.note("midi_notes", NoteKind.ON, key=69, frame=stage.t + 10)
    volts = stage.play(640)[-1, 2] * 10.0
    assert volts == pytest.approx(np.log2(tuning_hz / 261.6255653), abs=0.1 * CENT / 12.0)
    stage = Stage(replace(patch, tuning_hz=440.0), rate=RATE, block=64)
    stage.note("midi_notes", NoteKind.ON, key=60, frame=stage.t + 10)
    assert stage.play(640)[-1, 2] == 0.0

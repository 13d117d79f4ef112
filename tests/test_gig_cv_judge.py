"""Risk: the judge lets a gate without a note, before its pitch or after its song pass."""

from __future__ import annotations

import numpy as np
import pytest

from engine.gig.judge import judge
from engine.gig.night import Night, Song, Voltages

RATE = 8000
BEAT = 4000
FRAMES = 80 * BEAT
STANDBY = (64 * BEAT, FRAMES)
LEAD = 9
HIGH = 5.0


def night() -> Night:
    """A note on every second beat for thirty beats: pitch, a little later gate and sound; standby
    after the song."""
    pitch, gate, voice = (np.zeros(FRAMES, np.float32) for _ in range(3))
    for k in range(30):
        at = 2 * k * BEAT
        pitch[at:] = (k % 13 - 6) / 12
        gate[at + LEAD : at + BEAT] = HIGH
        voice[at : at + BEAT] = 0.1 * np.exp(-np.arange(BEAT) / BEAT)
    main = np.repeat(voice[:, None], 2, axis=1)
    return Night(
        rate=RATE,
        start=0,
        songs=[Song("a", 0, 60 * BEAT, np.arange(0, 62 * BEAT, BEAT), tail=2 * RATE)],
        main=main,
        answers={"answers": voice},
        notes={"answers": np.arange(0, 60 * BEAT, BEAT)},
        standbys=[STANDBY],
        voltages=[Voltages("answers", pitch, gate)],
    )


def errors(of: Night) -> int:
    found = judge(of)["cv_errors"]
    assert isinstance(found, int)
    return found


def volts(of: Night) -> Voltages:
    return of.voltages[0]


def test_a_night_as_it_should_be_is_faultless() -> None:
    assert errors(night()) == 0


@pytest.mark.parametrize("height", [4.9, 5.1, 1.0, -5.0])
def test_a_gate_is_down_or_up(height: float) -> None:
    of = night()
    volts(of).gate[10 * BEAT + LEAD : 11 * BEAT] = height
    assert errors(of) >= 1


@pytest.mark.parametrize("shift", [LEAD, LEAD + 4, -1])
def test_pitch_stands_before_its_gate(shift: int) -> None:
    """By so many frames later than it should, or sooner (of which nobody complains)."""
    of = night()
    volts(of).pitch[:] = np.roll(volts(of).pitch, shift)
    assert bool(errors(of)) == (shift > 0)


def test_pitch_between_two_semitones_is_wrong() -> None:
    of = night()
    volts(of).pitch[:] += np.float32(0.2 / 12)
    assert errors(of) >= 29


def test_a_gate_without_a_note_is_wrong() -> None:
    of = night()
    of.answers["answers"][20 * BEAT : 22 * BEAT] = 0.0
    assert errors(of) == 1


def test_a_gate_that_stays_up_is_wrong_in_song_and_standby() -> None:
    of = night()
    volts(of).gate[58 * BEAT + LEAD :] = HIGH
    assert errors(of) >= 1
    again = night()
    volts(again).gate[70 * BEAT : 70 * BEAT + 10] = HIGH
    assert errors(again) >= 1


def test_a_gate_that_outlasts_dry_is_wrong() -> None:
    of = night()
    of.dries = [(10 * BEAT + 100, 11 * BEAT)]
    assert errors(of) == 1
    volts(of).gate[10 * BEAT + 100 + round(0.04 * RATE) : 12 * BEAT] = 0.0
    assert errors(of) == 0


def test_gates_that_never_rise_are_missed() -> None:
    of = night()
    volts(of).gate[:] = 0.0
    assert errors(of) == 1


def test_what_no_client_heard_is_nobodys_fault() -> None:
    of = night()
    volts(of).gate[10 * BEAT + LEAD : 11 * BEAT] = 1.0
    of.excused = [(10 * BEAT, 11 * BEAT + 10)]
    assert errors(of) == 0

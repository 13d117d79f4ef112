"""What the judge holds against control voltages. Pure functions on captures, as those of
engine/gig/judge.py; each finding is (kind, bus, frame, frames).

cv_errors   a gate that is neither at 0 V nor at its height; one that rises while pitch is not at a
            semitone (to CENTS), or has not stood there for STEADY_SECONDS, or leaves it as long
            afterwards; one that rises and no note is heard within NOTE_SECONDS; one that is up for
            HELD_SECONDS while its voice is silent, or at all in standby or from DRY_SECONDS after
            DRY on; and a gate that does not rise in a song in which its voice is heard

Cycles that a client which owes segue nothing missed too are left out.
"""

from __future__ import annotations

import numpy as np

from engine.gig.night import Night, Voltages

Wrong = tuple[str, str, int, int]
CV_KEYS = ("cv_errors",)
SILENCE = 1e-3  # -60 dBFS
VOLTS_OFF = 0.005
CENTS = 1.0
STEADY_SECONDS = 0.0009  # pitch stands a millisecond before its gate, rounded up to a frame
NOTE_SECONDS = 0.060
DRY_SECONDS = 0.050
HELD_SECONDS = 6.0  # a struck bar that is held has died away by then
HEARD_SECONDS = 1.0  # of a voice in a song: more than a tail


def _stretches(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def find_cv_errors(night: Night) -> list[Wrong]:
    """See the module."""
    wrong: list[Wrong] = []
    excused = night.excused_mask(night.rate // 50)
    for volts in night.voltages:
        up = volts.gate > volts.gate_volts / 2
        spans = [(a, b) for a, b in _stretches(up) if not excused[a]]
        wrong += _levels(volts, up, excused)
        wrong += [("cv_errors", "pitch", a, 1) for a, _ in spans if not _pitched(volts, a, night)]
        wrong += [("cv_errors", "gate", a, b - a) for a, b in spans if not _heard(volts, a, night)]
        wrong += _silent_gates(volts, up, night)
        wrong += _mute_gates(volts, [a for a, _ in spans], night)
    return wrong


def _levels(volts: Voltages, up: np.ndarray, excused: np.ndarray) -> list[Wrong]:
    """Anything but 0 V and the gate's height."""
    off = np.abs(volts.gate - np.where(up, volts.gate_volts, 0.0)) > VOLTS_OFF
    return [("cv_errors", "gate", a, b - a) for a, b in _stretches(off & ~excused)]


def _pitched(volts: Voltages, rise: int, night: Night) -> bool:
    """Whether pitch stands at a semitone around a gate's rise."""
    near = int(STEADY_SECONDS * night.rate)
    around = volts.pitch[max(rise - near, 0) : rise + near].astype(np.float64) * 1200.0
    return bool(np.ptp(around) < CENTS and abs(around[0] - round(around[0] / 100) * 100) < CENTS)


def _heard(volts: Voltages, rise: int, night: Night) -> bool:
    bus = night.answers[volts.bus]
    return bool(np.abs(bus[rise : rise + round(NOTE_SECONDS * night.rate)]).max() > SILENCE)


def _silent_gates(volts: Voltages, up: np.ndarray, night: Night) -> list[Wrong]:
    """Up for too long over silence, or in standby or DRY."""
    sounds = np.abs(night.answers[volts.bus]) > SILENCE
    if sounds.ndim == 2:
        sounds = sounds.any(axis=1)
    held = round(HELD_SECONDS * night.rate)
    recent = np.concatenate([[0], np.cumsum(sounds)])
    index = np.arange(len(up))
    silent = recent[index + 1] == recent[np.maximum(index + 1 - held, 0)]
    silent[:held] = False
    late = round(DRY_SECONDS * night.rate)
    for first, last in [*night.standbys, *((a + late, b) for a, b in night.dries)]:
        silent[first:last] = True
    return [("cv_errors", "gate", a, b - a) for a, b in _stretches(up & silent)]


def _mute_gates(volts: Voltages, rises: list[int], night: Night) -> list[Wrong]:
    bus = night.answers[volts.bus]
    return [
        ("cv_errors", "gate", song.first, song.last - song.first)
        for song in night.songs
        if (np.abs(bus[song.first : song.last]) > SILENCE).sum() > HEARD_SECONDS * night.rate
        and not any(song.first <= rise < song.last for rise in rises)
    ]

"""Control voltages of a patch: what leaves, what comes in, and what it moves.

Part of engine/patch.py; immutable. Volts are those at the jack; channels count from 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NOTE_KINDS = ("pitch", "gate", "trigger", "envelope")  # of a voice, or of the stems of a role
CLOCK_KINDS = ("clock", "reset", "run")
CV_KINDS = (*NOTE_KINDS, "lfo", *CLOCK_KINDS, "level", "modulation")
SHAPES = ("sine", "triangle", "rise", "fall", "square", "random", "smooth")  # as in kernel_cv.c
STEMS = "stems."  # before a role's name


@dataclass(frozen=True)
class Cv:
    """One voltage that leaves. kind says what it is, source what it is made from:

    pitch       1 V/octave, 0 V = C4, of a voice; gate, trigger, envelope: of a voice, or of
                stems.ROLE (up while a stem of the role sounds)
    lfo         hz, or beats: one cycle in so many beats of the timeline
    clock       ppqn pulses a beat; reset: a pulse at every bar or phrase; run: up from the first
                bar on, while the performance lasts
    level       how loud a mixer source is (input.NAME, voice.NAME, texture.NAME, stems.ROLE)
    modulation  a control voltage that comes in (cv_in), bounded

    volts_full_scale: what the interface gives at digital full scale; polarity: -1 if it inverts.
    gate_volts: height of gates, triggers and pulses. volts: height of an envelope or a level; an
    LFO and a modulation move so far up and down from centre_volts. calibration: a file in Silent
    Way's format; table: what it says, (MIDI note, volts) in rising order.
    """

    channel: int | str = 0
    source: str = ""
    kind: str = "pitch"
    volts_full_scale: float = 10.0
    offset_volts: float = 0.0
    polarity: int = 1
    gate_volts: float = 5.0
    volts: float = 5.0
    centre_volts: float = 0.0
    width_ms: float = 5.0
    attack_ms: float = 5.0
    decay_ms: float = 100.0
    sustain: float = 0.7
    release_ms: float = 200.0
    shape: str = "sine"
    hz: float = 1.0
    beats: float | None = None
    phase: float = 0.0
    seed: int = 0
    ppqn: int = 24
    every: str = "phrase"
    calibration: str | None = None
    table: tuple[tuple[float, float], ...] = ()


def cv_from_json(given: dict[str, Any]) -> Cv:
    return Cv(**{**given, "table": tuple((float(n), float(v)) for n, v in given["table"])})

"""Control voltages of a patch: what leaves, what comes in, and what it moves.

Part of engine/patch.py; immutable. Volts are those at the jack; channels count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOTE_KINDS = ("pitch", "gate", "trigger", "envelope")  # of a voice, or of the stems of a role
CLOCK_KINDS = ("clock", "reset", "run")
CV_KINDS = (*NOTE_KINDS, "lfo", *CLOCK_KINDS, "level", "modulation")
SHAPES = ("sine", "triangle", "rise", "fall", "square", "random", "smooth")  # as in kernel_cv.c
STEMS = "stems."  # before a role's name


IN_KINDS = ("voltage", "gate", "pitch", "chaos")
MAPS = ("logistic", "lorenz")
TARGETS = ("send", "latent", "density", "generate")


@dataclass(frozen=True)
class CvIn:
    """A control voltage that comes in, made 0 to 1 between low_volts and high_volts and bounded
    there.

    gate   up from 1 V on, down at 0.1 V
    pitch  1 V/octave, to the nearest semitone, with hysteresis
    chaos  a voltage, or without a channel one made inside: the logistic map, or Lorenz's flow, at
           about `hz`, the same again for the same seed

    smooth_ms: a voltage's or chaos's time constant. freeze: the gate (cv_in) that holds it while
    up. sample: the gate at whose rise it is taken, and held until the next.
    """

    kind: str = "voltage"
    channel: int | str | None = None
    volts_full_scale: float = 10.0
    offset_volts: float = 0.0
    polarity: int = 1
    low_volts: float = 0.0
    high_volts: float = 5.0
    smooth_ms: float = 5.0
    freeze: str | None = None
    sample: str | None = None
    map: str = "lorenz"
    hz: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Route:
    """What a cv_in moves: `to` is at `low` where the source is 0 and at `high` where it is 1.

    send.SOURCE.BUS    dB on top of the send's own level, at the exact frame
    latent.PLAYER.N    latent N (from 0) of a texture
    density.ROLE       of the stems asked for, 0 to 1
    generate.NAME      a player answers, a role's stems enter, while this is at least a half; when
                       it falls the role leaves at its boundary
    """

    source: str = ""
    to: str = ""
    low: float = 0.0
    high: float = 1.0


def routes_to_sends(routes: Mapping[str, Route]) -> list[str]:
    """Names of those that move a send: the audio process's, in the order of its places for them."""
    return [name for name, route in routes.items() if route.to.startswith("send.")]


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


def volts_of(cv: Cv, sample: float) -> float:
    """Volts of a sample (-1 to 1 of full scale) that leaves on an output."""
    return sample * cv.volts_full_scale / cv.polarity - cv.offset_volts


def cv_from_json(given: dict[str, Any]) -> Cv:
    return Cv(**{**given, "table": tuple((float(n), float(v)) for n, v in given["table"])})

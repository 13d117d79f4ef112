"""Control voltages that leave, rendered by the kernel at their exact frames (kernel_cv.c).

Pitch (1 V/octave, 0 V = C4 at A4 = 440 Hz, or by calibration) leads its gate, trigger and
envelope by PITCH_LEAD_S. CV passes no limiter, no effect and no fade. On a resumed audio process
gates, triggers, envelopes and pulses start at 0 V and pitches where they were; run rises again at
the next bar. DRY and panic take down the gates of what a model plays; clocks go on. Real-time safe
after __init__.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.calibration import interpolate
from engine.kernel import ffi, lib, pointer
from engine.layout import MAX_STEMS, NoteKind
from engine.mixer import Mixer, is_generated
from engine.patch import Patch
from engine.patch_cv import CLOCK_KINDS, NOTE_KINDS, SHAPES, STEMS, Cv
from engine.sampler import VoiceEvent
from engine.slices import end_of
from engine.state import MAX_CV
from engine.tuning import semitones

PITCH_LEAD_S = 0.001
C4 = 60
VOLTS_MAX = 10.0
LEVEL_ATTACK_S = 0.005
LEVEL_RELEASE_S = 0.1
KERNEL_KINDS = ("steps", "envelope", "lfo", "clock", "reset", "run", "level", "modulation")


def pitch_volts(cv: Cv, key: float) -> float:
    """Volts of a MIDI note on a pitch output."""
    volts = interpolate(cv.table, key) if cv.table else (key - C4) / 12.0
    return min(VOLTS_MAX, max(-VOLTS_MAX, volts))


class CvOutputs:
    """channels: device channel (from 0) of each CV of the patch. rows: where the values of each
    control voltage that comes in lie (float *, 0..1)."""

    def __init__(
        self,
        patch: Patch,
        state: np.ndarray,
        channels: dict[str, int],
        rate: float,
        mixer: Mixer,
        rows: dict[str, Any],
    ) -> None:
        if len(patch.cv) > MAX_CV:
            raise ValueError(f"{len(patch.cv)} control voltages, at most {MAX_CV}")
        self._lead = math.ceil(PITCH_LEAD_S * rate)
        tuned = semitones(patch.tuning_hz)
        cells = pointer(state["cv"], "seg_cv *")  # in the patch's order, found or not
        places = {name: i for i, name in enumerate(patch.cv)}
        self._lines: list[tuple[Any, str, float, int]] = []
        self._pitches: dict[int, list[float]] = {}  # line -> volts of each key
        self._by_voice: dict[int, list[int]] = {}
        self._by_role: dict[int, list[int]] = {}
        self._held: dict[int, list[int]] = {}
        # When the last gate of a voice rose or is to rise, and the one before it that did rise.
        self._rises: dict[int, tuple[int, int]] = {}
        self._stems = state["stems"]
        self._dry = state["dry"]
        self._leaving = False
        voices, roles = list(patch.voices), list(patch.roles)
        self._generated = {
            v for v, name in enumerate(voices) if is_generated(patch, f"voice.{name}")
        }
        self._made = mixer.keep("seg_line[]", max(1, len(channels)))
        time = pointer(state["timeline"], "seg_timeline *")
        for i, (name, channel) in enumerate(channels.items()):
            cv, line, cell = patch.cv[name], self._made[i], cells + places[name]
            line.cv, line.channel, line.time = cell, channel, time
            _shape(line, cv, rate)
            if cv.kind == "modulation":
                line.left = rows[cv.source]
            elif cv.kind == "level":
                source = mixer.index[cv.source]
                line.left = mixer.row(source)
                line.right = ffi.NULL if cv.source.startswith("input.") else mixer.row(source, 1)
            self._lines.append((cell, cv.kind, cv.gate_volts, line.width))
            if cv.kind == "pitch":
                self._pitches[i] = [pitch_volts(cv, key + tuned) for key in range(128)]
            if cv.kind in NOTE_KINDS and cv.source.startswith(STEMS):
                role = roles.index(cv.source.removeprefix(STEMS))
                self._by_role.setdefault(role, []).append(i)
            elif cv.kind in NOTE_KINDS:
                self._by_voice.setdefault(voices.index(cv.source), []).append(i)
            _resume(state[0]["cv"][places[name]], cv.kind)
        mixer.desk.lines, mixer.desk.line_count = self._made, len(channels)

    def notes(self, voice: int, t: int, events: list[VoiceEvent]) -> None:
        """Last-note priority: the gate falls when no key is held. Pitch stands for the lead before
        its gate rises and as long after it, also where notes come closer than that: who samples it
        at the gate must not catch it on its way."""
        lines = self._by_voice.get(voice)
        if lines is None:
            return
        held = self._held.setdefault(voice, [])
        muted = self._leaving or (self._dry[0] and voice in self._generated)
        for offset, kind, key, _, _ in events:
            frame = t + offset
            rise, before = self._rises.get(voice, (frame - self._lead, 0))
            rose = rise if rise <= frame else before
            if kind == NoteKind.ON and not muted:
                at = max(frame, rose + self._lead)
                self._pitch(lines, at, key)
                self._call_off(lines, frame, lower=not held)
                self._rise(lines, at + self._lead, self._lead)
                self._rises[voice] = (at + self._lead, rose)
                held.append(key)
            elif kind == NoteKind.OFF and key in held:
                held.remove(key)
                if held:
                    self._pitch(lines, max(frame, rise + self._lead), held[-1])
                else:
                    self._fall(lines, max(frame, rise) + self._lead)

    def stems(self, t: int, n: int, started: int, ended: int) -> None:
        """After the mix of [t, t+n): what stems started and ended there, a bit a slot."""
        if not self._by_role or self._leaving or self._dry[0]:
            return
        stems = self._stems[0]
        for slot in range(MAX_STEMS):
            stem = stems[slot]
            lines = self._by_role.get(int(stem["role"]))
            if lines is None:
                continue
            if started >> slot & 1:
                self._rise(lines, max(t, int(stem["start"])), 0)
            if ended >> slot & 1 and not self._sounds(int(stem["role"])):
                self._fall(lines, min(max(t, end_of(stem)), t + n))

    def _sounds(self, role: int) -> bool:
        stems = self._stems[0]
        return bool(np.any((stems["role"] == role) & (stems["state"] == 2)))

    def _pitch(self, lines: list[int], frame: int, key: int) -> None:
        for i in lines:
            volts = self._pitches.get(i)
            if volts is not None:
                _forget(self._lines[i][0], frame)
                lib.seg_cv_edge(self._lines[i][0], frame, volts[key])

    def _rise(self, lines: list[int], frame: int, gap: int) -> None:
        """gap: frames that a pulse is down at least before the next."""
        for i in lines:
            cell, kind, gate_volts, width = self._lines[i]
            if kind == "gate":
                lib.seg_cv_edge(cell, frame, gate_volts)
            elif kind == "envelope":
                lib.seg_cv_edge(cell, frame, 1.0)
            elif kind == "trigger":
                lib.seg_cv_strike(cell, frame, gate_volts, width, gap)

    def _call_off(self, lines: list[int], frame: int, lower: bool) -> None:
        """What gates were to do after `frame`. lower: a fall among it comes now instead."""
        for cell in (self._lines[i][0] for i in lines if self._lines[i][1] in ("gate", "envelope")):
            if _forget(cell, frame + 1) and lower:
                lib.seg_cv_edge(cell, frame, 0.0)

    def _fall(self, lines: list[int], frame: int) -> None:
        for i in lines:
            cell, kind, _, _ = self._lines[i]
            if kind in ("gate", "envelope"):
                lib.seg_cv_edge(cell, frame, 0.0)

    def gates_down(self, t: int) -> None:
        """On the way out: gates and pulses to 0 V and never up again, pitches held."""
        self._leaving = True
        self._lower(range(len(self._lines)), t)
        for i, (_, kind, _, _) in enumerate(self._lines):
            if kind in CLOCK_KINDS or kind == "envelope":
                self._made[i].volts = 0.0

    def hold(self, out: np.ndarray) -> None:
        """forward failed: pitches stay where they are in `out`, float32 (n, channels), all else is
        at 0 V there."""
        for i in range(len(self._lines)):
            line = self._made[i]
            volts = line.cv.value if i in self._pitches else 0.0
            out[:, line.channel] = min(1.0, max(-1.0, (volts + line.offset) * line.scale))

    def dry(self, t: int) -> None:
        """DRY and panic: the gates of voices that a model plays, and of stems, to 0 V."""
        for voice in self._generated & self._by_voice.keys():
            self._held.pop(voice, None)
            self._lower(self._by_voice[voice], t)
        for lines in self._by_role.values():
            self._lower(lines, t)

    def open(self, t: int) -> None:
        """DRY is over: the gates of stems that sounded on unheard rise again."""
        for role, lines in self._by_role.items():
            if not self._leaving and self._sounds(role):
                self._rise([i for i in lines if self._lines[i][1] != "trigger"], t, 0)

    def _lower(self, lines: Iterable[int], t: int) -> None:
        for cell, kind, _, _ in (self._lines[i] for i in lines):
            if kind in ("gate", "trigger", "envelope"):
                cell.count = 0  # none that waits may raise it again
                lib.seg_cv_edge(cell, t, 0.0)


def _forget(cell: Any, frame: int) -> bool:
    """Edges that wait for this frame or a later one; whether there were any."""
    before = cell.count
    while cell.count and cell.frames[cell.count - 1] >= frame:
        cell.count -= 1
    return bool(cell.count < before)


def _shape(line: Any, cv: Cv, rate: float) -> None:
    """What the kernel is to know of a voltage; lengths in frames."""
    kind = "steps" if cv.kind in ("pitch", "gate", "trigger") else cv.kind
    line.kind = KERNEL_KINDS.index(kind)
    line.scale, line.offset = cv.polarity / cv.volts_full_scale, cv.offset_volts
    line.volts = cv.gate_volts if cv.kind in CLOCK_KINDS else cv.volts
    line.centre = cv.centre_volts
    line.attack, line.decay = cv.attack_ms * rate / 1000, cv.decay_ms * rate / 1000
    line.sustain, line.release = cv.sustain, cv.release_ms * rate / 1000
    if cv.kind == "level":
        line.attack = 1.0 - math.exp(-1.0 / (LEVEL_ATTACK_S * rate))
        line.release = 1.0 - math.exp(-1.0 / (LEVEL_RELEASE_S * rate))
    line.shape, line.seed, line.phase = SHAPES.index(cv.shape), cv.seed, cv.phase
    line.beats, line.rate = cv.beats or 0.0, cv.hz / rate
    line.width = max(1, round(cv.width_ms * rate / 1000))
    line.ppqn = cv.ppqn if cv.kind == "clock" else 0
    if cv.kind == "reset" and cv.every == "phrase":
        line.ppqn = -1


def _resume(cell: np.ndarray, kind: str) -> None:
    """A voltage as a successor finds it: nothing waits, what is a gate is down."""
    cell["count"] = 0
    if kind in ("gate", "trigger", "envelope", "level"):
        cell["value"] = 0.0
    if kind in ("envelope", *CLOCK_KINDS):
        cell["on"] = 0

"""Control voltages from notes: pitch (1 V/octave, 0 V = C4 at A4 = 440 Hz) and gate, at their exact
frames.

Pitch leads its gate by PITCH_LEAD_S. CV passes no limiter, no effect and no fade; on a resumed
audio process gates start at 0 V and pitches where they were. Under DRY a voice that a model plays
raises no gate. The kernel renders them (seg_desk_out). Real-time safe after __init__.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.kernel import lib, pointer
from engine.layout import NoteKind
from engine.mixer import Mixer, is_generated
from engine.patch import Patch
from engine.sampler import VoiceEvent
from engine.state import MAX_CV
from engine.tuning import semitones

PITCH_LEAD_S = 0.001
C4 = 60
VOLTS_MAX = 10.0


class CvOutputs:
    """channels: device channel (from 0) of each CV of the patch."""

    def __init__(
        self,
        patch: Patch,
        state: np.ndarray,
        channels: dict[str, int],
        rate: float,
        mixer: Mixer,
    ) -> None:
        if len(channels) > MAX_CV:
            raise ValueError(f"{len(channels)} control voltages, at most {MAX_CV}")
        self._lead = math.ceil(PITCH_LEAD_S * rate)
        self._tuning_volts = semitones(patch.tuning_hz) / 12.0
        cells = pointer(state["cv"], "seg_cv *")
        self._lines: list[tuple[Any, str, float]] = []
        self._by_voice: dict[int, list[int]] = {}
        self._held: dict[int, list[int]] = {}
        self._dry = state["dry"]
        self._leaving = False
        voices = list(patch.voices)
        self._generated = {
            v for v, name in enumerate(voices) if is_generated(patch, f"voice.{name}")
        }
        lines = mixer.keep("seg_line[]", max(1, len(channels)))
        for i, (name, channel) in enumerate(channels.items()):
            cv, line = patch.cv[name], lines[i]
            line.cv, line.channel = cells + i, channel
            line.scale, line.offset = cv.polarity / cv.volts_full_scale, cv.offset_volts
            self._lines.append((cells + i, cv.kind, cv.gate_volts))
            self._by_voice.setdefault(voices.index(cv.source), []).append(i)
            state[0]["cv"][i]["count"] = 0
            if cv.kind == "gate":
                state[0]["cv"][i]["value"] = 0.0
        mixer.desk.lines, mixer.desk.line_count = lines, len(channels)

    def notes(self, voice: int, t: int, events: list[VoiceEvent]) -> None:
        """Last-note priority: the gate falls when no key is held."""
        lines = self._by_voice.get(voice)
        if lines is None:
            return
        held = self._held.setdefault(voice, [])
        muted = self._leaving or (self._dry[0] and voice in self._generated)
        for offset, kind, key, _, _ in events:
            frame = t + offset
            if kind == NoteKind.ON and not muted:
                held.append(key)
                self._edges(lines, frame, key, gate=True)
            elif kind == NoteKind.OFF and key in held:
                held.remove(key)
                if held:
                    self._edges(lines, frame, held[-1], gate=None)
                else:
                    self._edges(lines, frame, None, gate=False)

    def _edges(self, lines: list[int], frame: int, key: int | None, gate: bool | None) -> None:
        for i in lines:
            cell, kind, gate_volts = self._lines[i]
            if kind == "pitch" and key is not None:
                volts = (key - C4) / 12.0 + self._tuning_volts
                lib.seg_cv_edge(cell, frame, min(VOLTS_MAX, max(-VOLTS_MAX, volts)))
            elif kind == "gate" and gate is not None:
                lib.seg_cv_edge(cell, frame + self._lead, gate_volts if gate else 0.0)

    def gates_down(self, t: int) -> None:
        """On the way out: gates to 0 V and never up again, pitches held."""
        self._leaving = True
        self._lower(range(len(self._lines)), t)

    def dry(self, t: int) -> None:
        """DRY: the gates of voices that a model plays to 0 V."""
        for voice in self._generated & self._by_voice.keys():
            self._held.pop(voice, None)
            self._lower(self._by_voice[voice], t)

    def _lower(self, lines: Iterable[int], t: int) -> None:
        for cell, kind, _ in (self._lines[i] for i in lines):
            if kind == "gate":
                cell.count = 0  # none that waits may raise it again
                lib.seg_cv_edge(cell, t, 0.0)

"""Observer over aubio: beats of all inputs together, onset, pitch and level of each.

Feed it live inputs only, never our own output: a clock that follows what it has caused runs away.
Not real-time safe; one thread. Frames of observations are those of the sound: window centre and
the tracker's delay are taken off here, the interface's input latency is the caller's to take off.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.adapter import AdapterError, config_number
from engine.layout import OBSERVATION, ObservationKind

if TYPE_CHECKING:
    import aubio

HOP = 512  # measured best for aubio's tempo, whatever the engine's block (256 loses 6 points of F)
WINDOW = 1024
HIGH_RATE = 64_000  # from here on both are doubled, to span the same time
PITCH_WINDOW = 2048  # yinfast: yinfft of this build gives no confidence
PITCH_MIN_CONFIDENCE = 0.8
SILENCE_DB = -55.0  # RMS below which an input neither beats nor sings
BEAT_MEMORY_S = 2.0  # beats go on so long after the last sound: rests are part of the music
LEVEL_WINDOW_S = 0.5
# aubio drops every beat that falls into a hop of digital silence, as rests in clean sound are. A
# floor of noise 100 dB down keeps them (F +3 points on drums, measured); our own gate ends them.
FLOOR = 1e-5
AUBIO_SILENCE_DB = -140.0
ONSET_DELAY_HOPS = 3.7  # aubio's own 4.3 puts onsets 5 to 11 ms early here
# After half a minute of applause aubio may keep confidence 0 for a whole song, while a new one is
# sure within six seconds (measured): then it is begun anew.
UNSURE_S = 8.0
LOUDEST = 8.0  # linear; what exceeds it is a fault, not music


class AubioListener:
    """See models/aubio/card.md. config: silence_db (-90 to 0, default -55)."""

    hop = HOP

    def load(self, checkpoint: Path | None, rate: int, config: dict[str, Any]) -> None:
        """Import aubio and allocate. Raises AdapterError."""
        if checkpoint is not None:
            raise AdapterError(f"aubio has no weights, yet checkpoint is {checkpoint}: remove it")
        unknown = sorted(set(config) - {"silence_db"})
        if unknown:
            raise AdapterError(f"aubio: unknown key {unknown[0]!r}, expected silence_db")
        silence = config.get("silence_db", SILENCE_DB)
        silence = config_number("aubio", "silence_db", silence, -90.0, 0.0)
        if not 8_000 <= rate <= 200_000:
            raise AdapterError(f"aubio: rate is {rate}, expected 8000 to 200000 frames a second")
        self._rate = rate
        self._scale = 2 if rate >= HIGH_RATE else 1
        self.hop = HOP * self._scale
        self._silence = 10.0 ** (silence / 20.0)
        rng = np.random.default_rng(1)
        self._floor = rng.uniform(-FLOOR, FLOOR, self.hop).astype(np.float32)
        self._next = -1
        self._inputs: list[_Input] = []
        self._begin(0, 1)  # warm: the first construction plans aubio's transforms

    def observe(self, frame: int, audio: np.ndarray) -> np.ndarray:
        """audio float32 (inputs, hop) from `frame` -> layout.OBSERVATION, in order of input.

        A frame that does not follow the last hop starts everything anew. ValueError for another
        shape.
        """
        if audio.ndim != 2 or audio.shape[1] != self.hop or not len(audio):
            raise ValueError(f"audio is {audio.shape}, expected (inputs, {self.hop})")
        if frame != self._next or len(audio) != len(self._inputs):
            self._begin(frame, len(audio))
        self._next = frame + self.hop
        clean = np.nan_to_num(audio, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        np.clip(clean, -LOUDEST, LOUDEST, out=clean)
        found: list[tuple[int, float, float, int, int, int]] = []
        for k, (each, samples) in enumerate(zip(self._inputs, clean, strict=True)):
            found += [(*o, k, 0) for o in each.hear(samples, self._next)]
        beat = self._beat(clean.sum(axis=0, dtype=np.float32))
        if beat is not None:
            found.append((*beat, 0, 0))
        return np.array(found, OBSERVATION)

    def _begin(self, frame: int, inputs: int) -> None:
        import aubio

        self._begin_tempo(frame)
        self._sounded = -math.inf
        self._inputs = [
            _Input(aubio, self._rate, self.hop, self._scale, self._silence, frame)
            for _ in range(inputs)
        ]

    def _begin_tempo(self, frame: int) -> None:
        import aubio

        self._start = self._sure = frame
        self._tempo = aubio.tempo("default", WINDOW * self._scale, self.hop, self._rate)
        self._tempo.set_silence(AUBIO_SILENCE_DB)

    def _beat(self, mix: np.ndarray) -> tuple[int, float, float, int] | None:
        if _rms(mix) >= self._silence:
            self._sounded = self._next
        heard = self._tempo(mix + self._floor)[0] > 0
        if not heard or self._next - self._sounded > BEAT_MEMORY_S * self._rate:
            return None
        # get_last already stands for the sound: measured 0 +- 1 ms against rendered drums.
        at = self._start + int(self._tempo.get_last())
        confidence = max(0.0, float(self._tempo.get_confidence()))  # 0 to about 5
        bpm = float(self._tempo.get_bpm())
        if confidence > 0.0:
            self._sure = self._next
        elif self._next - self._sure > UNSURE_S * self._rate:
            self._begin_tempo(self._next)
        return at, bpm, confidence / (1.0 + confidence), ObservationKind.BEAT


class _Input:
    """Onset, pitch and level of one input."""

    def __init__(
        self, lib: aubio, rate: int, hop: int, scale: int, silence: float, start: int
    ) -> None:
        self._hop, self._start, self._silence = hop, start, silence
        self._onset = lib.onset("energy", WINDOW * scale, hop, rate)
        self._onset.set_delay(round(ONSET_DELAY_HOPS * hop))
        self._pitch_hop = hop // 2
        self._pitch_window = PITCH_WINDOW * scale
        self._pitch = lib.pitch("yinfast", self._pitch_window, self._pitch_hop, rate)
        self._pitch.set_unit("midi")
        self._pitch.set_silence(AUBIO_SILENCE_DB)
        self._powers = np.zeros(max(1, round(LEVEL_WINDOW_S * rate / hop)), np.float64)
        self._count = 0

    def hear(self, samples: np.ndarray, end: int) -> list[tuple[int, float, float, int]]:
        """Observations (frame, x, y, kind) of one hop that ends before frame `end`."""
        found: list[tuple[int, float, float, int]] = []
        rms = _rms(samples)
        self._powers[self._count % len(self._powers)] = rms * rms
        self._count += 1
        if self._onset(samples)[0] > 0 and rms >= self._silence:
            at = self._start + int(self._onset.get_last())
            found.append((at, min(rms * 4.0, 1.0), 0.0, ObservationKind.ONSET))
        for half in (samples[: self._pitch_hop], samples[self._pitch_hop :]):
            note = float(self._pitch(half)[0])
        confidence = float(self._pitch.get_confidence())
        if rms >= self._silence and note > 0.0 and confidence >= PITCH_MIN_CONFIDENCE:
            centre = end - self._pitch_window // 2
            found.append((centre, note, confidence, ObservationKind.PITCH))
        if self._count % 8 == 0:  # some 12 a second
            level = math.sqrt(float(self._powers.mean()))
            found.append((end, 20.0 * math.log10(max(level, 1e-6)), 0.0, ObservationKind.LEVEL))
        return found


def _rms(samples: np.ndarray) -> float:
    return math.sqrt(float(np.mean(np.square(samples, dtype=np.float64))))

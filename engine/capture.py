"""What is remembered of live sources, so that the last bars of one can become a stem.

The audio process taps every source of captured() into one ring (engine/taps.py); the capture
process (engine/capture_host.py) keeps the last of it in a Memory and cuts stems out of that.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from engine.bridge import bridge
from engine.patch import Patch
from engine.song import slowest_bar_s
from engine.tap_read import unheard

MARGIN_S = 2.0  # remembered beyond the longest capture: presses and messages take their time
SEAM_FRAMES = 256  # the end of a loop goes over into what came before its beginning
SILENT = 1e-4  # peak of what counts as nothing (-80 dBFS)
GAPS_KEPT = 256


class CaptureError(Exception):
    """What cannot become a stem: says why, for people."""


def captured(patch: Patch) -> list[str]:
    """Mixer sources that are remembered: those the patch names, else all inputs, the voices that
    players play, and textures. None where there is no room for a captured stem."""
    if not patch.capture.kept:
        return []
    if patch.capture.sources:
        return list(patch.capture.sources)
    played = {p.voice for p in patch.players.values()}
    return [
        *(f"input.{n}" for n in patch.inputs),
        *(f"voice.{n}" for n in patch.voices if n in played),
        *(f"texture.{n}" for n, p in patch.players.items() if p.to),
    ]


def channels_of(source: str) -> int:
    """Rows of a source in the tap: inputs are mono."""
    return 1 if source.startswith("input.") else 2


def capture_rows(patch: Patch) -> int:
    """Rows of the tap."""
    return sum(channels_of(s) for s in captured(patch))


def capture_frames(patch: Patch) -> int:
    """Frames of the longest capture, at three quarters of the slowest song's tempo; 0: none."""
    if not captured(patch):
        return 0
    return int(patch.capture.bars * slowest_bar_s(patch) / 0.75 * patch.audio.rate) + 64


class Memory:
    """The last `frames` frames of `rows` rows, by frame of the device's clock."""

    def __init__(self, rows: int, frames: int) -> None:
        self.audio = np.zeros((rows, frames), np.float32)
        self.first = self.next = 0  # what is remembered: [first, next)
        self._gaps: deque[tuple[int, int]] = deque(maxlen=GAPS_KEPT)

    def hear(self, frame: int, data: np.ndarray) -> None:
        """data: float32 (rows, n) from a frame on. What was lost in between is silence, what comes
        again is left out; time that goes back begins anew."""
        size = self.audio.shape[1]
        frame, data = unheard(self.next, frame, data)
        if not data.shape[1]:
            return
        if frame < self.next or self.next == self.first:
            self.first = self.next = frame
            self._gaps.clear()
        if frame > self.next:
            self._gaps.append((self.next, frame))
            silence = min(frame - self.next, size)
            self._write(frame - silence, np.zeros((len(self.audio), silence), np.float32))
        self._write(frame, data)
        self.next = frame + data.shape[1]
        self.first = max(self.first, self.next - size)

    def _write(self, frame: int, data: np.ndarray) -> None:
        size = self.audio.shape[1]
        at = frame % size
        head = min(data.shape[1], size - at)
        self.audio[:, at : at + head] = data[:, :head]
        self.audio[:, : data.shape[1] - head] = data[:, head:]

    def read(self, row: int, rows: int, frame: int, frames: int) -> np.ndarray:
        """float32 (rows, frames), a copy. Raises CaptureError where it is not remembered."""
        if frame < self.first or frame + frames > self.next:
            raise CaptureError("not remembered: it was too long ago, or this has just begun")
        size = self.audio.shape[1]
        at = frame % size
        head = min(frames, size - at)
        rows_ = slice(row, row + rows)
        return np.concatenate(
            [self.audio[rows_, at : at + head], self.audio[rows_, : frames - head]], axis=1
        )

    def lost(self, frame: int, frames: int) -> int:
        """How many of these frames were never heard."""
        return sum(max(0, min(b, frame + frames) - max(a, frame)) for a, b in self._gaps)

    def _holes(self, frame: int, frames: int) -> list[tuple[int, int]]:
        """Where these frames were never heard: (first, after the last), from `frame` on."""
        spans = ((max(a - frame, 0), min(b - frame, frames)) for a, b in self._gaps)
        return [(a, b) for a, b in spans if a < b]

    def loop(self, row: int, rows: int, frame: int, frames: int) -> np.ndarray:
        """A loop without a step, float32 (2, frames): its last SEAM_FRAMES go over into what came
        before its beginning, and what a missed cycle took away is bridged, for it would be heard
        at every pass. Raises CaptureError, also on silence."""
        seam = min(SEAM_FRAMES, frames, max(0, frame - self.first))
        heard = self.read(row, rows, frame - seam, seam + frames)
        bridge(heard, self._holes(frame - seam, seam + frames))
        before, audio = heard[:, :seam], heard[:, seam:]
        if float(np.abs(audio).max(initial=0.0)) < SILENT:
            raise CaptureError("silent: nothing was heard in these bars")
        if seam:
            share = (np.arange(1, seam + 1, dtype=np.float32) / np.float32(seam + 1))[None]
            audio[:, -seam:] = audio[:, -seam:] * (1 - share) + before * share
        return np.ascontiguousarray(np.broadcast_to(audio, (2, frames)))

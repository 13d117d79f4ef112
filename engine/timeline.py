"""Musical time over device time.

Timestamp   an int: a frame of the audio *device's* clock (not a count of frames we processed).
Timeline    an immutable snapshot (frame, beat, tempo, metre, phrase length, confidence), as in
            Ableton Link: beats are linear in frames around one anchor. Thread-safe (immutable);
            real-time safe (arithmetic only).
Boundary    what a musical action waits for: now, beat, bar or phrase.

Beat 0 is the first beat of bar 0 and of phrase 0. Seconds appear only at the edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

Timestamp = int

BPM_MIN = 20.0
BPM_MAX = 400.0


class Boundary(Enum):
    """The grid a queued action waits for."""

    NOW = "now"
    BEAT = "beat"
    BAR = "bar"
    PHRASE = "phrase"


@dataclass(frozen=True)
class Timeline:
    """frame: anchor frame. beat: the beat there. bpm: beats a minute. rate: frames a second.

    confidence: 0 (a guess) to 1 (a hand, or certain).
    """

    frame: Timestamp
    beat: float
    bpm: float
    rate: float
    beats_per_bar: int = 4
    bars_per_phrase: int = 4
    confidence: float = 1.0

    def __post_init__(self) -> None:
        check_bpm(self.bpm)
        if not (math.isfinite(self.beat) and math.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"timeline: beat {self.beat} and rate {self.rate} must be finite")
        if self.beats_per_bar < 1 or self.bars_per_phrase < 1:
            raise ValueError("timeline: beats_per_bar and bars_per_phrase must be at least 1")

    @property
    def frames_per_beat(self) -> float:
        return self.rate * 60.0 / self.bpm

    def beat_at(self, frame: Timestamp) -> float:
        """The beat (fractional) at a frame."""
        return self.beat + (frame - self.frame) / self.frames_per_beat

    def frame_at(self, beat: float) -> Timestamp:
        """The frame nearest to a beat."""
        return self.frame + round((beat - self.beat) * self.frames_per_beat)

    def beats_of(self, boundary: Boundary) -> float:
        """Length of a boundary's grid in beats; 0 for NOW."""
        if boundary is Boundary.NOW:
            return 0.0
        if boundary is Boundary.BEAT:
            return 1.0
        if boundary is Boundary.BAR:
            return float(self.beats_per_bar)
        return float(self.beats_per_bar * self.bars_per_phrase)

    def next_boundary(self, frame: Timestamp, boundary: Boundary) -> Timestamp:
        """The first frame at or after `frame` that lies on the boundary's grid.

        A grid point lies on the frame frame_at() gives it, so a boundary's own frame is its own
        next boundary even where the exact point falls up to half a frame before it.
        """
        grid = self.beats_of(boundary)
        if grid == 0.0:
            return frame
        k = math.floor(self.beat_at(frame) / grid)
        at = self.frame_at(k * grid)
        while at < frame:
            k += 1
            at = self.frame_at(k * grid)
        return at

    def bar_at(self, frame: Timestamp) -> int:
        """The bar (0-based, may be negative) that a frame lies in: from frame_at() of its first
        beat to the frame before the next bar's."""
        k = math.floor(self.beat_at(frame) / self.beats_per_bar)
        return k + 1 if self.frame_at((k + 1) * self.beats_per_bar) <= frame else k

    def at(self, frame: Timestamp) -> Timeline:
        """The same line, anchored at another frame."""
        return replace(self, frame=frame, beat=self.beat_at(frame))

    def with_tempo(self, frame: Timestamp, bpm: float) -> Timeline:
        """A line that goes on from `frame` at another tempo, without a jump in phase."""
        return replace(self.at(frame), bpm=bpm)


def check_bpm(bpm: float) -> float:
    """Return bpm, or raise ValueError saying what is wrong with it (NaN, 0, 10,000 ...)."""
    if not math.isfinite(bpm) or not BPM_MIN <= bpm <= BPM_MAX:
        raise ValueError(f"tempo is {bpm}, expected {BPM_MIN:g} to {BPM_MAX:g} beats a minute")
    return bpm

"""Where beats have been: the timelines of the last minutes, each from the frame it came into force.

Pure; the conductor's. What a hand corrected ("this is one") breaks the count of beats: what lies
before is then reckoned with the line of after, which knows better.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from engine.timeline import Timeline

KEPT = 4096  # lines; one a beat or a correction
JUMP_BEATS = 0.25  # a step in phase that is no correction but another count
EARLY_BEATS = 0.25  # a press this long before a bar line means the bar that it ends


@dataclass(frozen=True)
class Span:
    """Whole bars: start, end frames (fractional), and their beats."""

    start: float
    end: float
    beats: int

    def bpm(self, rate: float) -> float:
        return self.beats * 60.0 * rate / (self.end - self.start)


class BeatHistory:
    def __init__(self) -> None:
        self._lines: deque[tuple[int, Timeline]] = deque(maxlen=KEPT)

    def add(self, line: Timeline, since: int) -> None:
        """A line that is in force from a frame on."""
        self._lines.append((since, line))

    def frame_of(self, beat: float) -> float:
        """The frame (fractional) at which a beat of the newest line's count was, or will be."""
        limit = math.inf
        for i in range(len(self._lines) - 1, -1, -1):
            since, line = self._lines[i]
            frame = min(_frame(line, beat), limit)
            if frame >= since or not i:
                break
            if abs(self._lines[i - 1][1].beat_at(since) - line.beat_at(since)) > JUMP_BEATS:
                break
            limit = float(since)
        return frame

    def last_bars(self, bars: int, now: int) -> Span:
        """The last whole bars at a frame; the last of them may be over in EARLY_BEATS only."""
        line = self._lines[-1][1]
        bar = line.beats_per_bar
        end = math.floor((line.beat_at(now) + EARLY_BEATS) / bar) * bar
        beats = bars * bar
        return Span(self.frame_of(end - beats), self.frame_of(end), beats)


def _frame(line: Timeline, beat: float) -> float:
    return line.frame + (beat - line.beat) * line.frames_per_beat

"""How audio stems follow a tempo that moves: the kernel's beats, and how it cuts slices.

The kernel (engine/stems.c) plays a stem on at its own pace and, where the next slice would
come more than REACH_S from where the timeline has it, crossfades just before that slice to the
place that is right, give or take REACH_S. The figures are measured: `segue bench performance`,
stem_onset_ms and seam. Real-time safe.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.timeline import BPM_MAX, BPM_MIN

STEP_BEATS = 0.5
FADE_S = 0.015
REACH_S = 0.008
MARGIN_S = 0.002  # before what strikes: what comes early on the beat stays whole
ALIKE = 0.2
FRAMES_MAX = 2048  # of a fade or a reach (engine/kernel.h)
BEAT_MAX = 1e9


def cut(slicing: Any, rate: float) -> None:
    """Fill in the kernel's seg_slicing."""
    slicing.step = STEP_BEATS
    slicing.fade = min(FRAMES_MAX, round(FADE_S * rate))
    slicing.reach = min(FRAMES_MAX, round(REACH_S * rate))
    slicing.margin = round(MARGIN_S * rate)
    slicing.alike = ALIKE


def hold(desk: Any, frame: int, beat: float, per_beat: float) -> None:
    """A line (beat at frame, frames a beat) is in force from the next stretch on."""
    desk.beats.frame, desk.beats.beat, desk.beats.per_beat = frame, beat, per_beat


def is_line(beat: float, bpm: float) -> bool:
    """Whether the kernel can follow a line."""
    return abs(beat) <= BEAT_MAX and BPM_MIN <= bpm <= BPM_MAX


def follows(beat: float, per_beat: float, rate: float) -> bool:
    """Whether a stem's beat and frames a beat are such as the kernel can follow."""
    return abs(beat) <= BEAT_MAX and rate * 60.0 / BPM_MAX <= per_beat <= rate * 60.0 / BPM_MIN


def end_of(stem: np.void) -> int:
    """The frame after the last sample of one that sounds (engine/state.py STEM)."""
    end = int(stem["stop"]) + int(stem["fade"])
    return end if stem["loop"] >= 1 else min(end, int(stem["length"]) - int(stem["shift"]))

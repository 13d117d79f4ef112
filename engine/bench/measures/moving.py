"""A performance whose tempo moves by a known share, stepped by hand: what stem_onset and seam hear.

The conductor's clock is led by an external clock (a bandleader's click, say) whose tempo swings
sinusoidally around the stem's own. Everything else is the performance's own: conductor, book of
stems, commands, forward. No process, no clock of the wall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.channel_map import plain_map
from engine.conductor import Conductor
from engine.patch import Clock as ClockPatch
from engine.patch import Output, Patch, Role
from engine.performance import LivePerformance
from engine.shm import Shared
from engine.timeline import Timeline

RATE = 48000
BLOCK = 128
TICK_FRAMES = 256
BPM = 120.0
BARS = 4
BEATS = 4 * BARS
SWING = 0.03  # share of the tempo
SWING_S = 12.0  # one swing up and down
LEAD_BEATS = 4.0  # before the stem enters


@dataclass
class Moved:
    """audio float32 (2, frames) from frame 0; lines: (frame from which it held, Timeline); start:
    the stem's first frame; beat: of the timeline there; joins: (frame, shift before, shift after)
    of each crossfade, a shift being source frame minus frame."""

    audio: np.ndarray
    lines: list[tuple[int, Timeline]]
    start: int
    beat: float
    joins: list[tuple[int, int, int]]

    def frame_of(self, beat: float) -> float:
        """The frame (fractional) at which the moving timeline passed a beat of the performance."""
        for (_, line), (until, _) in zip(self.lines, [*self.lines[1:], (2**62, None)], strict=True):
            frame = line.frame + (beat - line.beat) * line.frames_per_beat
            if frame < until:
                return frame
        raise ValueError(f"beat {beat} never came")


def swinging_beat(seconds: float, swing: float) -> tuple[float, float]:
    """(beat, BPM) of the leading clock: BPM * (1 + swing * sin), integrated."""
    w = 2.0 * math.pi / SWING_S
    beat = BPM / 60.0 * (seconds + swing / w * (1.0 - math.cos(w * seconds)))
    return beat, BPM * (1.0 + swing * math.sin(w * seconds))


def perform(stem: np.ndarray, seconds: float, swing: float = SWING) -> Moved:
    """Play a looping stem, float32 (2, BARS bars at BPM), against the moving clock."""
    patch = Patch(
        clock=ClockPatch(bpm=BPM, source="internal"),
        roles={"stem": Role(bars=BARS, enter="bar", ahead=1, to={"main": 0.0})},
        outputs={"main": Output((1, 2), limit=False)},
    )
    shared = Shared.private(patch)
    engine = LivePerformance(patch, shared, plain_map(patch), RATE, None)
    conductor = Conductor(patch, shared.slots, shared.slot_frames)
    conductor.let_in = conductor.scripted = True
    lines: list[tuple[int, Timeline]] = []
    out = np.zeros((2, round(seconds * RATE)), np.float32)
    joins: list[tuple[int, int, int]] = []
    start, beat = -1, 0.0
    for t in range(0, out.shape[1] - BLOCK + 1, BLOCK):
        if t % TICK_FRAMES == 0:
            _tick(conductor, shared, stem, t, swing)
        engine.hear(None, BLOCK)
        out[:, t : t + BLOCK] = engine.forward(t).out.T
        _note_joins(engine.state["stems"][0], joins)
        for line in conductor.lines():
            lines.append((t, line))
        playing = conductor.book.playing("stem")
        if start < 0 and playing is not None:
            start = playing.start_frame
            beat = float(round(lines[-1][1].beat_at(start)))
    return Moved(out, lines, start, beat, joins)


def _note_joins(stems: np.ndarray, joins: list[tuple[int, int, int]]) -> None:
    for stem in stems[(stems["state"] == 2) & (stems["slice"] > 0)]:
        join = (int(stem["join"]), int(stem["before"]), int(stem["shift"]))
        if join[0] > 0 and (not joins or join[0] > joins[-1][0]):
            joins.append(join)


def _tick(conductor: Conductor, shared: Shared, stem: np.ndarray, t: int, swing: float) -> None:
    for report in shared.ring("reports").pop(512):
        conductor.report(report)
    conductor.begin(t, RATE)
    assert conductor.clock is not None
    beat, bpm = swinging_beat(t / RATE, swing)
    conductor.clock.external(t, beat, bpm)
    if beat > LEAD_BEATS:
        conductor.wanted.add("stem")
    conductor.advance(t)
    book = conductor.book
    for entry, _ in book.requests:
        base, frames = entry.slot * shared.slot_frames * 2, stem.shape[1]
        shared.arena[base : base + frames] = stem[0]
        shared.arena[base + frames : base + 2 * frames] = stem[1]
        # The stem is exactly BARS bars at BPM, whatever the tempo at which it was asked for.
        entry.bpm = BPM
        ready = {"job": entry.id, "event": "ready", "frames": frames}
        book.pool_event({**ready, "loop": BEATS * 60.0 / BPM * RATE}, t)
    book.requests.clear()
    for command in conductor.commands:
        shared.ring("commands").push(command)
    conductor.commands.clear()

"""Stems: requests, results, and the one table of their states.

A StemMaker (models/*/adapter.py) answers a StemRequest with notes on a beat grid;
engine/stem_render turns them into audio of exactly `bars` bars. Times inside a stem are beats from
its start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

FILES_MAKER = "files"  # a role's stems come from a folder (engine/stem_files.py)
VARIATIONS = 4  # kept of each role, to be picked by a hand


class Play(Enum):
    """How a stem is played."""

    LOOP = "loop"
    ONCE = "once"
    FILL = "fill"  # once, so that it ends on a boundary; then what it covered goes on
    ENDING = "ending"  # once; everything else stops where it begins, and the song is over


class StemState(Enum):
    REQUESTED = "requested"
    GENERATING = "generating"
    READY = "ready"
    QUEUED = "queued"
    PLAYING = "playing"
    RETIRING = "retiring"
    DONE = "done"
    FAILED = "failed"
    LATE = "late"
    REJECTED = "rejected"


_S = StemState
STEM_STEPS: dict[StemState, frozenset[StemState]] = {
    _S.REQUESTED: frozenset({_S.GENERATING, _S.FAILED, _S.LATE, _S.REJECTED}),
    _S.GENERATING: frozenset({_S.READY, _S.FAILED, _S.LATE, _S.REJECTED}),
    _S.LATE: frozenset({_S.READY, _S.FAILED, _S.REJECTED}),
    _S.READY: frozenset({_S.QUEUED, _S.REJECTED}),
    _S.QUEUED: frozenset({_S.PLAYING, _S.READY, _S.REJECTED}),
    _S.PLAYING: frozenset({_S.RETIRING, _S.DONE}),
    _S.RETIRING: frozenset({_S.DONE, _S.PLAYING}),
    _S.DONE: frozenset({_S.QUEUED, _S.REJECTED}),
    _S.FAILED: frozenset(),
    _S.REJECTED: frozenset(),
}


class StemStepError(ValueError):
    """A step that STEM_STEPS does not allow."""


def step(now: StemState, to: StemState) -> StemState:
    """Return `to`, or raise StemStepError when a stem in `now` may not become it."""
    if to not in STEM_STEPS[now]:
        raise StemStepError(f"stem is {now.value}, cannot become {to.value}")
    return to


@dataclass(frozen=True)
class StemNote:
    """start, duration: beats from the stem's start. key, velocity: MIDI. drums: the GM kit."""

    start: float
    duration: float
    key: int
    velocity: int
    program: int = 0
    drums: bool = False


@dataclass(frozen=True)
class StemRequest:
    """What is asked of a maker.

    role: drums, bass, chords, melody ... bars, bpm, beats_per_bar: its exact length. key: tonic
    pitch class 0-11 (0 = C). minor: natural minor, else major. density: 0..1. seed: the same
    request gives the same stem. context: notes heard so far, in beats before the stem's start.
    deadline_frame: when it must be ready (0: no hurry).
    """

    id: int
    role: str
    bars: int
    bpm: float
    beats_per_bar: int = 4
    key: int = 0
    minor: bool = False
    density: float = 0.5
    vibe: str = ""
    seed: int = 0
    context: tuple[StemNote, ...] = ()
    deadline_frame: int = 0

    @property
    def beats(self) -> float:
        return float(self.bars * self.beats_per_bar)


@dataclass
class Stem:
    """A finished stem. notes lie in [0, beats); audio: float32 (2, frames), None before rendering.

    frames_exact: bars' length in frames, fractional: loop k starts at round(k * frames_exact).
    provenance: maker, model, checkpoint, seed, seconds taken.
    """

    request: StemRequest
    notes: list[StemNote]
    audio: np.ndarray | None = None
    frames_exact: float = 0.0
    loudness_lufs: float = float("nan")
    provenance: dict[str, object] = field(default_factory=dict)

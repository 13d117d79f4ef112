"""Is what a recorded performance renders to what was played, bit for bit? See engine/replay.py."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.mixer import BUS_ORDER
from engine.performance import LivePerformance
from engine.replay import Block, Replay
from engine.session import Session, SessionError
from engine.tracks import is_output, tracks_of

MAIN = "bus.main"
CALM_S = 1.0  # nearly equal for so long: what was lost before is no more to be heard
REMEMBERED_S = 30.0  # the longest reverb has died away; what differs after it was never a loss's
NEARLY = 1e-6  # of full scale: the last bits of a filter may remember for ever


@dataclass
class Check:
    """equal: all that left (main, the other buses, the control voltages) as rendered is as
    recorded, outside gaps. frames: compared. gaps: (frame, frames) that nobody played or recorded,
    and, after what was played and not recorded, what differs because filters and tails remember it.
    first_difference: a frame, or None. different: frames of main that are; unequal: the same of
    each output that has any. speed: times real time."""

    equal: bool = True
    frames: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    first_difference: int | None = None
    different: int = 0
    unequal: dict[str, int] = field(default_factory=dict)
    compared: list[str] = field(default_factory=list)
    speed: float = 0.0
    lives: int = 0
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {**vars(self)}


def check(session: Session, replay: Replay) -> Check:
    """Render the session and compare each output with its track. Raises SessionError."""
    outputs = _Outputs(session)
    result = Check(lives=len(session.lives), compared=list(outputs.rows))
    known = first_unknown(session)
    expected = session.first_frame
    begun = time.perf_counter()
    rendered = 0
    lost = _holes(session)
    unknown = False  # an input is missing, and what is made from here on remembers it
    doubt = 0  # frames that still have to be nearly equal after some that were lost
    forgotten = 0  # the frame from which a loss explains no more than last bits
    engine: LivePerformance | None = None  # that has lost some
    for block in replay.blocks():
        rendered += block.n
        if block.t > expected:
            result.gaps.append((expected, block.t - expected))
        expected = block.t + block.n
        recorded = outputs.recorded(block)
        holes = any(s < expected and block.t < e for s, e in lost) and block.again is None
        unknown = unknown or expected > known
        if block.engine is not engine:
            engine, doubt = None, 0
        if holes:
            engine, doubt = block.engine, round(CALM_S * session.rate)
            forgotten = expected + round(REMEMBERED_S * session.rate)
        if recorded is None or unknown or holes:
            result.gaps.append((block.t, block.n))
            continue
        made = outputs.made(block)
        same = recorded == made
        if engine is not None and not same.all():
            with np.errstate(all="ignore"):
                near = np.abs(recorded.view("f4") - made.view("f4")).max() <= NEARLY
            if near or (doubt > 0 and block.t < forgotten):
                doubt = doubt - block.n if near else round(CALM_S * session.rate)
                result.gaps.append((block.t, block.n))
                continue
        doubt -= block.n
        result.frames += block.n
        if not same.all():
            _note(result, outputs, block.t, same)
    end = session.first_frame + len(session.tracks[MAIN])
    if end > expected:  # recorded, and nobody says how it came about
        result.gaps.append((expected, end - expected))
    seconds = time.perf_counter() - begun
    result.speed = rendered / session.rate / seconds if seconds else 0.0
    result.gaps = _joined_gaps(result.gaps)
    result.equal = not result.unequal and result.frames > 0
    result.problems = [*session.problems, *dict.fromkeys(replay.problems)]
    return result


class _Outputs:
    """What left, as bits: uint32 (channels, n). rows: of each output track that is there."""

    def __init__(self, session: Session) -> None:
        self._first = session.first_frame
        self._tracks: list[np.ndarray] = []
        self._places: list[int] = []  # among the channels of a recorder's record
        self.rows: dict[str, slice] = {}
        place = 0
        for track in tracks_of(session.patch):
            audio = session.tracks.get(track.name)
            if is_output(track.name) and audio is not None:
                self._tracks.append(audio)
                at = len(self._places)
                self.rows[track.name] = slice(at, at + track.channels)
                self._places += range(place, place + track.channels)
            place += track.channels
        if MAIN not in self.rows:
            raise SessionError(f"the track {MAIN} is missing: there is nothing to compare with")

    def recorded(self, block: Block) -> np.ndarray | None:
        """None where not all of it was."""
        if block.again is not None:
            return None if np.isnan(block.again).any() else block.again[self._places].view("u4")
        a = block.t - self._first
        if a < 0:
            return None
        pieces = [track[a : a + block.n].view(">u4") for track in self._tracks]
        if min(map(len, pieces)) < block.n:
            return None
        return np.concatenate(pieces, axis=1).T

    def made(self, block: Block) -> np.ndarray:
        made = np.zeros((len(self._places), block.n), np.float32)
        channels = block.engine.channels.cv
        for name, rows in self.rows.items():
            kind, _, name_ = name.partition(".")
            if kind == "bus":
                made[rows] = block.engine.mixer.buses[BUS_ORDER.index(name_), :, : block.n]
            elif name_ in channels:
                made[rows] = block.out[: block.n, channels[name_]]
        return made.view("u4")


def _note(result: Check, outputs: _Outputs, t: int, same: np.ndarray) -> None:
    wrong = np.flatnonzero(~same.all(axis=0))
    if result.first_difference is None:
        result.first_difference = t + int(wrong[0])
    for name, rows in outputs.rows.items():
        frames = int((~same[rows].all(axis=0)).sum())
        if frames:
            result.unequal[name] = result.unequal.get(name, 0) + frames
    result.different = result.unequal.get(MAIN, 0)


def first_unknown(session: Session) -> int:
    """The frame at which the first of the input tracks that are there ends."""
    lengths = [len(a) for n, a in session.tracks.items() if not is_output(n)]
    return session.first_frame + min(lengths, default=session.frames)


def _holes(session: Session) -> list[tuple[int, int]]:
    """(first, end) of every stretch that the tracks do not hold."""
    return [(frame, frame + frames) for frame, frames in session.jumps]


def _joined_gaps(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for frame, frames in gaps:
        if joined and sum(joined[-1]) == frame:
            joined[-1] = (joined[-1][0], joined[-1][1] + frames)
        else:
            joined.append((frame, frames))
    return joined

"""Risk: a missed cycle makes the tracker start anew, or puts its beats at the wrong frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.layout import OBSERVATION
from engine.listener_host import BRIDGE_FRAMES, ListenerHost
from engine.patch import Input, Output, Patch
from engine.shm import Shared

BLOCK = 128


class Heard:
    """An observer that keeps what it is given."""

    hop = 512

    def __init__(self) -> None:
        self.hops: list[tuple[int, np.ndarray]] = []

    def load(self, checkpoint: Path | None, rate: int, config: dict[str, Any]) -> None:
        """Nothing to load."""

    def observe(self, t: int, audio: np.ndarray) -> np.ndarray:
        self.hops.append((t, audio.copy()))
        return np.zeros(0, OBSERVATION)


def listen(frames: list[int]) -> Heard:
    """What is heard of blocks at these frames, each sample being its own frame."""
    patch = Patch(
        inputs={"drums": Input(channel=1, to={"main": 0.0})}, outputs={"main": Output((1, 2))}
    )
    shared, observer = Shared.private(patch), Heard()
    host = ListenerHost(shared, observer)
    ring = shared.ring("tap.listener")
    for frame in frames:
        record = np.zeros(1, ring.dtype)
        record["frame"], record["count"] = frame, BLOCK
        record["data"][0, 0, :BLOCK] = np.arange(frame, frame + BLOCK)
        ring.push(record)
        host.turn()
    return observer


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=20, max_size=36))
def test_missed_cycles_are_silence_at_their_place(missed: list[bool]) -> None:
    frames = [1024] + [1024 + (k + 1) * BLOCK for k, gone in enumerate(missed) if not gone]
    heard = listen(frames)
    assert [t for t, _ in heard.hops] == [1024 + k * 512 for k in range(len(heard.hops))]
    assert len(heard.hops) == (frames[-1] + BLOCK - 1024) // 512
    for t, audio in heard.hops:
        there = np.isin(np.arange(t, t + 512) // BLOCK * BLOCK, frames)
        assert np.array_equal(audio[0], np.where(there, np.arange(t, t + 512), 0.0))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 3), min_size=20, max_size=36))
def test_cycles_that_come_twice_are_heard_once(times: list[int]) -> None:
    once = [1024 + k * BLOCK for k in range(len(times))]
    heard = listen([frame for frame, n in zip(once, times, strict=True) for _ in range(n)])
    assert [t for t, _ in heard.hops] == [1024 + k * 512 for k in range(len(times) * BLOCK // 512)]
    for t, audio in heard.hops:
        assert np.array_equal(audio[0], np.arange(t, t + 512))


def test_a_long_gap_starts_anew() -> None:
    later = 1024 + BLOCK + BRIDGE_FRAMES + 1
    heard = listen([1024, *(later + k * BLOCK for k in range(4))])
    assert [t for t, _ in heard.hops] == [later]


class Struck(Heard):
    """An observer that finds something at the first frame of every hop."""

    def observe(self, t: int, audio: np.ndarray) -> np.ndarray:
        found = np.zeros(1, OBSERVATION)
        found["frame"] = t
        return found


def test_what_is_heard_is_older_than_what_is_played_with_it_by_the_round_trip() -> None:
    patch = Patch(
        inputs={"drums": Input(channel=1, to={"main": 0.0})}, outputs={"main": Output((1, 2))}
    )
    for late in (0, 427):
        shared = Shared.private(patch)
        host = ListenerHost(shared, Struck(), late)
        ring = shared.ring("tap.listener")
        for block in range(8):
            record = np.zeros(1, ring.dtype)
            record["frame"], record["count"] = 1024 + block * BLOCK, BLOCK
            ring.push(record)
        host.turn()
        told = [int(o["frame"]) for o in shared.ring("observations").pop(8)]
        assert told == [1024 - late, 1536 - late]

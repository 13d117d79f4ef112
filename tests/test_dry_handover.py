"""Risk: between the audio process and the dry path beside it there is a step, a hole, a double."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.audio.dry import ffi, lib
from engine.mixer import LIMIT_DB, linear
from engine.performance import START_FADE_FRAMES
from engine.shm_records import DRY_COVERING, DRY_DONE, DRY_HAND

N = 128
PATIENCE = 3
START = 2**32 - 40 * N  # the server's counter passes its end in every test


class Server:
    """A JACK server of one input and one output, whose cycles are counted by hand."""

    def __init__(self, block: int = N) -> None:
        self.words = np.zeros(8, "<i8")
        self.block, self.frame = block, START
        self.heard: list[np.ndarray] = []
        self._sound = np.ones(block, np.float32)
        self._out = np.zeros(block, np.float32)
        self._keep: list[Any] = []
        path = self.path = ffi.new("dry_path *")
        path.buffer_of = self._callback("void *(*)(void *, uint32_t)", self._buffer_of)
        path.frame_time = self._callback("uint32_t (*)(const void *)", lambda _: self.frame % 2**32)
        path.inputs[0], path.outputs[0] = ffi.cast("void *", 1), ffi.cast("void *", 2)
        path.input_count = path.output_count = path.send_count = 1
        path.sends[0].gain = path.sends[0].present = 1.0
        path.patience, path.enabled = PATIENCE, 1
        path.words = ffi.cast("int64_t *", self.words.ctypes.data)

    def limit(self) -> None:
        """As for an output that has `limit: true`."""
        self.path.limiters[0].left, self.path.limiters[0].right = 0, -1
        self.path.limiters[0].gain, self.path.limiter_count = 1.0, 1
        self.path.threshold, self.path.release = linear(LIMIT_DB), 1e-3

    def hear(self, sound: np.ndarray) -> np.ndarray:
        """What leaves for one block of input, while it covers."""
        self._sound[:] = sound
        return self.cycle(False).copy()

    def _callback(self, kind: str, function: Any) -> Any:
        made = ffi.callback(kind, function)
        self._keep.append(made)
        return ffi.cast("void *", made)

    def _buffer_of(self, port: Any, _: int) -> Any:
        array = self._sound if int(ffi.cast("intptr_t", port)) == 1 else self._out
        return ffi.cast("void *", array.ctypes.data)

    def cycle(self, segue: bool, hand: int | None = None) -> np.ndarray:
        """One cycle; segue: whether the audio process finishes a block in it, after our look."""
        lib.dry_cycle(self.block, self.path)
        self.heard.append(self._out.copy())
        self.frame += self.block
        if segue:
            self.words[DRY_DONE] = self.frame
        if hand is not None:
            self.words[DRY_HAND] = hand
        return self.heard[-1]

    @property
    def covering(self) -> bool:
        return bool(self.words[DRY_COVERING])


def test_silent_while_the_audio_process_plays() -> None:
    server = Server()
    for _ in range(100):
        assert not server.cycle(True).any()
    assert not server.covering


def test_single_missed_cycles_are_left_alone() -> None:
    server = Server()
    for i in range(100):
        assert not server.cycle(i % 3 > 0).any()


def test_after_a_death_it_plays_within_patience_and_without_a_step() -> None:
    server = Server()
    for _ in range(10):
        server.cycle(True)
    silent = 0
    while not server.cycle(False).any():
        silent += 1
        assert silent <= PATIENCE
    sound = np.concatenate([server.heard[-1], server.cycle(False)])
    assert np.abs(np.diff(sound, prepend=np.float32(0))).max() <= 1 / 64 + 1e-6
    assert (sound[-N:] == 1).all()


@pytest.mark.parametrize("block", [32, 64, 128, 131, 1024])
def test_both_fades_together_are_unity(block: int) -> None:
    server = Server(block)
    for _ in range(PATIENCE + 8):
        server.cycle(False)
    hand = server.frame + 2 * block + 17
    server.cycle(True, hand)
    first = server.frame
    heard = np.concatenate([server.cycle(True) for _ in range(40)])
    frames = np.arange(first, first + len(heard))
    rising = np.clip((frames - hand) / START_FADE_FRAMES, 0.0, 1.0)
    assert np.abs(heard + rising - 1.0).max() < 1e-6
    assert not server.covering
    assert not heard[hand + START_FADE_FRAMES - first :].any()


def test_it_plays_on_until_it_is_relieved() -> None:
    server = Server()
    for _ in range(PATIENCE + 2):
        server.cycle(False)
    for _ in range(20):  # the audio process is back and knows nothing of it yet
        assert server.cycle(True).any()
    assert server.covering


def test_a_successor_that_dies_while_it_takes_over_is_covered_again() -> None:
    server = Server()
    for _ in range(PATIENCE + 2):
        server.cycle(False)
    server.cycle(True, server.frame + 2 * N)
    for _ in range(12):
        server.cycle(False)
    assert (server.heard[-1] == 1).all()


def test_told_to_be_silent_it_fades_and_stays_so() -> None:
    server = Server()
    for _ in range(PATIENCE + 2):
        server.cycle(False)
    server.path.enabled = 0
    sound = np.concatenate([server.cycle(False) for _ in range(4)])
    assert np.abs(np.diff(sound, prepend=np.float32(1))).max() <= 1 / 64 + 1e-6
    assert not sound[N:].any()
    assert not server.covering


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_whatever_comes_no_step_is_larger_than_its_fades(lives: list[tuple[bool, bool]]) -> None:
    """(whether a block is finished, whether a hand-over is asked for, two blocks ahead of it; not
    while another is under way)."""
    server = Server()
    over = 0
    for segue, asks in lives:
        hand = server.frame + 3 * N if asks and server.frame >= over else None
        server.cycle(segue, hand)
        over = over if hand is None else hand + START_FADE_FRAMES
    sound = np.concatenate([np.zeros(1, np.float32), *server.heard])
    assert np.isfinite(sound).all()
    assert sound.min() >= 0
    assert sound.max() <= 1
    assert np.abs(np.diff(sound)).max() <= 1 / 64 + 1e-6


def test_a_howl_is_bounded_as_by_the_mixers_limiter_and_leaves_no_trace() -> None:
    server = Server()
    server.limit()
    while not server.covering:
        server.hear(np.zeros(N))
    server.hear(np.zeros(N))
    rng = np.random.default_rng(1)
    quiet = rng.uniform(-0.5, 0.5, N).astype(np.float32)
    assert np.array_equal(server.hear(quiet), quiet)  # at rest it changes no bit
    for grows in 1.5 ** np.arange(20):  # a loop round a microphone and a loudspeaker
        assert np.abs(server.hear(grows * quiet)).max() <= np.float32(linear(LIMIT_DB))
    for _ in range(120):
        last = server.hear(quiet)
    assert np.array_equal(last, quiet)


def test_nan_of_a_client_is_not_played() -> None:
    server = Server()
    while not server.covering:
        server.hear(np.zeros(N))
    server.hear(np.zeros(N))
    broken = np.full(N, 0.25, np.float32)
    broken[5:9] = np.nan, np.inf, -np.inf, np.nan
    heard = server.hear(broken)
    assert not heard[5:9].any()
    assert (np.delete(heard, range(5, 9)) == 0.25).all()

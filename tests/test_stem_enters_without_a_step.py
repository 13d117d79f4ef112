"""Risk: a stem enters, at a song's or scene's change or as a capture, or one that is played once
ends, with a step in the sound."""

from __future__ import annotations

import numpy as np
import pytest
from stage import EASE
from stage import entered as as_it_enters

from engine.kernel import ffi, lib, pointer
from engine.state import fresh
from engine.stem_orders import EASE_FRAMES

LENGTH, START, FRAMES = 1000, 300, 3500


def rendered(
    block: int, first: float, gain: float = 1.0, eased: bool = True, once: bool = False
) -> np.ndarray:
    """A loop whose first sample (and about its last) is `first`, from frame START on; float32
    (FRAMES, 2). eased: as the conductor lets stems in. once: no loop."""
    sound = np.float32(0.5) * np.cos(np.arange(LENGTH) * 2 * np.pi / LENGTH, dtype=np.float32)
    sound += np.float32(first - 0.5)
    arena = np.concatenate([sound, -sound])
    state = fresh()
    stem = state[0]["stems"][0]
    stem["start"], stem["stop"], stem["length"] = START, 2**62, LENGTH
    stem["loop"] = 0 if once else LENGTH
    stem["gain"], stem["fade"], stem["id"], stem["state"] = gain, 240, 1, 1
    stem["ease"] = EASE if eased else 0
    beats, slicing = ffi.new("seg_beats[1]", [{"per_beat": 1.0}]), ffi.new("seg_slicing *")
    out = np.zeros((2, FRAMES), np.float32)
    marks = np.zeros(2, np.uint32)
    for t in range(0, FRAMES, block):
        n = min(block, FRAMES - t)
        piece = np.zeros((2, n), np.float32)
        lib.seg_stems(
            pointer(state["stems"], "seg_stem *"), 32, pointer(arena), arena.size, pointer(piece),
            n, t, n, beats, slicing,
            pointer(marks, "uint32_t *"), pointer(marks[1:], "uint32_t *"),
        )  # fmt: skip
        out[:, t : t + n] = piece
    return out.T


def test_the_conductor_eases_as_the_tests_say() -> None:
    assert EASE_FRAMES == EASE


@pytest.mark.parametrize("first", [0.5, -0.3, 0.02])
def test_what_does_not_begin_at_nothing_comes_in_without_a_step(first: float) -> None:
    steps = np.abs(np.diff(rendered(128, first), axis=0)).max(axis=1)
    assert steps.max() < abs(first) / 60 + 0.0035  # the cosine's own


def test_it_comes_in_as_it_is_said_to_and_then_is_itself() -> None:
    out = rendered(128, 0.5)
    loop = out[START + LENGTH : START + 2 * LENGTH]
    assert np.array_equal(out[START:], as_it_enters(loop, START, FRAMES))
    assert np.array_equal(out[START + EASE : START + LENGTH], loop[EASE:])


def test_what_is_not_eased_is_heard_bit_for_bit() -> None:
    out = rendered(128, 0.5, eased=False)
    assert np.array_equal(out[START : START + LENGTH], out[START + LENGTH : START + 2 * LENGTH])


def test_what_begins_at_nothing_is_left_bit_for_bit() -> None:
    out = rendered(128, 0.0)
    assert np.array_equal(out[START : START + LENGTH], out[START + LENGTH : START + 2 * LENGTH])


@pytest.mark.parametrize("first", [0.5, -0.3, 0.02])
def test_what_is_cut_off_at_its_end_leaves_without_a_step(first: float) -> None:
    out = rendered(128, first, once=True)
    steps = np.abs(np.diff(out, axis=0)).max(axis=1)
    assert steps.max() < abs(first) / 60 + 0.0035
    whole = rendered(128, first)
    last = START + LENGTH - EASE
    assert np.array_equal(out[:last], whole[:last])
    assert not out[START + LENGTH :].any()


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_the_block_changes_nothing(block: int, once: bool) -> None:
    again = rendered(block, 0.4, 0.7, once=once)
    assert np.array_equal(again, rendered(128, 0.4, 0.7, once=once))

"""Risk: the bench of hands times another press's answer, or calls no answer a fast one."""

from __future__ import annotations

import numpy as np
import pytest

from engine.bench.hands import _changes, _onsets
from engine.bench.hands_stage import CAPTURES, CUE, LOOP_FRAMES, MONITOR, RATE
from engine.bench.native import CYCLE, Recording

START = 1000
FRAMES = 4 * RATE
BEGUN = START + LOOP_FRAMES + 500


def recording(audio: np.ndarray) -> Recording:
    return Recording(RATE, 128, START, START, audio, np.zeros(0, CYCLE), 0, False)


def noise() -> np.ndarray:
    """The loop on the cue, float32 (frames, inputs)."""
    loop = np.random.default_rng(1).uniform(0.1, 0.2, LOOP_FRAMES).astype(np.float32)
    audio = np.zeros((FRAMES, CAPTURES), np.float32)
    audio[:, CUE] = np.resize(loop, FRAMES)
    return audio


def test_dry_on_and_off_are_found_on_their_frames() -> None:
    audio = noise()
    on, off = BEGUN + 4000, BEGUN + 14000
    audio[on + 300 - START : off + 450 - START, CUE] = 0.0
    audio[on + 300 - START : on + 1260 - START, CUE] = 0.01  # a fade begins there
    found = _changes(recording(audio), BEGUN, [on, off])
    assert found.tolist() == [300.0, 450.0]


def test_a_press_that_nothing_answers_is_not_answered_by_the_next() -> None:
    audio = noise()
    first, second = BEGUN + 4000, BEGUN + 9000
    audio[second + 200 - START :, CUE] = 0.0
    found = _changes(recording(audio), BEGUN, [first, second])
    assert np.isnan(found[0])
    assert found[1] == 200.0


@pytest.mark.parametrize("after", [1, 250, 20_000])
def test_a_one_shot_is_timed_from_its_own_press(after: int) -> None:
    audio = noise()
    presses = [BEGUN + k * 25_000 for k in range(2)]
    for press in presses:
        audio[press + after - START : press + after + 100 - START, MONITOR] = 0.3
    assert _onsets(recording(audio), presses).tolist() == [after, after]

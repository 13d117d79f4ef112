"""Risk: a song change that misses cycles or clicks is measured as one that does neither."""

from __future__ import annotations

import numpy as np
import pytest

from engine.bench.measures.changes import BLOCK, RATE, Change, Played, figures, held_tones
from engine.bench.native import CYCLE, LATE, Recording
from engine.shm_records import LEDGER

SECONDS = 12
START = 1000 * BLOCK


def recording(late: tuple[int, ...] = (), step: float = 0.0, at: int = 0) -> Recording:
    """A client that was late for some cycles; what it heard, with a step at a frame."""
    count = SECONDS * RATE // BLOCK
    cycles = np.zeros(count, CYCLE)
    cycles["frame"] = START + BLOCK * np.arange(count)
    cycles["frames"] = BLOCK
    cycles["flags"][list(late)] = LATE
    audio = np.tile(held_tones(2), (SECONDS // 2, 2))[: count * BLOCK].copy()
    audio[at:] += np.float32(step if at else 0.0)
    return Recording(RATE, BLOCK, START, START, audio, cycles, 0, False)


def rows(late: tuple[int, ...] = ()) -> np.ndarray:
    made = np.zeros(SECONDS * RATE // BLOCK, LEDGER)
    made["frame"] = START + BLOCK * np.arange(len(made))
    made["frames"] = BLOCK
    made["late_us"] = -5
    made["late_us"][list(late)] = 90
    return made


PRESS, HEARD = 3 * RATE, 5 * RATE  # from the recording's start
CYCLE_OF_PRESS = PRESS // BLOCK
CHANGES = {"song": [Change(START + PRESS, START + HEARD)]}


def test_nothing_missed_and_no_step_is_nothing() -> None:
    facts = figures(Played(CHANGES, [rows()]), recording(), recording())["song"]
    assert (facts["missed"], facts["native"], facts["excess_per_100k"]) == (0, 0, 0.0)
    assert facts["cycles"] == (HEARD - PRESS + RATE) // BLOCK
    assert -6.0 < facts["step_db"] < 1.0


@pytest.mark.parametrize(("native", "excess"), [((), 1), ((CYCLE_OF_PRESS,), 0)])
def test_a_miss_counts_as_excess_where_the_client_had_none(
    native: tuple[int, ...], excess: int
) -> None:
    played = Played(CHANGES, [rows((CYCLE_OF_PRESS,))])
    facts = figures(played, recording(), recording(native))["song"]
    assert (facts["missed"], facts["native"]) == (1, len(native))
    assert bool(facts["excess_per_100k"]) == bool(excess)


def test_a_miss_outside_the_change_is_not_the_changes() -> None:
    played = Played(CHANGES, [rows((10,))])
    assert figures(played, recording(), recording())["song"]["missed"] == 0


@pytest.mark.parametrize("at", [PRESS + 200, HEARD + 200])
def test_a_step_at_the_press_or_the_change_is_measured(at: int) -> None:
    heard = recording(step=0.1, at=at)
    assert figures(Played(CHANGES, [rows()]), heard, recording())["song"]["step_db"] > 15.0


def test_a_step_where_a_cycle_was_lost_is_not_the_changes() -> None:
    at = HEARD + 200
    heard = recording(late=(at // BLOCK,), step=0.1, at=at)
    assert figures(Played(CHANGES, [rows()]), heard, recording())["song"]["step_db"] < 1.0

"""Risk: what segue did wrong is put down to the machine, or the other way round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.gig.judge import Finding, judge
from engine.gig.judge_misses import OWN_KEYS, miss_kinds, of_a_miss
from engine.gig.night import Night

BLOCK = 128
START = 1000  # not where a period begins
MISSED = 40 * BLOCK - START  # in the night's frames


@pytest.fixture
def night() -> Night:
    main = np.zeros((20_000, 2), np.float32)
    return Night(48_000, START, [], main, missed=[MISSED], block=BLOCK)


@pytest.mark.parametrize("periods", [0, 1, 2, 3])
def test_a_click_where_a_period_begins_after_a_missed_cycle_is_of_it(
    night: Night, periods: int
) -> None:
    at = MISSED + periods * BLOCK
    assert of_a_miss(night, "clicks", at)
    assert of_a_miss(night, "clicks", at - 1)
    assert not of_a_miss(night, "clicks", at + 5)  # of a played block
    assert of_a_miss(night, "dry_gap_frames", at + 5)


def test_nothing_before_a_miss_or_long_after_it_is_of_it(night: Night) -> None:
    for at in (MISSED - BLOCK, MISSED - 2, MISSED + 5 * BLOCK, MISSED + 500 * BLOCK):
        assert not of_a_miss(night, "clicks", at)
        assert not of_a_miss(night, "dry_gap_frames", at)
    assert not of_a_miss(replace(night, missed=[]), "clicks", MISSED)


def test_the_verdict_counts_what_no_missed_cycle_explains(night: Night) -> None:
    found = [
        Finding("clicks", "main", MISSED + BLOCK),
        Finding("clicks", "main", MISSED + BLOCK + 30),
        Finding("clicks", "main", 19_000),
        Finding("dry_gap_frames", "drums", MISSED + BLOCK, 100),
        Finding("dry_gap_frames", "drums", 15_000, 70),
        Finding("stuck_notes", "answers", 15_000),
    ]
    counts = judge(night, found)
    assert counts["clicks"] == 3
    assert counts["dry_gap_frames"] == 170
    assert [counts[key] for key in OWN_KEYS] == [2, 70]


def test_misses_are_sorted_by_what_is_known_of_them() -> None:
    others = np.array([1000, 5000])
    kinds = miss_kinds([1128, 2000, 3000, 4872, 9000], [2000, 4872], others, BLOCK)
    assert kinds == {"with_others": 2, "ran_long": 1, "woken_late": 2}
    assert miss_kinds([], [], np.zeros(0, np.int64), BLOCK)["with_others"] == 0

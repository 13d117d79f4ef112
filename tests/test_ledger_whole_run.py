"""Risk: misses are counted of the last eleven minutes only, or of the last audio process."""

from __future__ import annotations

import numpy as np
import pytest

from engine import shm, shm_records
from engine.gig.stage import missed_in
from engine.ledger import LedgerCursor
from engine.patch import Patch
from engine.shm import Shared
from engine.shm_records import CLOCK, LEDGER

ROWS, BLOCK = 64, 128


class Audio:
    """Writes the ledger as the audio process does."""

    def __init__(self, shared: Shared, pid: int, t: int) -> None:
        self.shared, self.t, self.blocks = shared, t, 0
        clock = np.zeros(1, CLOCK)
        clock["pid"], clock["rate"], clock["callbacks"] = pid, 48_000, 1
        shared.sections["clock"].write(clock)

    def play(self, blocks: int, late: int = 0) -> None:
        for _ in range(blocks):
            row = np.zeros(1, LEDGER)
            row["frame"], row["frames"], row["late_us"] = self.t, BLOCK, late
            self.shared.ledger[self.blocks % ROWS] = row[0]
            self.blocks += 1
            self.shared.ledger_count[0] = self.blocks
            self.t += BLOCK


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Shared:
    for module in (shm, shm_records):
        monkeypatch.setattr(module, "LEDGER_ROWS", ROWS)
    return Shared.private(Patch())


def test_misses_of_a_run_longer_than_the_ledger_are_all_counted(shared: Shared) -> None:
    cursor, audio, rows = LedgerCursor(shared), Audio(shared, 1, 1000), []
    for k in range(20):
        audio.play(39)
        audio.play(1, late=5)
        if k % 4 == 1:
            audio.t += 3 * BLOCK  # cycles that nobody processed
        rows.append(cursor.take())
    whole = np.concatenate(rows)
    assert len(whole) == 20 * 40
    assert len(missed_in(whole)) == 20 + 5 * 3
    assert not len(cursor.take())


def test_a_successor_is_read_from_its_first_row_and_its_predecessor_to_the_last(
    shared: Shared,
) -> None:
    cursor, first = LedgerCursor(shared), Audio(shared, 1, 1000)
    first.play(100)
    assert len(cursor.take()) == ROWS  # looked too late: the rest is gone
    first.play(7, late=1)
    second = Audio(shared, 2, first.t + 4 * BLOCK)
    second.play(20)
    rows = cursor.take()
    assert len(rows) == 7 + 20
    assert len(missed_in(rows)) == 7 + 4
    second.play(3)
    assert len(cursor.take()) == 3


def test_a_successor_that_is_further_than_we_had_read_is_read_from_its_first_row(
    shared: Shared,
) -> None:
    cursor, first = LedgerCursor(shared), Audio(shared, 1, 1000)
    first.play(5)
    cursor.take()
    Audio(shared, 2, first.t).play(30)
    assert len(cursor.take()) == 30

"""Risk: a ring loses, doubles, reorders or tears a record, or counts what it refused wrongly."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.layout import MIDI_OUT, NOTE
from engine.ring import HEADER_BYTES, MAGIC, Ring, RingError

RECORD = np.dtype([("number", "<u8"), ("twice", "<u8"), ("odd", "u1", (5,))])


def records(first: int, count: int) -> np.ndarray:
    out = np.zeros(count, RECORD)
    out["number"] = np.arange(first, first + count)
    out["twice"] = 2 * out["number"]
    out["odd"] = (out["number"] % 251).astype(np.uint8)[:, None]
    return out


class RingMachine(RuleBasedStateMachine):
    """A ring on a file, opened twice as two processes have it, beside a deque."""

    @initialize(capacity=st.sampled_from([1, 2, 8, 64]), start=st.sampled_from([0, 2**64 - 5]))
    def make(self, capacity: int, start: int) -> None:
        descriptor, name = tempfile.mkstemp(prefix="segue-test-ring-")
        os.close(descriptor)
        os.unlink(name)
        self.path = Path(name)
        self.producer = Ring.create(self.path, RECORD, capacity)
        self.producer.pointer.write = self.producer.pointer.read = start  # indices may wrap
        self.consumer = Ring.open(self.path, RECORD)
        self.capacity = capacity
        self.model: deque[int] = deque()
        self.sent = self.refused = self.epoch = 0

    @rule(count=st.integers(0, 80))
    def push(self, count: int) -> None:
        room = self.capacity - len(self.model)
        accepted = self.producer.push(records(self.sent, count))
        assert accepted == min(room, count)
        self.model.extend(range(self.sent, self.sent + accepted))
        self.sent += count
        self.refused += count - accepted

    @rule(limit=st.integers(0, 100))
    def pop(self, limit: int) -> None:
        got = self.consumer.pop(limit)
        expected = [self.model.popleft() for _ in range(min(limit, len(self.model)))]
        assert got["number"].tolist() == expected
        assert np.array_equal(got["twice"], 2 * got["number"])
        assert (got["number"] % 251 == got["odd"].T).all()

    @rule()
    def clear(self) -> None:
        self.consumer.clear()
        self.model.clear()

    @rule()
    def producer_starts_anew(self) -> None:
        self.producer = Ring.open(self.path, RECORD)
        self.epoch += 1
        assert self.producer.new_epoch() == self.epoch

    @rule()
    def consumer_starts_anew(self) -> None:
        self.consumer = Ring.open(self.path, RECORD)

    @invariant()
    def both_see_the_same(self) -> None:
        if not hasattr(self, "model"):
            return
        assert len(self.producer) == len(self.consumer) == len(self.model)
        assert self.consumer.dropped == self.refused
        assert self.consumer.epoch == self.epoch

    def teardown(self) -> None:
        if hasattr(self, "path"):
            self.path.unlink()


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_record_types_of_any_size_keep_every_byte() -> None:
    rng = np.random.default_rng(1)
    for dtype in (NOTE, MIDI_OUT, RECORD):
        ring = Ring.private(dtype, 4)
        for _ in range(11):  # around the end several times
            sent = np.frombuffer(rng.bytes(3 * dtype.itemsize), dtype)
            assert ring.push(sent) == 3
            assert ring.pop().tobytes() == sent.tobytes()


def test_other_records_are_refused() -> None:
    ring = Ring.private(NOTE, 8)
    with pytest.raises(RingError, match="expected"):
        ring.push(np.zeros(1, RECORD))
    assert len(ring) == 0


def test_file_that_is_no_ring_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    path.write_bytes(bytes(4096))
    with pytest.raises(RingError, match="record size 0"):
        Ring.open(path, NOTE)


def test_ring_with_a_capacity_beyond_its_file_is_refused(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "ring", RECORD, 8)
    assert ring.pointer.magic == MAGIC
    ring.pointer.capacity = 1 << 20
    with pytest.raises(RingError, match="too few"):
        Ring.open(tmp_path / "ring", RECORD)


@pytest.mark.parametrize("capacity", [0, 3, 100])
def test_capacity_must_be_a_power_of_two(tmp_path: Path, capacity: int) -> None:
    with pytest.raises(RingError, match="power of two"):
        Ring.create(tmp_path / "ring", RECORD, capacity)


def test_wild_indices_read_nothing_and_stay_in_bounds() -> None:
    ring = Ring.private(RECORD, 8)
    ring.pointer.write, ring.pointer.read = 5, 900
    assert len(ring) == 0
    assert len(ring.pop(100)) == 0
    assert ring.push(records(0, 100)) <= 8


def test_successor_of_the_consumer_finds_what_was_taken_and_not_yet_overwritten() -> None:
    ring = Ring.private(RECORD, 16)
    for first in range(0, 30, 3):
        ring.push(records(first, 3))
        ring.pop()
    ring.push(records(30, 4))
    first, taken = ring.taken()
    assert taken["number"].tolist() == list(range(first, 30))
    assert len(taken) >= 16 - 4 - 2
    assert Ring.bytes_needed(RECORD, 16) == HEADER_BYTES + 16 * RECORD.itemsize

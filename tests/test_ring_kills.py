"""Risk: SIGKILL of a producer, a consumer or a writer tears a record or stops its successor."""

from __future__ import annotations

import mmap
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from ring_child import RECORD, WIDE, filled

from engine.ring import Ring
from engine.shm import Section

DEADLINE_S = 20.0


def whole(records: np.ndarray) -> bool:
    return bool((records["words"].sum(axis=1) == records["sum"]).all())


@contextmanager
def child(*args: object) -> Iterator[subprocess.Popen]:
    """A process of ring_child.py that has imported everything; killed and reaped at the end."""
    script = Path(__file__).parent / "ring_child.py"
    process = subprocess.Popen(
        [sys.executable, str(script), *map(str, args)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"up\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def take(ring: Ring, least: int) -> np.ndarray:
    """At least so many records, as they come."""
    got = []
    end = time.monotonic() + DEADLINE_S
    while sum(map(len, got)) < least:
        got.append(ring.pop(64))
        assert time.monotonic() < end, "the producer stands still"
    return np.concatenate(got)


@pytest.mark.parametrize("seed", range(2))
def test_producer_killed_anywhere_leaves_whole_records_and_its_successor_goes_on(
    tmp_path: Path, seed: int
) -> None:
    ring = Ring.create(tmp_path / "ring", RECORD, 64)
    rng = random.Random(seed)
    for epoch in (1, 2):
        with child("producer", tmp_path / "ring") as process:
            got = take(ring, rng.randrange(100, 900))
            process.send_signal(signal.SIGKILL)
            process.wait()
        got = np.concatenate([got, ring.pop(64)])
        assert ring.epoch == epoch
        assert whole(got)
        assert (got["words"][:, 0] == got["number"] * 1000 + epoch).all()
        assert np.array_equal(got["number"], np.arange(len(got), dtype=np.uint64))


def test_consumer_killed_anywhere_loses_only_what_it_had_taken(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "ring", RECORD, 64)
    rng = random.Random(5)
    sent = 0

    def feed(until: int) -> None:
        nonlocal sent
        end = time.monotonic() + DEADLINE_S
        while sent < until:
            sent += ring.push(filled(RECORD, range(sent, min(sent + 9, until)), 0))
            assert time.monotonic() < end, "the consumer stands still"

    deaths = 2
    seen = [tmp_path / f"seen-{k}" for k in range(deaths)]  # the last record of each may be torn
    for file in seen:
        file.touch()
        with child("consumer", tmp_path / "ring", file) as process:
            feed(sent + rng.randrange(100, 500))
            process.send_signal(signal.SIGKILL)
            process.wait()
    rest = ring.pop(64)
    taken = [np.fromfile(file, RECORD) for file in seen]
    got = np.concatenate([*taken, rest])
    assert whole(got)
    steps = np.diff(got["number"].astype(np.int64))
    assert (steps > 0).all()  # in order, none twice
    lost = sent - len(got)
    assert 0 <= lost <= 5 * deaths  # what a killed one had in its hands
    assert got["number"][-1] == sent - 1


def test_section_of_a_killed_writer_is_whole_and_the_successor_writes_on(tmp_path: Path) -> None:
    path = tmp_path / "section"
    path.write_bytes(bytes(64 + 2 * WIDE.itemsize))
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    section = Section(memory, WIDE)
    assert section.read() is None
    rng = random.Random(9)
    last = 0
    for _ in range(3):
        with child("writer", path, last + 1) as process:
            reads = 0
            end = time.monotonic() + DEADLINE_S
            wanted = rng.randrange(50, 400)
            while reads < wanted:
                record = section.read()
                assert record is None or whole(record)
                if record is not None:
                    assert int(record["number"][0]) >= last
                    last = int(record["number"][0])
                    reads += 1
                assert time.monotonic() < end
            process.send_signal(signal.SIGKILL)
            process.wait()
        after = section.read()
        assert after is not None
        assert whole(after)
        last = int(after["number"][0])
    assert last > 3


@pytest.mark.parametrize("complete", [1, 2, 7])
def test_writer_that_died_in_the_middle_leaves_the_snapshot_before(complete: int) -> None:
    memory = mmap.mmap(-1, 64 + 2 * RECORD.itemsize)
    section = Section(memory, RECORD)
    for number in range(1, complete + 1):
        section.write(filled(RECORD, [number], 0))
    sequence = np.frombuffer(memory, "<u8", 1)
    sequence[0] |= 1  # as a writer leaves it that dies in the next copy, half of it written
    copies = np.frombuffer(memory, np.uint8, 2 * RECORD.itemsize, 64)
    next_copy = (complete + 1) % 2 * RECORD.itemsize
    copies[next_copy : next_copy + RECORD.itemsize // 2] = 0xEE
    before = section.read()
    assert before is not None
    assert whole(before)
    assert before["number"][0] == complete
    section.write(filled(RECORD, [99], 0))
    after = section.read()
    assert after is not None
    assert whole(after)
    assert after["number"][0] == 99

"""The processes that tests/test_ring_kills.py kills: `python ring_child.py ROLE FILE [MORE]`."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.ring import Ring
from engine.shm import Section

WORDS = 40
RECORD = np.dtype([("number", "<u8"), ("words", "<u8", (WORDS,)), ("sum", "<u8")])
WIDE = np.dtype([("number", "<u8"), ("words", "<u8", (4000,)), ("sum", "<u8")])


def filled(dtype: np.dtype, numbers: Sequence[int], epoch: int) -> np.ndarray:
    """Records whose words follow from their number, with a sum over all."""
    out = np.zeros(len(numbers), dtype)
    out["number"] = numbers
    width = dtype["words"].shape[0]
    out["words"] = out["number"][:, None] * 1000 + np.arange(width, dtype=np.uint64) + epoch
    out["sum"] = out["words"].sum(axis=1)
    return out


def produce(path: Path) -> None:
    ring = Ring.open(path, RECORD)
    epoch = ring.new_epoch()
    number = 0
    while True:
        number += ring.push(filled(RECORD, range(number, number + 7), epoch))


def consume(path: Path, out: str) -> None:
    """Append what is taken to a file, record by record."""
    ring = Ring.open(path, RECORD)
    descriptor = os.open(out, os.O_WRONLY | os.O_APPEND)
    while True:
        for record in ring.pop(5):
            os.write(descriptor, record.tobytes())


def write(path: Path, first: str) -> None:
    with path.open("r+b") as file:
        section = Section(mmap.mmap(file.fileno(), 0), WIDE)
    number = int(first)
    while True:
        section.write(filled(WIDE, [number], 0))
        number += 1


if __name__ == "__main__":
    sys.stdout.write("up\n")
    sys.stdout.flush()
    role = {"producer": produce, "consumer": consume, "writer": write}[sys.argv[1]]
    role(Path(sys.argv[2]), *sys.argv[3:])

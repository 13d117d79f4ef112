"""What each block of `forward` took in, written down by the audio process for the recorder.

Output is a function of inputs, admitted records and t; this is the second and third of them. Each
record names its block's t. The records a block took come before its BLOCK record, which says that
the block is whole; a process that dies between the two has made no sound of them. A LIFE begins
with each audio process, with the snapshot it resumed from and the notes it took again.

Everything but `life` is real-time safe: one kernel call for records that were popped, none for a
block that took nothing.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

import numpy as np

from engine.kernel import ffi, lib
from engine.layout import ADMITTED, ADMITTED_BYTES, COMMAND
from engine.ring import Ring


class AdmittedKind(IntEnum):
    BLOCK = 1  # t, n: rendered
    LIFE = 2  # an audio process begins: its facts as JSON, in pieces
    STATE = 3  # the snapshot it resumed from (engine/state.py), in pieces
    NOTES_AGAIN = 4  # which=intake: a NOTE its predecessor took and did not sound
    EPOCH = 5  # which=intake, n=epoch: another producer
    NOTES = 6  # which=intake: a NOTE
    COMMAND = 7  # a COMMAND
    SAFE = 8  # a SAFE
    FADE = 9  # a RAMP (engine/state.py): of everything that leaves
    LEAVE = 10  # t: gates down, on the way out


def data_of(record: np.void, dtype: np.dtype) -> np.ndarray:
    """The record inside an ADMITTED record, shape (1,)."""
    data: np.ndarray = record["data"][: dtype.itemsize]
    return data.view(dtype)


if ffi.sizeof("seg_admitted") != ADMITTED.itemsize or COMMAND.itemsize > ADMITTED_BYTES:
    raise ImportError("a record of what was admitted is not what the kernel thinks it is")


class AdmissionLog:
    """The audio process's side. desk: the kernel's (engine/mixer.py); ring: of ADMITTED records, or
    None: nothing is recorded and every call returns at once."""

    def __init__(self, desk: Any, ring: Ring | None) -> None:
        self._desk = desk
        self.on = ring is not None
        if ring is not None:
            desk.admitted = ring.pointer

    def note(self, kind: AdmittedKind, which: int, t: int, records: np.ndarray) -> None:
        """Records of at most ADMITTED_BYTES each, as they were popped."""
        if self.on and len(records):
            lib.seg_admit(
                self._desk,
                kind,
                which,
                t,
                0,
                ffi.from_buffer(records),
                records.itemsize,
                len(records),
            )

    def epoch(self, which: int, t: int, epoch: int) -> None:
        if self.on:
            lib.seg_admit(self._desk, AdmittedKind.EPOCH, which, t, epoch, ffi.NULL, 0, 1)

    def fade(self, t: int, ramp: np.ndarray) -> None:
        """ramp: a RAMP of shape (1,)."""
        self.note(AdmittedKind.FADE, 0, t, ramp)

    def leave(self, t: int) -> None:
        if self.on:
            lib.seg_admit(self._desk, AdmittedKind.LEAVE, 0, t, 0, ffi.NULL, 0, 1)

    def life(self, facts: dict[str, Any], snapshot: np.ndarray | None) -> None:
        """Before the first block. Not real-time safe."""
        if self.on:
            self._pieces(AdmittedKind.LIFE, json.dumps(facts).encode())
            if snapshot is not None:
                self._pieces(AdmittedKind.STATE, snapshot.tobytes())

    def _pieces(self, kind: AdmittedKind, data: bytes) -> None:
        for a in range(0, len(data), ADMITTED_BYTES):
            piece = data[a : a + ADMITTED_BYTES]
            lib.seg_admit(self._desk, kind, 0, 0, 0, piece, len(piece), 1)

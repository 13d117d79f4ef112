"""Rings in shared memory: one producer, one consumer, fixed-size records, no locks.

Indices are acquired and released by the kernel; a producer that dies in the middle of a push leaves
nothing visible of it, a consumer that dies leaves its read index to its successor. Real-time safe.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np

from engine.kernel import ffi, lib

HEADER_BYTES = 192
MAGIC = 0x5345475545524E47  # "SEGUERNG"


class RingError(Exception):
    """A file that is not the ring it should be."""


class Ring:
    """`dtype` records. One process (thread) pushes, one pops; `epoch` tells producers apart."""

    def __init__(self, memory: mmap.mmap, dtype: np.dtype, name: str = "ring") -> None:
        self.memory = memory
        self.dtype = dtype
        self.name = name
        self._buffer = ffi.from_buffer(memory)
        self.pointer = ffi.cast("seg_ring *", self._buffer)
        if self.pointer.magic != MAGIC or self.pointer.record_size != dtype.itemsize:
            raise RingError(
                f"{name}: record size {self.pointer.record_size}, expected {dtype.itemsize}"
            )
        self.capacity = int(self.pointer.capacity)
        if len(memory) < HEADER_BYTES + self.capacity * dtype.itemsize:
            raise RingError(f"{name}: {len(memory)} bytes are too few")

    @staticmethod
    def bytes_needed(dtype: np.dtype, capacity: int) -> int:
        return HEADER_BYTES + capacity * dtype.itemsize

    @staticmethod
    def format(memory: mmap.mmap, dtype: np.dtype, capacity: int) -> None:
        """Write a fresh header. capacity: records, a power of two."""
        if capacity < 1 or capacity & (capacity - 1):
            raise RingError(f"capacity {capacity} is not a power of two")
        ring = ffi.cast("seg_ring *", ffi.from_buffer(memory))
        ring.record_size = dtype.itemsize
        ring.capacity = capacity
        ring.epoch = ring.dropped = ring.write = ring.read = 0
        ring.magic = MAGIC

    @classmethod
    def private(cls, dtype: np.dtype, capacity: int, name: str = "ring") -> Ring:
        """A ring inside this process, for the offline context and for tests."""
        memory = mmap.mmap(-1, cls.bytes_needed(dtype, capacity))
        cls.format(memory, dtype, capacity)
        return cls(memory, dtype, name)

    @classmethod
    def create(cls, path: Path, dtype: np.dtype, capacity: int) -> Ring:
        size = cls.bytes_needed(dtype, capacity)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)  # what is not there is a SIGBUS later
            memory = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        cls.format(memory, dtype, capacity)
        return cls(memory, dtype, path.name)

    @classmethod
    def open(cls, path: Path, dtype: np.dtype) -> Ring:
        descriptor = os.open(path, os.O_RDWR)
        try:
            memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        return cls(memory, dtype, path.name)

    def new_epoch(self) -> int:
        """For a producer that starts: what it pushes from now on carries another epoch."""
        self.pointer.epoch = (self.pointer.epoch + 1) & 0xFFFFFFFF
        return int(self.pointer.epoch)

    @property
    def epoch(self) -> int:
        return int(self.pointer.epoch)

    @property
    def dropped(self) -> int:
        """Records refused since the ring was made."""
        return int(self.pointer.dropped)

    def __len__(self) -> int:
        return int(lib.seg_ring_count(self.pointer))

    def push(self, records: np.ndarray) -> int:
        """Append records of `dtype` (any shape); returns how many found room."""
        if records.dtype != self.dtype:
            raise RingError(f"{self.name}: records are {records.dtype}, expected {self.dtype}")
        records = np.ascontiguousarray(records)
        source = ffi.cast("void *", records.ctypes.data)
        return int(lib.seg_ring_push(self.pointer, source, records.size))

    def pop(self, limit: int = 256) -> np.ndarray:
        """Take up to `limit` records, oldest first; an array of shape (k,)."""
        count = min(limit, len(self))
        records = np.empty(count, self.dtype)
        if count:
            taken = lib.seg_ring_pop(self.pointer, ffi.cast("void *", records.ctypes.data), count)
            return records[:taken]
        return records

    def peek(self, limit: int = 256) -> tuple[int, np.ndarray]:
        """For a consumer whose successor must lose nothing: up to `limit` records, oldest first,
        which stay until skip() says they are dealt with, and the index of the first (records
        pushed before it, since the ring was made)."""
        read = int(self.pointer.read)
        slots = np.frombuffer(self.memory, self.dtype, self.capacity, HEADER_BYTES)
        return read, slots[np.arange(read, read + min(limit, len(self))) % self.capacity]

    def skip(self, count: int) -> None:
        """Let go of the oldest `count` records, at most what peek() showed."""
        lib.seg_ring_skip(self.pointer, count)

    def taken(self) -> tuple[int, np.ndarray]:
        """For a consumer that takes over: records popped already and not yet overwritten, oldest
        first, and the index of the first of them."""
        read, write = int(self.pointer.read), int(self.pointer.write)
        first = max(0, write - self.capacity + self.capacity // 8)  # the producer goes on meanwhile
        slots = np.frombuffer(self.memory, self.dtype, self.capacity, HEADER_BYTES)
        return first, slots[np.arange(first, max(first, read)) % self.capacity]

    def clear(self) -> None:
        """Consumer's: drop what waits."""
        lib.seg_ring_clear(self.pointer)

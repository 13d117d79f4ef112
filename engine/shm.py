"""The shared folder of one performance: patch, rings, sections, stem arena, ledger.

Made and removed by the supervisor alone (create, remove, sweep); every other process attaches with
Shared.open. `Shared.private` is the same without files shared with anybody: the offline context.
A section has one writer and any readers; readers get the last whole snapshot, also from a writer
that died at the next, or None before the first. Readers and writers
of sections and rings are real-time safe; opening is not.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import secrets
import select
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.arena import arena_of
from engine.kernel import ffi, lib
from engine.patch import Patch
from engine.ring import Ring
from engine.shm_folder import began
from engine.shm_records import (
    LEDGER,
    LEDGER_ROWS,
    SECTIONS,
    AudioPhase,
    Clock,
    process_names,
    ring_table,
    timeline_of,
    timeline_record,
)
from engine.timeline import Timeline


def _map(path: Path | None, size: int, create: bool) -> mmap.mmap:
    if path is None:
        return mmap.mmap(-1, size)
    made = path.with_name(f"{path.name}.new") if create else path
    flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0)
    descriptor = os.open(made, flags, 0o600)
    try:
        if create:
            os.posix_fallocate(descriptor, 0, size)  # what is not there is a SIGBUS later
            os.rename(made, path)  # who looks for it by its name finds it whole
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def _need_room(where: Path, patch: Patch) -> None:
    """The arena is touched as a whole: without memory behind it that would be a SIGBUS."""
    places = arena_of(patch)
    free = shutil.disk_usage(where).free / 1e6
    if places.megabytes > free:
        raise OSError(
            f"the stem arena needs {places.megabytes:.0f} MB ({places.slots} stems of "
            f"{places.slot_frames} frames), {where} has {free:.0f} MB free: fewer bars or `ahead` "
            "(roles.NAME.bars, roles.NAME.ahead), or more memory"
        )


class Section:
    """A record of `dtype` with one writer; `write` and `read` copy whole records (1,). memory: 64
    bytes and two records."""

    def __init__(self, memory: mmap.mmap, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.memory = memory
        self._buffer = ffi.from_buffer(memory)
        base = ffi.cast("char *", self._buffer)
        self._sequence = ffi.cast("uint64_t *", base)
        self._data = base + 64

    def write(self, record: np.ndarray) -> None:
        self.writer(record)()

    def writer(self, record: np.ndarray) -> Callable[[], None]:
        """A function that publishes what `record` then holds: for one that is written often."""
        source = ffi.cast("void *", record.ctypes.data)
        return partial(lib.seg_publish, self._sequence, self._data, source, self.dtype.itemsize)

    def read(self) -> np.ndarray | None:
        record = np.empty(1, self.dtype)
        target = ffi.cast("void *", record.ctypes.data)
        ok = lib.seg_observe(self._sequence, self._data, target, self.dtype.itemsize)
        return record if ok else None


class Shared:
    """One performance's shared folder, attached. `bells` are inherited eventfds, hints only."""

    def __init__(
        self, folder: Path | None, patch: Patch, meta: dict[str, Any], create: bool
    ) -> None:
        self.folder = folder
        self.patch = patch
        self.meta = meta
        self.names = process_names(patch)
        self.slots = int(meta["slots"])
        self.slot_frames = int(meta["slot_frames"])
        self.places = replace(arena_of(patch), slots=self.slots, slot_frames=self.slot_frames)
        self._rings: dict[str, Ring] = {}
        self._table = ring_table(patch, meta.get("session") is not None)
        self.sections = {
            name: Section(_map(self._file(name), 64 + 2 * dtype.itemsize, create), dtype)
            for name, dtype in SECTIONS.items()
        }
        for name, (dtype, capacity, _) in self._table.items():
            path = self._file(f"ring.{name}")
            if path is None:
                self._rings[name] = Ring.private(dtype, capacity, name)
            elif create:
                Ring.create(path, dtype, capacity)
        beats = _map(self._file("heartbeats"), 8 * 64, create)
        self.heartbeats = np.frombuffer(beats, "<i8")
        dry = _map(self._file("dry"), 64, create)
        self.dry_words = np.frombuffer(dry, "<i8")
        words = _map(self._file("inserts"), 8 * 64, create)
        self.insert_words = np.frombuffer(words, "<i8")
        arena_bytes = max(8, self.places.floats * 4)
        arena = _map(self._file("arena"), arena_bytes, create)
        self.arena = np.frombuffer(arena, np.float32)
        ledger = _map(self._file("ledger"), 64 + LEDGER_ROWS * LEDGER.itemsize, create)
        self.ledger_count = np.frombuffer(ledger, "<i8", 1)
        self.ledger = np.frombuffer(ledger, LEDGER, LEDGER_ROWS, 64)
        self._fixed = (beats, dry, words, arena, ledger)

    def memories(self) -> Iterator[mmap.mmap]:
        """All that this process has mapped so far: every section, the arena, the ledger, and the
        rings it has asked for."""
        yield from self._fixed
        for section in self.sections.values():
            yield section.memory
        for ring in self._rings.values():
            yield ring.memory

    def _file(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / name

    def file(self, name: str) -> Path:
        """A plain file in the shared folder (facts for people and for `segue status`)."""
        assert self.folder is not None, "a private performance has no files"
        return self.folder / name

    # ---- making and attaching

    @classmethod
    def create(
        cls,
        folder: Path,
        patch: Patch,
        bells: dict[str, int] | None = None,
        session: str | None = None,
        performing: bool = False,
        inserts: dict[str, Any] | None = None,
    ) -> Shared:
        """The supervisor's: a new folder with everything in it. inserts: what was proved of the
        patch's plug-ins (engine/plugin_proof.py), by source. Raises OSError, also where its memory
        has no room for the patch's stems."""
        _need_room(folder.parent, patch)
        folder.mkdir(mode=0o700)
        places = arena_of(patch)
        meta = {
            "pid": os.getpid(),
            "began": began(os.getpid()),
            "slots": places.slots,
            "slot_frames": places.slot_frames,
            "bells": bells or {},
            "session": session,
            "performing": performing,
            "performance": secrets.token_hex(8),  # which one, where a folder holds several
            "inserts": inserts or {},
        }
        (folder / "patch.json").write_text(patch.to_json())
        (folder / "meta.json").write_text(json.dumps(meta))
        try:
            return cls(folder, patch, meta, create=True)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if error.errno != errno.ENOSPC:
                raise
            raise OSError(
                f"{folder.parent} is full: no room for rings and ledger beside the stem arena "
                f"({places.megabytes:.0f} MB); free some, or make it larger"
            ) from None

    @classmethod
    def open(cls, folder: Path | str) -> Shared:
        folder = Path(folder)
        patch = Patch.from_json((folder / "patch.json").read_text())
        return cls(folder, patch, json.loads((folder / "meta.json").read_text()), create=False)

    @classmethod
    def private(
        cls, patch: Patch, session: str | None = None, inserts: dict[str, Any] | None = None
    ) -> Shared:
        """For the offline context: the same in this process's own memory."""
        places = arena_of(patch)
        meta: dict[str, Any] = {"slots": places.slots, "slot_frames": places.slot_frames}
        meta |= {"bells": {}, "session": session, "inserts": inserts or {}}
        return cls(None, patch, meta, create=True)

    def remove(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- rings and bells

    def has_ring(self, name: str) -> bool:
        return name in self._table

    def ring(self, name: str) -> Ring:
        if name not in self._rings:
            path = self._file(f"ring.{name}")
            assert path is not None, f"no ring {name}"
            self._rings[name] = Ring.open(path, self._table[name][0])
        return self._rings[name]

    def consumer(self, ring: str) -> str:
        """The process whose bell is rung for a ring."""
        return self._table[ring][2]

    def push(self, ring: str, records: np.ndarray) -> int:
        """Push and ring the consumer's bell."""
        accepted = self.ring(ring).push(records)
        self.hint(self.consumer(ring))
        return accepted

    def hint(self, process: str) -> None:
        descriptor = self.meta["bells"].get(process)
        if descriptor is not None:
            # Full (a consumer that never looks) or closed: a hint lost is no harm.
            with contextlib.suppress(OSError):
                os.eventfd_write(descriptor, 1)

    def wait(self, process: str, timeout_s: float) -> None:
        """Sleep until a hint for `process` or the timeout."""
        descriptor = self.meta["bells"].get(process)
        if descriptor is None:
            time.sleep(timeout_s)
            return
        if select.select([descriptor], [], [], timeout_s)[0]:
            with contextlib.suppress(OSError):
                os.eventfd_read(descriptor)

    # ---- life signs and time

    def heartbeat(self, process: str, busy_s: float = 0.0) -> None:
        """A life sign. busy_s: the next one may be this much later (something is being loaded)."""
        self.heartbeats[self.names.index(process)] = time.monotonic_ns() + int(busy_s * 1e9)

    def clock(self) -> Clock | None:
        record = self.sections["clock"].read()
        if record is None:
            return None
        c = record[0]
        return Clock(
            t=int(c["t"]),
            mono_ns=int(c["mono_ns"]),
            rate=float(c["rate"]),
            block=int(c["block"]),
            callbacks=int(c["callbacks"]),
            gap_frames=int(c["gap_frames"]),
            missed=int(c["missed"]),
            pid=int(c["pid"]),
            dry=bool(c["dry"]),
            phase=AudioPhase(int(c["state"])),
        )

    def played(self) -> Clock | None:
        """The clock once a block has been played; None while the device is still waited for, whose
        rate nobody knows then."""
        clock = self.clock()
        return clock if clock is not None and clock.rate else None

    def frame_at(self, mono_ns: int) -> int:
        """The device frame at a host time; 0 before the first block."""
        clock = self.clock()
        if clock is None:
            return 0
        return clock.t + round((mono_ns - clock.mono_ns) * clock.rate / 1e9)

    def now(self) -> int:
        return self.frame_at(time.monotonic_ns())

    def timeline(self) -> Timeline | None:
        record = self.sections["timeline"].read()
        return None if record is None else timeline_of(record)

    def set_timeline(self, line: Timeline) -> None:
        """The conductor's."""
        self.sections["timeline"].write(timeline_record(line))

"""The shared folder of one performance: patch, rings, sections, stem arena, ledger.

Made and removed by the supervisor alone (create, remove, sweep); every other process attaches with
Shared.open. `Shared.private` is the same without files shared with anybody: the offline context.
A section has one writer and any readers; readers get the last whole snapshot, also from a writer
that died at the next, or None before the first. Readers and writers
of sections and rings are real-time safe; opening is not.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import select
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine import layout
from engine.arena import Arena
from engine.capture import capture_frames, capture_rows, captured
from engine.kernel import ffi, lib
from engine.patch import PERFORMER, Patch, guarded_sources
from engine.ring import Ring
from engine.song import slowest_bar_s
from engine.state import MAX_SOURCES, STATE, TIMELINE
from engine.timeline import Timeline
from engine.tracks import tap_dtype


class AudioPhase(IntEnum):
    """What the audio process is at (clock section)."""

    STARTING = 0
    WAITING = 1  # no device; says so and tries again
    RUNNING = 2


# Words of 64 bits between the audio process and the dry path (devices/audio/dry.c), which plays the
# inputs while the audio process does not. Frames are the sound server's own.
DRY_COVERING = 0  # the dry path's: 1 while it plays
DRY_DONE = 1  # the audio process's: the frame after its last block
DRY_HAND = 2  # the audio process's: it fades in from this frame on, and the dry path out
DRY_MAY = 3  # the supervisor's: pid of the audio process that may take over, its ports connected

SHM_ROOT = Path("/dev/shm")
PREFIX = "segue-"
LEDGER_ROWS = 1 << 18  # eleven minutes of 128-frame blocks
STAGES = ("admit", "inputs", "sampler", "mix", "outputs")

CLOCK = np.dtype(
    [
        ("t", "<i8"),
        ("mono_ns", "<i8"),
        ("callbacks", "<i8"),
        ("gap_frames", "<i8"),
        ("missed", "<i8"),
        ("rate", "<f8"),
        ("block", "<i4"),
        ("pid", "<i4"),
        ("state", "<i4"),
        ("dry", "<i4"),
    ]
)
LEVELS = np.dtype(
    [
        ("sources", "<f4", (MAX_SOURCES,)),
        ("buses", "<f4", (32,)),
        ("limited", "<i8"),
        ("not_finite", "<i8", (MAX_SOURCES,)),
    ]
)
# Written by the conductor: what players may do, and the steering of their latents. frozen: nothing
# is listened to (standby).
SWITCH = np.dtype(
    [
        ("generate", "u1", (layout.MAX_PLAYERS,)),
        ("controls", "<f4", (layout.MAX_PLAYERS, layout.MAX_LATENTS)),
        ("frozen", "u1"),
    ]
)
LEDGER = np.dtype(
    [
        ("frame", "<i8"),
        ("cpu_ns", "<u4"),
        ("wall_ns", "<u4"),
        ("late_us", "<i4"),
        ("frames", "<i4"),
        ("stages", "<u4", (len(STAGES),)),
    ]
)
SECTIONS = {
    "clock": CLOCK,
    "levels": LEVELS,
    "state": STATE,
    "timeline": TIMELINE,
    "switch": SWITCH,
}
PROCESSES = (
    "supervisor",
    "audio",
    "midi",
    "conductor",
    "listener",
    "pool",
    "recorder",
    "performer",
    "capture",
)


def process_names(patch: Patch) -> list[str]:
    """Every process of a performance; the index is its heartbeat's and its bell's."""
    return [*PROCESSES, *(f"player.{name}" for name in patch.players)]


@dataclass(frozen=True)
class Clock:
    """The audio process's last word: frame t began at mono_ns (CLOCK_MONOTONIC)."""

    t: int
    mono_ns: int
    rate: float
    block: int
    callbacks: int
    gap_frames: int
    missed: int
    pid: int
    dry: bool
    phase: AudioPhase


def ring_table(patch: Patch, recording: bool) -> dict[str, tuple[np.dtype, int, str]]:
    """Every ring: record type, capacity, consumer (whose bell is rung)."""
    rings: dict[str, tuple[np.dtype, int, str]] = {
        "midi_notes": (layout.NOTE, 1024, "audio"),
        "midi_safe": (layout.SAFE, 64, "audio"),
        "commands": (layout.COMMAND, 1024, "audio"),
        "reports": (layout.REPORT, 8192, "conductor"),
        "presses": (layout.PRESS, 1024, "conductor"),
        "midi_out": (layout.MIDI_OUT, 64, "midi"),
        "observations": (layout.OBSERVATION, 1024, "conductor"),
    }
    if any(role.voice for role in patch.roles.values()):
        rings["stem_notes"] = (layout.NOTE, 1024, "audio")
    listened = list(patch.clock.listen) or list(patch.inputs)
    if listened:
        rings["tap.listener"] = (layout.audio_dtype(len(listened) + 1), 1024, "listener")
    if recording:
        rings["tap.recorder"] = (tap_dtype(patch), 4096, "recorder")
        rings["admitted"] = (layout.ADMITTED, 16384, "recorder")
    guarded = guarded_sources(patch)
    if guarded:
        rings["tap.howl"] = (layout.audio_dtype(len(guarded)), 256, "listener")
    if captured(patch):
        rings["tap.capture"] = (layout.audio_dtype(capture_rows(patch)), 1024, "capture")
    for name, source in patch.inputs.items():
        if source.stream == PERFORMER:
            rings[f"stream.{name}"] = (layout.audio_dtype(1), 1024, "audio")
    for name, player in patch.players.items():
        if player.to:
            rings[f"tap.{name}"] = (layout.audio_dtype(2), 256, f"player.{name}")
            rings[f"texture.{name}"] = (layout.audio_dtype(2), 256, "audio")
        else:
            rings[f"notes.{name}"] = (layout.NOTE, 1024, f"player.{name}")
            rings[f"answers.{name}"] = (layout.NOTE, 1024, "audio")
            if player.midi_out:
                rings[f"answers_midi.{name}"] = (layout.NOTE, 1024, "midi")
    if any(source.stream == PERFORMER for source in patch.inputs.values()):
        rings["performer_notes"] = (layout.NOTE, 1024, "midi")
        rings["computer_notes"] = (layout.NOTE, 256, "midi")
    return rings


def stem_slot_frames(patch: Patch) -> int:
    """Frames of one arena slot: the longest role at three quarters of the slowest song's tempo."""
    bars = max((role.bars for role in patch.roles.values()), default=1)
    return int(bars * slowest_bar_s(patch) / 0.75 * patch.audio.rate) + 64


def _map(path: Path | None, size: int, create: bool) -> mmap.mmap:
    if path is None:
        return mmap.mmap(-1, size)
    flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        if create:
            os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


class Section:
    """A record of `dtype` with one writer; `write` and `read` copy whole records (1,). memory: 64
    bytes and two records."""

    def __init__(self, memory: mmap.mmap, dtype: np.dtype) -> None:
        self.dtype = dtype
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
        self.places = Arena(self.slots, self.slot_frames, patch.capture.kept, capture_frames(patch))
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
        self.dry_words = np.frombuffer(_map(self._file("dry"), 64, create), "<i8")
        arena_bytes = max(8, self.places.floats * 4)
        self._arena_memory = _map(self._file("arena"), arena_bytes, create)
        self.arena = np.frombuffer(self._arena_memory, np.float32)
        ledger = _map(self._file("ledger"), 64 + LEDGER_ROWS * LEDGER.itemsize, create)
        self.ledger_count = np.frombuffer(ledger, "<i8", 1)
        self.ledger = np.frombuffer(ledger, LEDGER, LEDGER_ROWS, 64)

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
    ) -> Shared:
        """The supervisor's: a new folder with everything in it."""
        folder.mkdir(mode=0o700)
        meta = {
            "pid": os.getpid(),
            "slots": 8 + 3 * sum(r.ahead + 2 for r in patch.roles.values()),
            "slot_frames": stem_slot_frames(patch),
            "bells": bells or {},
            "session": session,
            "performing": performing,
        }
        (folder / "patch.json").write_text(patch.to_json())
        (folder / "meta.json").write_text(json.dumps(meta))
        return cls(folder, patch, meta, create=True)

    @classmethod
    def open(cls, folder: Path | str) -> Shared:
        folder = Path(folder)
        patch = Patch.from_json((folder / "patch.json").read_text())
        return cls(folder, patch, json.loads((folder / "meta.json").read_text()), create=False)

    @classmethod
    def private(cls, patch: Patch, session: str | None = None) -> Shared:
        """For the offline context: the same in this process's own memory."""
        slots = 8 + 3 * sum(r.ahead + 2 for r in patch.roles.values())
        frames = stem_slot_frames(patch)
        meta = {"slots": slots, "slot_frames": frames, "bells": {}, "session": session}
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


def timeline_of(record: np.ndarray) -> Timeline:
    r = record.reshape(-1)[0]
    return Timeline(
        frame=int(r["frame"]),
        beat=float(r["beat"]),
        bpm=float(r["bpm"]),
        rate=float(r["rate"]),
        beats_per_bar=int(r["beats_per_bar"]),
        bars_per_phrase=int(r["bars_per_phrase"]),
        confidence=float(r["confidence"]),
    )


def timeline_record(line: Timeline) -> np.ndarray:
    record = np.zeros(1, TIMELINE)
    for name in TIMELINE.names or ():
        record[name] = getattr(line, name)
    return record


# ---- folders


def folder_for(name: str) -> Path:
    """The folder of a new performance. name: as on the command line, for people and `status`."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name):
        raise ValueError(
            f"name is {name!r}, expected letters, digits, '-', '_' and '.', 40 at most"
        )
    root = SHM_ROOT if SHM_ROOT.is_dir() else Path(tempfile.gettempdir())
    return root / f"{PREFIX}{os.getuid()}-{name}-{os.getpid()}"


def running(name: str | None = None) -> list[Path]:
    """Folders of performances whose supervisor lives."""
    return [f for f in _folders(name) if _alive(f)]


def sweep() -> list[Path]:
    """Remove what dead supervisors left; returns what was removed."""
    stale = [f for f in _folders(None) if not _alive(f)]
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)
    return stale


def _folders(name: str | None) -> list[Path]:
    pattern = f"{PREFIX}{os.getuid()}-{name or '*'}-*"
    found = [f for f in sorted(SHM_ROOT.glob(pattern)) if f.is_dir()]
    exact = f"{PREFIX}{os.getuid()}-{name}"  # "a-b" is no performance named "a"
    return [f for f in found if name is None or f.name.rpartition("-")[0] == exact]


def _alive(folder: Path) -> bool:
    pid = folder.name.rpartition("-")[2]
    return pid.isdigit() and Path(f"/proc/{pid}").exists()

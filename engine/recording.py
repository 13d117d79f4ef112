"""A performance on its way to disk: tracks, what each block admitted, stems, patch, versions.

A session folder holds log.jsonl (the conductor's: one event a line, with its frame) and a folder a
performance, take-01 and so on:

    session.json     format, versions, first frame, rate, tracks, and which performance of the
                     log it is (written when the sound begins)
    patch.json       as the processes had it
    rig.yaml         what stood there, where a rig was used
    tracks/*.au      what came in as it came, buses and voltages as they left (engine/tracks.py)
    admitted.bin     ADMITTED records in order (engine/admitted.py), after one line of text
    jumps.jsonl      {"frame", "frames"}: where the tracks hold nothing
    again.bin        blocks that came with a frame that had been, as the recorder's ring held them
    progress.bin     how far the recorder has come, for its successor
    stems.jsonl      {"at", "sha256", ...}: what the command at that record of admitted.bin played
    stems/*.au       the arena's audio of every stem played, by its hash

Everything is appended or written by position and survives SIGKILL of its writer, whose successor
does again what was half done. Not real-time safe; raises OSError when the disk does not take it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np

from engine.admitted import AdmittedKind, data_of
from engine.layout import ADMITTED, COMMAND, CommandKind
from engine.shm import Shared
from engine.tracks import Track, TrackWriter, tracks_of
from engine.versions import layout_hash, versions

FORMAT = 2
ADMITTED_HEAD = b"segue admitted records, format 1".ljust(63) + b"\n"
RECORDS_A_TURN = 2048
BLOCKS_A_TURN = 256
PROGRESS = struct.Struct("<qqq")  # records of the ring dealt with, next frame, bytes of again.bin
JUMP_MAX_S = 3600  # a longer one is no gap but a clock that has gone mad


class RecordingError(OSError):
    """What was asked to be recorded makes no sense; says what."""


def takes_of(session: Path) -> list[tuple[int, Path]]:
    """The performances in a session folder: number and folder, in order."""
    names = ((re.fullmatch("take-([0-9]{1,9})", p.name), p) for p in session.glob("take-*"))
    return sorted((int(name[1]), path) for name, path in names if name and path.is_dir())


def new_take(session: Path) -> Path:
    """Make the folder of the next performance in a session folder."""
    numbers = [number for number, _ in takes_of(session)]
    take = session / f"take-{max(numbers, default=0) + 1:02d}"
    (take / "tracks").mkdir(parents=True)
    (take / "stems").mkdir()
    return take


def forget_session(session: Path) -> None:
    """Remove what earlier performances left in a folder: takes and the log."""
    for _, take in takes_of(session):
        shutil.rmtree(take, ignore_errors=True)
    (session / "log.jsonl").unlink(missing_ok=True)


class Recording:
    """One performance's. take: its folder, new or a predecessor's."""

    def __init__(self, shared: Shared, take: Path, rate: float) -> None:
        self.shared, self.take, self.rate = shared, take, rate
        self.tracks = tracks_of(shared.patch)
        self._tap, self._admitted = shared.ring("tap.recorder"), shared.ring("admitted")
        self._writers: list[tuple[TrackWriter, slice]] = []
        self._log = self._place = -1
        self._first = self._next = 0
        self._again_bytes = 0
        facts = take / "session.json"
        if facts.exists():
            self._go_on(json.loads(facts.read_text()))

    def turn(self) -> bool:
        """Write what waits. True: something did."""
        at, blocks = self._tap.peek(BLOCKS_A_TURN)
        if not self._writers:
            if not len(blocks):
                return False
            self._begin(int(blocks[0]["frame"]))
        wrote = self._write_admitted()
        self._write_blocks(blocks)
        self._progress(at + len(blocks))
        self._tap.skip(len(blocks))
        return wrote or len(blocks) > 0

    def close(self) -> None:
        """Write everything that waits, then close."""
        while self.turn():
            pass
        for writer, _ in self._writers:
            writer.close()
        self._writers.clear()

    def _progress(self, at: int) -> None:
        """Up to which record of the ring all is written, and what belongs to it: in one write, so
        that a successor neither loses nor repeats."""
        os.pwrite(self._place, PROGRESS.pack(at, self._next, self._again_bytes), 0)

    # ---- the beginning

    def _begin(self, first: int) -> None:
        self._first = self._next = first
        (self.take / "patch.json").write_text(self.shared.patch.to_json())
        self._keep_rig()
        facts: dict[str, Any] = {
            "format": FORMAT,
            "layout": layout_hash(),
            "performance": self.shared.meta.get("performance"),
            "versions": versions(),
            "rate": self.rate,
            "first_frame": first,
            "arena": int(self.shared.arena.size),
            "tracks": [
                {"name": t.name, "channels": t.channels, "file": t.file} for t in self.tracks
            ],
        }
        self._open()
        self._progress(self._tap.peek(0)[0])
        replace_text(self.take / "session.json", json.dumps(facts, indent=1))

    def _keep_rig(self) -> None:
        files = None if self.shared.folder is None else self.shared.file("files.json")
        with contextlib.suppress(OSError, ValueError, KeyError):
            if files is not None:
                rig = json.loads(files.read_text())["rig"]
                (self.take / "rig.yaml").write_bytes(Path(rig).read_bytes())

    def _go_on(self, facts: dict[str, Any]) -> None:
        self._first = int(facts["first_frame"])
        self._open()
        at, self._next, self._again_bytes = PROGRESS.unpack(os.pread(self._place, PROGRESS.size, 0))
        self._tap.skip(max(0, min(len(self._tap), at - self._tap.peek(0)[0])))
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.take / "again.bin", self._again_bytes)

    def _open(self) -> None:
        info = {"take": self.take.name, "first_frame": self._first}
        row = 0
        for track in self.tracks:
            path = self.take / "tracks" / track.file
            writer = TrackWriter(path, track, self.rate, info)
            self._writers.append((writer, slice(row, row + track.channels)))
            row += track.channels
        self._log = os.open(self.take / "admitted.bin", os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(self._log, ADMITTED_HEAD, 0)
        self._place = os.open(self.take / "progress.bin", os.O_RDWR | os.O_CREAT, 0o644)

    # ---- a turn

    def _write_blocks(self, blocks: np.ndarray) -> None:
        """Runs of blocks without a gap go to disk as one piece."""
        start = 0
        while start < len(blocks):
            frame = int(blocks[start]["frame"])
            if frame < self._next:
                self._again(blocks[start])
                start += 1
                continue
            if frame > self._next:
                self._jump(frame)
            pieces, end, until = [], start, frame
            while end < len(blocks) and int(blocks[end]["frame"]) == until:
                count = int(blocks[end]["count"])
                pieces.append(blocks[end]["data"][:, :count])
                until += count
                end += 1
            audio = np.concatenate(pieces, axis=1)
            for writer, rows in self._writers:
                writer.write(frame - self._first, audio[rows])
            self._next, start = until, end

    def _again(self, block: np.ndarray) -> None:
        """A late cycle is stamped with the frame of the one after it, which then comes again."""
        append(self.take / "again.bin", np.ascontiguousarray(block).tobytes())
        self._again_bytes += block.nbytes

    def _jump(self, frame: int) -> None:
        frames = frame - self._next
        if frames > JUMP_MAX_S * self.rate:
            raise RecordingError(f"the sound's clock jumped by {frames / self.rate:.0f} s")
        append_line(self.take / "jumps.jsonl", {"frame": self._next, "frames": frames})
        self._next = frame

    def _write_admitted(self) -> bool:
        at, records = self._admitted.peek(RECORDS_A_TURN)
        if not len(records):
            return False
        for i in np.flatnonzero(records["kind"] == AdmittedKind.COMMAND).tolist():
            self._keep_stem(at + i, data_of(records[i], COMMAND)[0])
        data = np.ascontiguousarray(records).tobytes()
        place = len(ADMITTED_HEAD) + at * ADMITTED.itemsize
        if os.pwrite(self._log, data, place) != len(data):
            raise OSError("the disk is full")
        self._admitted.skip(len(records))
        return True

    def _keep_stem(self, at: int, command: np.void) -> None:
        """The audio that a STEM_PLAY points to, before its place in the arena is used again."""
        if command["kind"] != CommandKind.STEM_PLAY:
            return
        base, frames = int(command["a"]), int(command["b"])
        arena = self.shared.arena
        if base < 0 or frames < 1 or base + 2 * frames > arena.size:
            return  # refused by the audio process too
        audio = arena[base : base + 2 * frames].reshape(2, frames)
        sha = hashlib.sha256(audio.tobytes()).hexdigest()
        path = self.take / "stems" / f"{sha[:32]}.au"
        if not path.exists():
            temporary = path.with_suffix(".new")
            temporary.unlink(missing_ok=True)
            writer = TrackWriter(temporary, Track(sha, 2), self.rate, {})
            writer.write(0, audio)
            writer.close()
            os.replace(temporary, path)
        line = {"at": at, "id": int(command["id"]), "role": int(command["c"]), "sha256": sha}
        append_line(self.take / "stems.jsonl", line)


def append_line(path: Path, facts: dict[str, Any]) -> None:
    """One JSON line at the end of a file, in one write."""
    append(path, json.dumps(facts).encode() + b"\n")


def append(path: Path, data: bytes) -> None:
    """At the end of a file, in one write."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        if os.write(file, data) != len(data):
            raise OSError("the disk is full")
    finally:
        os.close(file)


def replace_text(path: Path, text: str) -> None:
    """A file that is there whole or not at all."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    os.replace(temporary, path)

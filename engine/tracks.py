"""Lossless tracks on disk that stay readable however the writer ends: AU (Sun, NeXT), float32.

Its header may say that the length is unknown, so nothing has to be brought up to date and a file
cut anywhere is whole up to the cut, at any length. libsndfile, SoX, FFmpeg and mpv read such a
file. (An RF64 whose header was not rewritten reads as empty, libsndfile and SoX refuse a CAF of
unknown length, FLAC holds no float32.) Writing is by position, so doing it twice changes nothing,
and frames never written read as zeros and take no room on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.layout import audio_dtype
from engine.patch import Patch

HEADER_BYTES = 1024  # the audio begins here
UNKNOWN_LENGTH = 0xFFFFFFFF
FLOAT32 = 6
CHANNELS_MAX = 64


class TrackError(Exception):
    """A file that is not the track it should be; names the file, what was found and expected."""


@dataclass(frozen=True)
class Track:
    """name: input.NAME, texture.NAME or cv_in.NAME (as it came in), bus.NAME or cv_out.NAME (as it
    left; a voltage as a part of full scale, as the interface got it)."""

    name: str
    channels: int

    @property
    def leaves(self) -> bool:
        """An output's: replay makes it again."""
        return is_output(self.name)

    @property
    def file(self) -> str:
        return file_name(self.name, ".au")


def is_output(name: str) -> bool:
    """Of a track: what left."""
    return name.startswith(("bus.", "cv_out."))


def file_name(name: str, suffix: str) -> str:
    """Safe on any disk, whatever the name holds (spaces, slashes, emoji)."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80]
    if safe != name:
        safe += f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return safe + suffix


def tracks_of(patch: Patch) -> list[Track]:
    """Every track of a performance, in the order of the recorder's ring (engine/taps.py)."""
    return [
        *(Track(f"input.{n}", 1) for n in patch.inputs),
        *(Track(f"texture.{n}", 2) for n, p in patch.players.items() if p.to),
        *(Track(f"cv_in.{n}", 1) for n, c in patch.cv_in.items() if c.channel is not None),
        *(Track(f"bus.{n}", 2) for n in patch.outputs),
        *(Track(f"cv_out.{n}", 1) for n in voltages_out(patch)),
    ]


def voltages_out(patch: Patch) -> list[str]:
    """The control voltages that have a place on the interface."""
    return [n for n, c in patch.cv.items() if c.channel]


def tap_dtype(patch: Patch) -> np.dtype:
    """The recorder's ring: `count` frames of every track from `frame` on."""
    channels = sum(t.channels for t in tracks_of(patch))
    return audio_dtype(channels)


def header(rate: float, channels: int, info: dict[str, Any]) -> bytes:
    """HEADER_BYTES bytes; the samples follow, interleaved, big-endian. info: into the annotation,
    as JSON. Raises TrackError."""
    made = struct.pack(
        ">4sIIIII", b".snd", HEADER_BYTES, UNKNOWN_LENGTH, FLOAT32, round(rate), channels
    )
    made += json.dumps(info).encode()
    if len(made) >= HEADER_BYTES:
        raise TrackError(f"{len(made)} bytes of facts do not fit the head of a track")
    return made.ljust(HEADER_BYTES, b"\0")


class TrackWriter:
    """One file, made or gone on with. Not real-time safe. Raises OSError (a full disk)."""

    def __init__(self, path: Path, track: Track, rate: float, info: dict[str, Any]) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._frame_bytes = 4 * track.channels
        if os.fstat(self._file).st_size < HEADER_BYTES:
            _write(self._file, header(rate, track.channels, {"track": track.name, **info}), 0)

    def write(self, position: int, audio: np.ndarray) -> None:
        """audio float32 (channels, n), from frame `position` of the file on."""
        data = np.ascontiguousarray(audio.T, ">f4").tobytes()
        _write(self._file, data, HEADER_BYTES + position * self._frame_bytes)

    def close(self) -> None:
        os.close(self._file)


def _write(file: int, data: bytes, at: int) -> None:
    """All of it, or OSError."""
    done = 0
    while done < len(data):
        done += os.pwrite(file, data[done:], at + done)


@dataclass(frozen=True)
class TrackFile:
    """What a file holds: audio big-endian float32 (frames, channels), read as needed; info: the
    facts in its head."""

    rate: float
    audio: np.ndarray
    info: dict[str, Any]


def read_track(path: Path) -> TrackFile:
    """Raises TrackError, also for a file that is no track of ours, and OSError."""
    size = path.stat().st_size
    with path.open("rb") as f:
        head = f.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES or head[:4] != b".snd":
        raise TrackError(f"{path}: {size} bytes that are no AU file written by segue")
    _, begins, _, kind, rate, channels = struct.unpack(">4sIIIII", head[:24])
    if (begins, kind) != (HEADER_BYTES, FLOAT32) or not 1 <= channels <= CHANNELS_MAX or not rate:
        raise TrackError(f"{path}: not float32 of 1 to {CHANNELS_MAX} channels")
    try:
        info = json.loads(head[24:].rstrip(b"\0"))
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict):
        raise TrackError(f"{path}: its head is broken")
    frames = (size - HEADER_BYTES) // (4 * channels)
    if frames == 0:
        return TrackFile(rate, np.zeros((0, channels), ">f4"), info)
    return TrackFile(rate, np.memmap(path, ">f4", "r", HEADER_BYTES, (frames, channels)), info)

"""What pool and workers say to each other over a socket pair.

A frame is 12 bytes (magic, header length, payload length; little-endian), a JSON object, raw bytes.

    worker -> pool   hello {pid} · progress {id, fraction} · result {id, notes, ...} + float32 audio
                     · error {id, text} · cancelled {id}
    pool -> worker   job {id, maker, request, ...} · cancel {id}

Neither side trusts a length beyond its limits. Not thread-safe.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict
from typing import Any

import numpy as np

from engine.stem import FILES_MAKER, Stem, StemNote, StemRequest

MAGIC = b"SGP1"
PREFIX = struct.Struct("<4sII")
HEADER_MAX = 4 << 20
NOTES_MAX = 20_000
PEAK_MAX = 1.0
LENGTH_SLACK = 1e-6  # beats

Frame = tuple[dict[str, Any], bytes]


class WireError(ValueError):
    """Bytes that are no frame, or a frame that is no answer: what was found, what was expected."""


def pack(header: dict[str, Any], payload: bytes = b"") -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return PREFIX.pack(MAGIC, len(text), len(payload)) + text + payload


class FrameReader:
    """Collects bytes into frames. payload_max: bytes of the largest payload now allowed."""

    def __init__(self, payload_max: int = 0) -> None:
        self.payload_max = payload_max
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises WireError; the reader is then of no more use."""
        self._bytes += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        if len(self._bytes) < PREFIX.size:
            return None
        magic, head, body = PREFIX.unpack_from(self._bytes)
        if magic != MAGIC:
            raise WireError(f"frame starts with {bytes(magic)!r}, expected {MAGIC!r}")
        if head > HEADER_MAX or body > self.payload_max:
            raise WireError(
                f"frame of {head} + {body} bytes, at most {HEADER_MAX} + {self.payload_max} allowed"
            )
        end = PREFIX.size + head + body
        if len(self._bytes) < end:
            return None
        text = bytes(self._bytes[PREFIX.size : PREFIX.size + head])
        payload = bytes(self._bytes[PREFIX.size + head : end])
        del self._bytes[:end]
        try:
            header = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WireError(f"frame's header is not JSON: {error}") from error
        if not isinstance(header, dict) or not isinstance(header.get("type"), str):
            raise WireError("frame's header is not an object with a type")
        return header, payload


def request_to_json(request: StemRequest) -> dict[str, Any]:
    return asdict(request)


def request_from_json(data: dict[str, Any]) -> StemRequest:
    """What request_to_json wrote; the worker trusts the pool."""
    context = tuple(StemNote(**n) for n in data["context"])
    return StemRequest(**{**data, "context": context})


def notes_to_json(notes: list[StemNote]) -> list[list[Any]]:
    return [[n.start, n.duration, n.key, n.velocity, n.program, n.drums] for n in notes]


def stem_from_result(
    header: dict[str, Any], payload: bytes, request: StemRequest, rate: int, exact: float
) -> Stem:
    """The Stem of a result frame, every promise checked. Raises WireError."""
    frames = round(exact)
    if len(payload) != frames * 8:
        raise WireError(f"result holds {len(payload)} bytes of audio, expected {frames * 8}")
    audio = np.frombuffer(payload, dtype="<f4").reshape(2, frames)
    peak = max(float(audio.max()), -float(audio.min()))  # NaN stays NaN
    if not peak <= PEAK_MAX:
        raise WireError(f"result's audio peaks at {peak}, expected at most {PEAK_MAX}")
    loudness = header.get("loudness_lufs")
    provenance = header.get("provenance")
    level = isinstance(loudness, float) and math.isfinite(loudness)
    if not level or not isinstance(provenance, dict):
        raise WireError("result without loudness or provenance")
    of_file = provenance.get("maker") == FILES_MAKER  # it has no notes
    notes = [] if of_file else _notes(header.get("notes"), request.beats)
    assert isinstance(loudness, float)
    return Stem(request, notes, audio, exact, loudness, dict(provenance))


def _notes(rows: Any, beats: float) -> list[StemNote]:
    if not isinstance(rows, list) or not 0 < len(rows) <= NOTES_MAX:
        raise WireError(f"result without notes, or with more than {NOTES_MAX}")
    notes = []
    for row in rows:
        try:
            start, duration, key, velocity, program, drums = row
            note = StemNote(
                float(start), float(duration), int(key), int(velocity), int(program), bool(drums)
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise WireError(f"result's note {str(row)[:80]} is none") from error
        inside = 0 <= note.start < beats and 0 < note.duration <= beats - note.start + LENGTH_SLACK
        midi = 0 <= note.key <= 127 and 1 <= note.velocity <= 127 and 0 <= note.program <= 127
        if not (inside and midi and math.isfinite(note.duration)):
            raise WireError(f"result's note {str(row)[:80]} lies outside the stem or MIDI")
        notes.append(note)
    return notes

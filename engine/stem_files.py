"""Stems from a folder of sound files, brought to the tempo, length and rate that are wanted.

Runs in a worker of the pool, which may die of a file: nothing here is trusted. What becomes of a
file on disk afterwards disturbs nothing, as its stem is a copy in the arena. A file that cannot be
used is skipped with one message, and the next one is taken.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.adapter import AdapterError
from engine.audio_file import AudioFileError, read_audio
from engine.stem import Stem, StemRequest
from engine.stem_facts import Facts, found, given
from engine.stem_render import frames_exact, level
from engine.stretch import StretchError, stretch_loop

SUFFIXES = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3")
FILES_MAX = 1000
BYTES_MAX = 256 << 20
SECONDS_MAX = 600.0
UNKNOWN_BYTES = 0x7FFF0000  # written by recorders that did not know their file's length
_CUT = re.compile(r"^ *(?:data|SSND) *: *(\d+) \(should be (\d+)\)", re.MULTILINE)
SILENT = 1e-4  # peak (-80 dBFS)
TAIL_BARS = 0.75  # a file longer than whole bars by less has a tail, which runs on over its start


def load_stem(request: StemRequest, config: dict[str, Any], rate: int) -> Stem:
    """The request's file, seed counting through the folder in order of name; the next ones where
    it cannot be used. config: folder; match_key: transpose to the request's key. provenance:
    file, what was given and found, and `skipped`, a message a file. Raises AdapterError."""
    folder = Path(str(config["folder"]))
    files = _files(folder)
    skipped: list[str] = []
    for i in range(len(files)):
        path = files[(request.seed + i) % len(files)]
        try:
            stem = _load(path, request, bool(config.get("match_key")), rate)
        except (AdapterError, AudioFileError, OSError) as error:
            text = str(error)
            skipped.append(text if path.name in text else f"{path.name}: {text}")
            continue
        stem.provenance["skipped"] = "\n".join(skipped)
        return stem
    raise AdapterError(f"{folder}: none of its {len(files)} files can be used; {skipped[0]}")


def _files(folder: Path) -> list[Path]:
    try:
        found_ = sorted(
            p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.name[0] != "."
        )
    except OSError as error:
        raise AdapterError(f"{folder}: {error.strerror}") from error
    if not found_:
        raise AdapterError(f"{folder}: no sound file in it, expected {' '.join(SUFFIXES)}")
    return found_[:FILES_MAX]


def _load(path: Path, request: StemRequest, match_key: bool, rate: int) -> Stem:
    audio = _read(path, rate)
    facts = found(given(path), audio, rate, request.beats_per_bar, request.bpm)
    assert facts.bpm is not None
    bpm = octave(facts.bpm, request.bpm)
    shift = transposition(facts, request) if match_key else 0
    whole = whole_bars(audio.T, facts, bpm, request, rate)
    exact = frames_exact(request, rate)
    fitted, loudness = level(stretched(whole, exact, shift, rate), rate, request)
    provenance: dict[str, object] = {
        "file": path.name,
        "bpm": round(facts.bpm, 2),
        "bpm_from": facts.bpm_from,
        "key": "" if facts.key is None else f"{facts.key}{' minor' if facts.minor else ''}",
        "key_from": facts.key_from,
        "transposed": shift,
        "play": "" if facts.play is None else facts.play.value,
        "choke": facts.choke,
    }
    return Stem(request, [], fitted, exact, loudness, provenance)


def _read(path: Path, rate: int) -> np.ndarray:
    """float32 (frames, 2)."""
    if not path.is_file():  # a pipe would be waited for
        raise AdapterError("no plain file")
    size = path.stat().st_size
    if size > BYTES_MAX:
        raise AdapterError(f"{size >> 20} MiB, at most {BYTES_MAX >> 20}")
    try:
        info = soundfile.info(path, verbose=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AdapterError("no sound file that can be read, or cut off in its header") from error
    cut = _CUT.search(info.extra_info)
    if cut and int(cut[2]) < int(cut[1]) < UNKNOWN_BYTES:
        raise AdapterError(f"cut off: {cut[2]} of the {cut[1]} bytes of sound it says it has")
    if info.channels > 2:
        raise AdapterError(f"{info.channels} channels, expected 1 or 2")
    if info.duration > SECONDS_MAX:
        raise AdapterError(f"{info.duration:.0f} s long, at most {SECONDS_MAX:.0f}")
    audio = read_audio(path, rate)
    if len(audio) < 0.98 * info.duration * rate:
        heard = len(audio) / rate
        raise AdapterError(f"cut off: {heard:.2f} s of the {info.duration:.2f} s it says it has")
    if float(np.abs(audio).max()) < SILENT:
        raise AdapterError("silent")
    return np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio


def octave(bpm: float, wanted: float) -> float:
    """A tempo, doubled or halved to be nearest to the wanted one."""
    return min((bpm / 2, bpm, bpm * 2), key=lambda b: abs(math.log(b / wanted)))


def transposition(facts: Facts, request: StemRequest) -> int:
    """Semitones, -6 to 5, to the request's key; 0 where the file's is unknown, and for drums."""
    if facts.key is None or request.role == "drums":
        return 0
    relative = 3 * (facts.minor - request.minor)  # A minor is C major's
    return (request.key - (facts.key + relative) + 6) % 12 - 6


def whole_bars(
    audio: np.ndarray, facts: Facts, bpm: float, request: StemRequest, rate: int
) -> np.ndarray:
    """The request's bars at the file's tempo, float32 (2, n): repeated where the file is shorter,
    its first bars where it is longer. A tail behind whole bars sounds on over the beginning."""
    bar = request.beats_per_bar * 60.0 / bpm * rate
    bars = max(1, math.floor(audio.shape[1] / bar + 1.0 - TAIL_BARS))
    own = round(min(bars, request.bars) * bar)
    loop = np.zeros((2, own), np.float32)
    head = audio[:, :own]
    loop[:, : head.shape[1]] = head
    if bars <= request.bars:
        tail = audio[:, own : 2 * own]
        loop[:, : tail.shape[1]] += tail
    total = round(request.bars * bar)
    repeats = -(-total // own)
    return np.tile(loop, (1, repeats))[:, :total]


def stretched(loop: np.ndarray, exact: float, semitones: int, rate: int) -> np.ndarray:
    """A loop brought to a length and pitch, float32 (2, n); untouched where both are right."""
    own, frames = loop.shape[1], round(exact)
    if abs(own - frames) <= 1 and not semitones:
        return loop[:, :frames] if own >= frames else np.pad(loop, ((0, 0), (0, 1)))
    try:
        return stretch_loop(loop, float(own), exact, rate, semitones)
    except StretchError as error:
        raise AdapterError(f"cannot be brought to the tempo: {error}") from error

"""Which SoundFont plays, and whether it is one: proved in a child before the audio process.

tinysoundfont parses in C; a broken file may take the process down that reads it. What a performance
was started with is remembered by time and size: its file may change or vanish under it, which an
audio process that is started again would else never get over.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from engine.patch import Patch

MAX_BYTES = 512 * 1024 * 1024
PROVE_TIMEOUT_S = 20.0
AGAIN_S = 10.0  # while everybody waits for the sound to come back
STARTED = "soundfont.json"  # in the shared folder
PLACES = (
    "/usr/share/sounds/sf2/TimGM6mb.sf2",
    "/usr/share/sounds/sf2/default-GM.sf2",
    "/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "/usr/share/soundfonts/default.sf2",
)
_PROVE = """
import sys, numpy
from tinysoundfont import _tinysoundfont as t
font = t.SoundFont(sys.argv[1])
font.set_output(t.OutputMode.StereoInterleaved, 48000, 0.0)
font.set_max_voices(16)
font.channel_set_preset_number(0, 0, False)
font.channel_note_on(0, 60, 0.8)
block = numpy.zeros(9600, numpy.float32)
font.render(memoryview(block.view(numpy.uint8).data))
sys.exit(0 if numpy.isfinite(block).all() and font.get_preset_count() else 4)
"""


class SoundFontError(Exception):
    """A file that is no usable SoundFont."""


def find_soundfont(patch: Patch) -> Path | None:
    """The patch's, or the first General MIDI SoundFont the system has, or None."""
    if patch.soundfont:
        return Path(patch.soundfont)
    return next((Path(p) for p in PLACES if Path(p).is_file()), None)


def prove(path: Path, within: float = PROVE_TIMEOUT_S) -> None:
    """Load and play a note in a child. within: seconds. Raises SoundFontError; takes about a
    second."""
    if not path.is_file():
        raise SoundFontError(f"{path}: no such file, expected a SoundFont (.sf2)")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SoundFontError(f"{path}: {size} bytes, at most {MAX_BYTES}")
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"sfbk":
        raise SoundFontError(f"{path}: starts with {head!r}, expected a RIFF sfbk file")
    try:
        child = subprocess.run(
            [sys.executable, "-c", _PROVE, str(path)],
            capture_output=True,
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SoundFontError(f"{path}: loading took over {within:g} s") from error
    if child.returncode:
        raise SoundFontError(f"{path}: cannot be played (the test ended with {child.returncode})")


# ---- while a performance runs


def _stamp(path: Path | None) -> list[object] | None:
    with contextlib.suppress(OSError):
        if path is not None:
            facts = path.stat()
            return [str(path), facts.st_mtime_ns, facts.st_size]
    return None


def remember(folder: Path, patch: Patch) -> None:
    """The supervisor's, at the start: which file this is."""
    (folder / STARTED).write_text(json.dumps(_stamp(find_soundfont(patch))))


def _is_as_it_was(folder: Path, path: Path | None) -> bool:
    """Nobody has remembered anything where no supervisor has started it."""
    file = folder / STARTED
    return not file.exists() or bool(json.loads(file.read_text()) == _stamp(path))


def changed_since(folder: Path, patch: Patch) -> str:
    """For people: that the SoundFont's file was changed since the start; '' where it was not."""
    path = find_soundfont(patch)
    if _is_as_it_was(folder, path):
        return ""
    return f"the SoundFont ({path}) was changed since the start: it takes a restart to be heard"


def find_again(folder: Path, patch: Patch) -> tuple[Path | None, str]:
    """For a process that begins while the performance runs: the SoundFont, and what has become of
    it, in words, '' where nothing has. One that is not what it was is proved again; where it is no
    SoundFont any more, one of the system's is taken, or none."""
    named = find_soundfont(patch)
    if named is None or _is_as_it_was(folder, named):
        return named, ""
    try:
        prove(named, AGAIN_S)
    except (SoundFontError, OSError) as error:
        said = f"the SoundFont was changed since the start: {error}"
        other = find_soundfont(replace(patch, soundfont=None))
        if other is None or other == named:
            return None, f"{said}; voices are silent"
        return other, f"{said}; {other} is played instead"
    return named, ""

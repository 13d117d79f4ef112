"""Which SoundFont plays, and whether it is one: proved in a child before the audio process.

tinysoundfont parses in C; a broken file may take the process down that reads it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine.patch import Patch

MAX_BYTES = 512 * 1024 * 1024
PROVE_TIMEOUT_S = 20
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


def prove(path: Path) -> None:
    """Load and play a note in a child. Raises SoundFontError; takes about a second."""
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
            timeout=PROVE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SoundFontError(f"{path}: loading took over {PROVE_TIMEOUT_S} s") from error
    if child.returncode:
        raise SoundFontError(f"{path}: cannot be played (the test ended with {child.returncode})")

"""Tempo and key of a sound file: given in its name or in a side-car file, else found.

    drums_120bpm.wav · bass 96.5 BPM F#m.flac · Pad_Ebmaj_100bpm.ogg
    drums.wav + drums.yaml (or drums.wav.yaml):  bpm, key, bars, play, choke

The side-car counts before the name, the name before what is found. Tempo is found by aubio's beat
tracker, and made to fit a whole number of bars where it nearly does; where it hears no beats, the
file is taken to be 1, 2, 4, 8 or 16 bars at the tempo nearest to the wanted one. Key is found by
the pitch classes' histogram (Krumhansl and Kessler's profiles, 1982). Untrusted input: runs in a
worker. Not real-time safe.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.adapter import AdapterError
from engine.patch_yaml import Mapping, Node, PatchError, Scalar, read_tree
from engine.stem import Play
from engine.timeline import BPM_MAX, BPM_MIN

SIDECAR_BYTES = 4096
BARS_MAX = 64
NEARLY = 0.06  # of a bar: a file this near to whole bars is whole bars
HOP, WINDOW = 512, 1024  # frames, of the beat tracker
BEATS_SURE = 0.1  # aubio's confidence from which its beats are believed
KEY_WINDOW = 8192
KEY_SURE = 0.55  # correlation with a profile from which a key is believed
TONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SHIFTS = {"": 0, "#": 1, "sharp": 1, "b": -1, "flat": -1}
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_BPM = re.compile(r"(?<![\d.])(\d{2,3}(?:\.\d+)?)[ _-]?bpm", re.IGNORECASE)
_KEY = r"([A-G])(#|b|sharp|flat)?[ _-]?(maj(?:or)?|min(?:or)?|m)?"
_KEY_IN_NAME = re.compile(rf"(?:^|[ _.-]){_KEY}(?=$|[ _.-])")
_KEY_ALONE = re.compile(rf"^{_KEY}$")


@dataclass(frozen=True)
class Facts:
    """bpm, key (0-11 above C), minor: None where unknown; *_from: sidecar, name, beats, length,
    pitch. bars: given only. play, choke: of the side-car."""

    bpm: float | None = None
    bpm_from: str = ""
    key: int | None = None
    minor: bool = False
    key_from: str = ""
    bars: int | None = None
    play: Play | None = None
    choke: str = ""


def given(path: Path) -> Facts:
    """From name and side-car. Raises AdapterError on a side-car that cannot be used."""
    facts: dict[str, Any] = {}
    tempo, key = _BPM.search(path.stem), _KEY_IN_NAME.search(path.stem)
    if tempo and BPM_MIN <= float(tempo[1]) <= BPM_MAX:
        facts |= {"bpm": float(tempo[1]), "bpm_from": "name"}
    if key and key.group(0).strip(" _.-") not in ("", "A"):  # "A" alone is a word
        facts |= {**_key_of(key), "key_from": "name"}
    for side in (path.with_suffix(".yaml"), path.with_name(path.name + ".yaml")):
        if side.is_file():
            facts |= _sidecar(side)
            break
    return Facts(**facts)


def _key_of(found: re.Match[str]) -> dict[str, Any]:
    tone, shift, mode = found.groups()
    key = (TONES[tone] + SHIFTS[shift or ""]) % 12
    return {"key": key, "minor": mode is not None and not mode.startswith("maj")}


def _sidecar(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        data = file.read(SIDECAR_BYTES + 1)
    if len(data) > SIDECAR_BYTES:
        raise AdapterError(f"{path.name}: more than {SIDECAR_BYTES} bytes, expected a few lines")
    try:
        tree = _plain(read_tree(path.name, data, "side-car"))
    except PatchError as error:
        raise AdapterError(str(error)) from error
    if not isinstance(tree, dict):
        raise AdapterError(f"{path.name}: expected keys such as `bpm: 120`")
    known = ("bpm", "key", "bars", "play", "choke")
    for name, value in tree.items():
        if name not in known:
            raise AdapterError(f"{path.name}: key {name!r}, expected one of {', '.join(known)}")
        if not _fits(name, value):
            raise AdapterError(f"{path.name}: {name} is {value!r}, expected {_EXPECTED[name]}")
    facts: dict[str, Any] = {k: tree[k] for k in ("bars", "choke") if k in tree}
    if "bpm" in tree:
        facts |= {"bpm": float(tree["bpm"]), "bpm_from": "sidecar"}
    if "key" in tree:
        found = _KEY_ALONE.match(tree["key"])
        assert found is not None
        facts |= {**_key_of(found), "key_from": "sidecar"}
    if "play" in tree:
        facts["play"] = Play(tree["play"])
    return facts


def _plain(node: Node) -> Any:
    """Of a mapping its scalars; a nested value is no answer to any key."""
    if isinstance(node, Mapping):
        return {k: _plain(v) for k, (_, v) in node.entries.items()}
    return node.value if isinstance(node, Scalar) else None


_EXPECTED = {
    "bpm": f"{BPM_MIN:g} to {BPM_MAX:g} beats a minute",
    "key": "a tonic and a mode, such as Am, F# minor or Eb",
    "bars": f"a whole number of bars from 1 to {BARS_MAX}",
    "play": "one of " + ", ".join(p.value for p in Play),
    "choke": "the name of a choke group",
}


def _fits(name: str, value: Any) -> bool:
    if name == "bpm":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and BPM_MIN <= value <= BPM_MAX
    if name == "bars":
        return isinstance(value, int) and value is not True and 1 <= value <= BARS_MAX
    if not isinstance(value, str) or len(value) > 32:
        return False
    if name == "key":
        return _KEY_ALONE.match(value) is not None
    return name == "choke" or value in {p.value for p in Play}


# ---- found


def found(facts: Facts, audio: np.ndarray, rate: int, beats_per_bar: int, wanted: float) -> Facts:
    """The same with tempo and key filled in. audio: float32 (frames, channels). wanted: BPM."""
    mono = np.ascontiguousarray(audio.mean(axis=1), np.float32)
    bpm, bpm_from, key, minor, key_from = (
        facts.bpm, facts.bpm_from, facts.key, facts.minor, facts.key_from
    )  # fmt: skip
    seconds = len(mono) / rate
    if bpm is None and facts.bars is not None:
        bpm, bpm_from = facts.bars * beats_per_bar * 60.0 / seconds, "sidecar"
    if bpm is None:
        bpm, bpm_from = _beats(mono, rate), "beats"
        if bpm is not None:
            bpm = _whole(bpm, seconds, beats_per_bar)
    if bpm is None or not BPM_MIN <= bpm <= BPM_MAX:
        lengths = [b * beats_per_bar * 60.0 / seconds for b in (1, 2, 4, 8, 16)]
        bpm, bpm_from = min(lengths, key=lambda b: abs(math.log(b / wanted))), "length"
    if not BPM_MIN <= bpm <= BPM_MAX:
        raise AdapterError(f"{seconds:.2f} s long: no number of bars fits it; give it a side-car")
    if key is None:
        heard = _pitch(mono, rate)
        if heard is not None:
            (key, minor), key_from = heard, "pitch"
    return Facts(bpm, bpm_from, key, minor, key_from, facts.bars, facts.play, facts.choke)


def _beats(mono: np.ndarray, rate: int) -> float | None:
    """BPM by aubio, None where it heard fewer than four beats, or none that it was sure of."""
    import aubio

    tempo = aubio.tempo("default", WINDOW, HOP, rate)
    beats = [
        tempo.get_last_s()
        for at in range(0, len(mono) - HOP + 1, HOP)
        if tempo(mono[at : at + HOP])[0]
    ]
    if len(beats) < 4 or tempo.get_confidence() < BEATS_SURE:
        return None
    return 60.0 / float(np.median(np.diff(beats)))


def _whole(bpm: float, seconds: float, beats_per_bar: int) -> float:
    """The tempo near this one at which the file is whole bars; this one where none is."""
    bars = seconds * bpm / 60.0 / beats_per_bar
    whole = round(bars)
    return whole * beats_per_bar * 60.0 / seconds if whole and abs(bars - whole) < NEARLY else bpm


def _pitch(mono: np.ndarray, rate: int) -> tuple[int, bool] | None:
    """(tonic, minor), None where no key is clear."""
    pieces = [mono[a : a + KEY_WINDOW] for a in range(0, len(mono) - KEY_WINDOW + 1, KEY_WINDOW)]
    if not pieces:
        return None
    spectrum = np.abs(np.fft.rfft(np.stack(pieces) * np.hanning(KEY_WINDOW), axis=1)).sum(axis=0)
    hertz = np.fft.rfftfreq(KEY_WINDOW, 1.0 / rate)
    tonal = (hertz > 55.0) & (hertz < 2000.0)
    classes = np.round(69 + 12 * np.log2(hertz[tonal] / 440.0)).astype(int) % 12
    histogram = np.bincount(classes, spectrum[tonal], 12)
    if not histogram.any():
        return None
    fits = [
        (float(np.corrcoef(np.roll(profile, tonic), histogram)[0, 1]), tonic, minor)
        for profile, minor in ((MAJOR, False), (MINOR, True))
        for tonic in range(12)
    ]
    sure, tonic, minor = max(fits)
    return (tonic, minor) if sure >= KEY_SURE else None

"""Part of engine/patch_check.py: what no single value tells of the control voltages of a patch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.calibration import CalibrationError, is_usable, read_calibration
from engine.patch import Patch, source_names
from engine.patch_cv import NOTE_KINDS, STEMS, Cv
from engine.patch_read import suggest
from engine.patch_yaml import describe

Fault = tuple[str, str, str]  # key, found, expected


def check_cv(patch: Patch, folder: Path) -> Iterator[Fault]:
    """Channels, sources and calibrations; paths are relative to `folder`."""
    speakers = {c: name for name, output in patch.outputs.items() for c in output.channels}
    taken: dict[int | str, str] = {}
    for name, cv in patch.cv.items():
        key = f"cv.{name}.channel"
        yield from _source(patch, f"cv.{name}", cv)
        yield from _calibration(f"cv.{name}", cv, folder)
        if not cv.channel:
            continue
        if cv.channel in speakers:
            found = f"channel {cv.channel}, which outputs.{speakers[cv.channel]} sends to a speaker"
            yield key, found, "a channel of its own: a control voltage can destroy a speaker"
        elif cv.channel in taken:
            yield key, f"channel {cv.channel} again (also {taken[cv.channel]})", "each channel once"
        taken.setdefault(cv.channel, key)


def _source(patch: Patch, key: str, cv: Cv) -> Iterator[Fault]:
    roles = [f"{STEMS}{role}" for role in patch.roles]
    if cv.kind in NOTE_KINDS:
        known, what = [*patch.voices, *roles], "a voice or the stems of a role: "
        if cv.kind == "pitch":
            known, what = list(patch.voices), "a voice: "
    elif cv.kind == "level":
        heard = ("input.", "voice.", "texture.", STEMS)
        known = [name for name in source_names(patch) if name.startswith(heard)]
        what = "what is heard: "
    else:
        if cv.source:
            yield f"{key}.source", describe(cv.source), f"none, as the kind is {cv.kind}"
        return
    if cv.source not in known:
        found = describe(cv.source) if cv.source else "nothing"
        yield f"{key}.source", found, what + suggest(cv.source, known)


def _calibration(key: str, cv: Cv, folder: Path) -> Iterator[Fault]:
    if cv.kind != "pitch":
        for end in ("calibration", "table"):
            if getattr(cv, end):
                yield f"{key}.{end}", f"one for the kind {cv.kind}", "one for a pitch only"
        return
    if cv.table and not is_usable(cv.table):
        expected = "pairs of a MIDI note and volts that rise together, at most 12 semitones apart"
        yield f"{key}.table", "a table with gaps or nonsense", expected
    if cv.calibration is None:
        return
    if cv.table:
        yield f"{key}.table", "a table beside a calibration file", "one of the two"
    try:
        read_calibration(folder / cv.calibration)
    except CalibrationError as error:
        yield f"{key}.calibration", str(error), "a calibration file (see `segue cv calibrate`)"

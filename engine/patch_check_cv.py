"""Part of engine/patch_check.py: what no single value tells of the control voltages of a patch."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from engine.calibration import (
    OCTAVE_VOLTS,
    CalibrationError,
    is_usable,
    read_calibration,
    strange_step,
    volts_table,
)
from engine.layout import MAX_LATENTS
from engine.mixer import sends_of
from engine.patch import Patch
from engine.patch_cv import NOTE_KINDS, STEMS, Cv, CvIn
from engine.patch_read import suggest
from engine.patch_yaml import describe
from engine.sources import source_names

Fault = tuple[str, str, str]  # key, found, expected
STEADY = f"{OCTAVE_VOLTS[0]:g} to {OCTAVE_VOLTS[1]:g} V an octave between neighbours"


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


def check_cv_in(patch: Patch) -> Iterator[Fault]:
    """What comes in, and what it moves."""
    gates = [name for name, cv in patch.cv_in.items() if cv.kind == "gate"]
    inputs = {g.channel: n for n, g in patch.inputs.items() if g.channel is not None}
    taken: dict[int | str, str] = {}
    for name, cv in patch.cv_in.items():
        key = f"cv_in.{name}"
        for end in ("freeze", "sample"):
            gate = getattr(cv, end)
            if gate is None:
                continue
            if cv.kind == "gate" or (end == "sample" and _inside(cv)):
                yield f"{key}.{end}", f"one for a {cv.kind}", "one for a voltage or a pitch only"
            elif gate not in gates:
                yield f"{key}.{end}", describe(gate), "a gate in cv_in: " + suggest(gate, gates)
        if cv.low_volts == cv.high_volts:
            found = f"{cv.high_volts:g} V, as low_volts"
            yield f"{key}.high_volts", found, "two voltages, for 0 and for 1"
        if cv.channel in inputs:
            found = f"channel {cv.channel}, which inputs.{inputs[cv.channel]} hears as sound"
            yield f"{key}.channel", found, "a channel of its own"
        elif cv.channel is not None and cv.channel in taken:
            found = f"channel {cv.channel} again (also {taken[cv.channel]})"
            yield f"{key}.channel", found, "each channel once"
        elif cv.channel is not None:
            taken[cv.channel] = key
    yield from _routes(patch)


def _inside(cv: CvIn) -> bool:
    return cv.kind == "chaos" and cv.channel is None


def _routes(patch: Patch) -> Iterator[Fault]:
    taken: dict[str, str] = {}
    for name, route in patch.routes.items():
        key = f"routes.{name}"
        if route.source not in patch.cv_in:
            wanted = "a cv_in: " + suggest(route.source, patch.cv_in)
            yield f"{key}.source", describe(route.source), wanted
        known = targets(patch)
        if route.to not in known:
            near = difflib.get_close_matches(route.to, known, n=4, cutoff=0.3) or known[:4]
            yield (
                f"{key}.to",
                describe(route.to),
                f"what there is to move, such as {', '.join(near)}",
            )
        elif route.to in taken:
            yield f"{key}.to", f"{route.to} again (also {taken[route.to]})", "each target once"
        taken.setdefault(route.to, f"{key}.to")
        if route.to.startswith("density.") and not (
            min(route.low, route.high) >= 0 and max(route.low, route.high) <= 1
        ):
            found = f"{route.low:g} to {route.high:g}"
            yield f"{key}.high", found, "low and high from 0 to 1 for a density"


def targets(patch: Patch) -> list[str]:
    """Everything that a route may move."""
    found = [f"send.{name}.{bus}" for name in source_names(patch) for bus in sends_of(patch, name)]
    textures = [n for n, p in patch.players.items() if p.to]
    found += [f"latent.{name}.{i}" for name in textures for i in range(MAX_LATENTS)]
    found += [f"density.{role}" for role in patch.roles]
    return found + [f"generate.{name}" for name in (*patch.players, *patch.roles)]


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
    elif cv.kind == "modulation":
        known, what = list(patch.cv_in), "a cv_in: "
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
    elif cv.table and (strange := strange_step(cv.table)) is not None:
        yield f"{key}.table", strange, STEADY
    if cv.calibration is None:
        return
    if cv.table:
        yield f"{key}.table", "a table beside a calibration file", "one of the two"
    try:
        values = read_calibration(folder / cv.calibration)
        volts = volts_table(values, cv.volts_full_scale, cv.offset_volts, cv.polarity)
        if (strange := strange_step(volts)) is not None:
            yield f"{key}.calibration", f"{folder / cv.calibration}: {strange}", STEADY
    except CalibrationError as error:
        yield f"{key}.calibration", str(error), "a calibration file (see `segue cv calibrate`)"

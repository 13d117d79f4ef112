"""A rig file to a checked Rig: the only way in. engine/set_load.py lays one over a patch.

Faults are told as those of a patch are: file, line, key, what was found, what was expected. Not
real-time safe; any thread.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from engine.patch_check import resolve
from engine.patch_controls import faults
from engine.patch_load import PatchError, read_file
from engine.patch_read import Reader
from engine.patch_yaml import read_tree
from engine.rig import Rig

__all__ = ["LoadedRig", "PatchError", "default_rig", "load_rig"]


@dataclass(frozen=True)
class LoadedRig:
    """reader: knows the lines, for faults that show only together with a patch. missing: files that
    it names and that are not here, a line each; the rig does without them."""

    path: Path
    rig: Rig
    reader: Reader
    missing: tuple[str, ...] = ()


# For a patch that is read for its names: nothing stands anywhere, and nothing is missing.
NOWHERE = LoadedRig(Path(), Rig(), Reader(""))


def default_rig() -> Path:
    """$XDG_CONFIG_HOME/segue/rig.yaml, or ~/.config/segue/rig.yaml; it need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "segue" / "rig.yaml"


def load_rig(path: str | Path) -> LoadedRig:
    """Read and check a rig by itself. Raises PatchError with every fault in it."""
    path = Path(path)
    return check_rig(path, read_file(path, "rig"))


def check_rig(path: Path, data: bytes) -> LoadedRig:
    """What is, or will be, in a rig file. Raises PatchError."""
    reader = Reader(str(path))
    rig: Rig = reader.table(read_tree(str(path), data, "rig"), "", Rig)
    for part in ("midi", "controllers"):
        for name, here in getattr(rig, part).items():
            for control, does in here.controls.items():
                key = f"{part}.{name}.controls.{control}"
                for found, expected in () if reader.faulty(key) else faults(control, does):
                    reader.note(reader.line_of(key), key, found, expected)
    if reader.problems:
        raise PatchError(reader.problems)
    cv, missing = dict(rig.cv), []
    for name, given in rig.cv.items():
        if given.calibration is None:
            continue
        at = resolve(given.calibration, path.resolve().parent)
        cv[name] = replace(given, calibration=str(at) if at.exists() else None)
        if not at.exists():
            missing.append(f"cv {name}: no calibration file {at}; it plays uncalibrated")
    return LoadedRig(path, replace(rig, cv=cv), reader, tuple(missing))

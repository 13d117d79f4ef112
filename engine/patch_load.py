"""A patch file to a checked Patch: the only way in.

load_patch reads, checks and resolves everything before anything starts, or raises one PatchError
that holds every fault it could find, each with file, line, key, what was found and what was
expected. A reload calls it again; the running patch stays in force when it raises. Not real-time
safe; any thread.
"""

from __future__ import annotations

import ast
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.calibration import CalibrationError, read_calibration, volts_table
from engine.patch import Insert, Patch
from engine.patch_check import check, resolve
from engine.patch_cv import Cv
from engine.patch_read import Reader
from engine.patch_yaml import MAX_BYTES, PatchError, Problem, read_tree
from engine.rig_place import place

if TYPE_CHECKING:
    from engine.rig_load import LoadedRig

__all__ = ["PatchError", "Problem", "known_models", "load_patch"]

MODELS = Path(__file__).resolve().parent.parent / "models"


def known_models(folder: Path = MODELS) -> dict[str, str]:
    """The models there are and their KIND (notes, texture, stems ...); nothing is imported."""
    kinds: dict[str, str] = {}
    for path in sorted(folder.glob("*/__init__.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id="KIND")], value=ast.Constant(value=str() as kind)
                ):
                    kinds[path.parent.name] = kind
    return kinds


def load_patch(
    path: str | Path, models: Mapping[str, str] | None = None, rig: LoadedRig | None = None
) -> Patch:
    """Read and check a patch; its paths come back absolute. Raises PatchError.

    models: the models that players and makers may name, with their KIND; None: those of models/.
    rig: laid over it; what has no place then is missing, without one it is a fault.
    """
    path = Path(path)
    reader = Reader(str(path))
    patch: Patch = reader.table(read_tree(str(path), read_file(path)), "", Patch)
    folder = path.resolve().parent
    there = None
    if rig is not None:
        patch = place(patch, rig.rig)
        there = Reader(str(rig.path))
        there.lines = rig.reader.lines
    check(patch, reader, folder, known_models() if models is None else models, there)
    if reader.problems or (there is not None and there.problems):
        raise PatchError(reader.problems + (there.problems if there is not None else []))
    if patch.soundfont is not None:
        patch = replace(patch, soundfont=str(resolve(patch.soundfont, folder)))
    players = {
        name: replace(
            p,
            checkpoint=p.checkpoint and str(resolve(p.checkpoint, folder)),
            insert=_resolved(p.insert, folder),
        )
        for name, p in patch.players.items()
    }
    inputs = {n: replace(i, insert=_resolved(i.insert, folder)) for n, i in patch.inputs.items()}
    voices = {n: replace(v, insert=_resolved(v.insert, folder)) for n, v in patch.voices.items()}
    roles = {
        name: replace(r, folder=r.folder and str(resolve(r.folder, folder)))
        for name, r in patch.roles.items()
    }
    cv = {name: _calibrated(given, folder) for name, given in patch.cv.items()}
    return replace(patch, inputs=inputs, voices=voices, players=players, roles=roles, cv=cv)


def _resolved(insert: Insert | None, folder: Path) -> Insert | None:
    if insert is None or insert.vst3 is None:
        return insert
    return replace(insert, vst3=str(resolve(insert.vst3, folder)))


def _calibrated(cv: Cv, folder: Path) -> Cv:
    """With its calibration's table, so that no other process reads the file."""
    if cv.calibration is None:
        return cv
    path = resolve(cv.calibration, folder)
    try:
        values = read_calibration(path)
    except CalibrationError as error:  # it was right a moment ago
        raise PatchError([Problem(str(path), 0, "", str(error), "a calibration file")]) from None
    table = volts_table(values, cv.volts_full_scale, cv.offset_volts, cv.polarity)
    return replace(cv, calibration=None, table=table)


def read_file(path: Path, what: str = "patch") -> bytes:
    """A file's bytes, at most one more than a patch may have. Raises PatchError. what: patch or
    rig, for messages."""
    try:
        # Asked before opening: opening a FIFO would wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            found = "a folder" if path.is_dir() else "something that is no plain file"
            raise PatchError([Problem(str(path), 0, "", found, f"a {what} file (.yaml)")])
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        problem = Problem(str(path), 0, "", "no such file", f"a {what} file (.yaml)")
        raise PatchError([problem]) from None
    except (OSError, ValueError) as error:
        found = f"a file that cannot be read ({error})"
        raise PatchError([Problem(str(path), 0, "", found, f"a readable {what} file")]) from None

"""The folders of performances under /dev/shm: their names, who lives, what dead ones left."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

SHM_ROOT = Path("/dev/shm")
PREFIX = "segue-"


def folder_for(name: str) -> Path:
    """The folder of a new performance. name: as on the command line, for people and `status`."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name):
        raise ValueError(
            f"name is {name!r}, expected letters, digits, '-', '_' and '.', 40 at most"
        )
    root = SHM_ROOT if SHM_ROOT.is_dir() else Path(tempfile.gettempdir())
    return root / f"{PREFIX}{os.getuid()}-{name}-{os.getpid()}"


def running(name: str | None = None) -> list[Path]:
    """Folders of performances whose supervisor lives."""
    return [f for f in _folders(name) if _alive(f)]


def sweep() -> list[Path]:
    """Remove what dead supervisors left; returns what was removed."""
    stale = [f for f in _folders(None) if not _alive(f)]
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)
    return stale


def _folders(name: str | None) -> list[Path]:
    pattern = f"{PREFIX}{os.getuid()}-{name or '*'}-*"
    found = [f for f in sorted(SHM_ROOT.glob(pattern)) if f.is_dir()]
    exact = f"{PREFIX}{os.getuid()}-{name}"  # "a-b" is no performance named "a"
    return [f for f in found if name is None or f.name.rpartition("-")[0] == exact]


def _alive(folder: Path) -> bool:
    pid = folder.name.rpartition("-")[2]
    return pid.isdigit() and Path(f"/proc/{pid}").exists()

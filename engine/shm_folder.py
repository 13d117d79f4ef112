"""The folders of performances under /dev/shm: their names, who lives, what dead ones left."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

SHM_ROOT = Path("/dev/shm")
PREFIX = "segue-"
NAME_MOST = 200
STARTTIME = 19  # of the fields of /proc/PID/stat that follow the name (proc(5): the 22nd)
PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,40}")


def plain_name(name: str) -> str:
    """A performance's name as a part of a file name, whatever is in it (spaces, slashes, emoji).
    Raises ValueError for one that is empty or longer than NAME_MOST."""
    if PLAIN.fullmatch(name):
        return name
    if not name.strip() or len(name) > NAME_MOST:
        raise ValueError(f"name is {name[:60]!r}, expected 1 to {NAME_MOST} characters")
    mark = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8]
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:31] + f"-{mark}"


def folder_for(name: str) -> Path:
    """The folder of a new performance. name: as on the command line, for people and `status`.
    Raises ValueError as plain_name does."""
    root = SHM_ROOT if SHM_ROOT.is_dir() else Path(tempfile.gettempdir())
    return root / f"{PREFIX}{os.getuid()}-{plain_name(name)}-{os.getpid()}"


def running(name: str | None = None) -> list[Path]:
    """Folders of performances whose supervisor lives: all, those of this name, or the one that
    told() calls so."""
    return [f for f in _folders(name) if _alive(f)]


def complete(folder: Path) -> bool:
    """Whether it can be attached to: the last of its files has its size a moment after its name."""
    try:
        return (folder / "ledger").stat().st_size > 0
    except OSError:
        return False


def told(folder: Path) -> str:
    """What tells a performance from all others, for people: its name and its process id."""
    return folder.name.removeprefix(f"{PREFIX}{os.getuid()}-")


def sweep() -> list[Path]:
    """Remove what dead supervisors left; returns what was removed."""
    stale = [f for f in _folders(None) if not _alive(f)]
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)
    return stale


def _folders(said: str | None) -> list[Path]:
    try:
        name = None if said is None else plain_name(said)
    except ValueError:
        return []
    found = [f for f in sorted(SHM_ROOT.glob(f"{PREFIX}{os.getuid()}-*-*")) if f.is_dir()]
    # "a-b" is no performance named "a"
    return [f for f in found if name is None or name in (told(f), told(f).rpartition("-")[0])]


def _alive(folder: Path) -> bool:
    """Whether the process that made it lives, and not another that was given its number since."""
    pid = folder.name.rpartition("-")[2]
    now = began(int(pid)) if pid.isdigit() else None
    if now is None:
        return False
    try:
        made = json.loads((folder / "meta.json").read_text()).get("began", now)
    except (OSError, ValueError):  # it is only just being made
        made = now
    return bool(made == now)


def began(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine did; None: there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[STARTTIME])
    except OSError:
        return None

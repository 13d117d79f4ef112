"""What the commands of `segue` share: exit codes, how a patch is opened, how things are said.

Results go to standard output, errors and progress to standard error.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DONE, FAILED, WRONG = 0, 1, 2
PATCHES = Path(__file__).parent.parent / "patches"
DEFAULT_PATCH = PATCHES / "stage.yaml"


def open_patch(path: Path, rig: Path | None = None) -> Any:
    """The patch (a set's patches as one) with the rig over it, or exit 2 with every error."""
    from engine.patch_load import PatchError
    from engine.set_load import load_performance
    from engine.soundfont import SoundFontError, prove

    try:
        patch = load_performance(path, rig)
        if patch.soundfont:
            prove(Path(patch.soundfont))
    except (PatchError, SoundFontError, OSError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(WRONG) from None
    return patch


class SessionTakenError(Exception):
    """Another performance leaves its files there: names the folder and what to do."""


@contextlib.contextmanager
def session_folder(path: Path) -> Iterator[Path]:
    """The folder a performance leaves its files in, made if need be, and kept from others until it
    is over, or until this process ends in whichever way. Raises OSError and SessionTakenError."""
    path.mkdir(parents=True, exist_ok=True)
    with _kept(path):
        yield path.resolve()


@contextlib.contextmanager
def _kept(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        said = "another performance is leaving its files there: name another folder with --session"
        raise SessionTakenError(f"{path}: {said}") from None
    except OSError:
        pass  # a file system without locks: nobody can tell
    try:
        yield
    finally:
        os.close(descriptor)


def say_json(facts: Any) -> None:
    print(json.dumps(facts, indent=1, default=str))


def show_progress(fraction: float) -> None:
    """A bar, where somebody looks; fraction: 0 to 1."""
    if sys.stderr.isatty():
        done = int(fraction * 40)
        print(f"\r  [{'=' * done}{' ' * (40 - done)}] {fraction:4.0%}", end="", file=sys.stderr)

"""What the commands of `segue` share: exit codes, how a patch is opened, how things are said.

Results go to standard output, errors and progress to standard error.
"""

from __future__ import annotations

import json
import sys
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


def session_folder(path: Path) -> Path:
    """The folder a performance leaves its files in, made if need be. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def say_json(facts: Any) -> None:
    print(json.dumps(facts, indent=1, default=str))


def show_progress(fraction: float) -> None:
    """A bar, where somebody looks; fraction: 0 to 1."""
    if sys.stderr.isatty():
        done = int(fraction * 40)
        print(f"\r  [{'=' * done}{' ' * (40 - done)}] {fraction:4.0%}", end="", file=sys.stderr)

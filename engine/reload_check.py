"""Reads and checks a running performance's patch again: `python -m engine.reload_check FOLDER`.

A process of its own, which a hostile or huge file may slow down or kill without harm. It writes
what is sound to FOLDER/patch.next.json and says on standard output, as one JSON object, what is
not: {"problems": [...]}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from engine.patch_load import PatchError
from engine.set_load import load_performance

NEXT = "patch.next.json"
FILES = "files.json"  # the supervisor's: where patch and rig were read


def check_again(folder: Path) -> list[str]:
    """Problems in words, none where the file is sound. OSError: of the folder's own files."""
    files = json.loads((folder / FILES).read_text())
    source, rig = files.get("patch"), files.get("rig")
    if source is None:
        return ["this performance was not started from a patch file"]
    try:
        patch = load_performance(source, rig)
    except PatchError as error:
        return [str(p) for p in error.problems]
    temporary = folder / (NEXT + ".new")
    temporary.write_text(patch.to_json())
    os.replace(temporary, folder / NEXT)
    return []


def main() -> int:
    os.nice(10)
    problems = check_again(Path(sys.argv[1]))
    sys.stdout.write(json.dumps({"problems": problems}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

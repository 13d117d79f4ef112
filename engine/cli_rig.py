"""The command line's part that knows the venue: which rig is laid over a patch, `segue rig` and
`segue soundcheck`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_rig_options(command: argparse.ArgumentParser) -> None:
    """--rig RIG and --no-rig."""
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--rig", type=Path, help="what stands here (default ~/.config/segue/rig.yaml, if it exists)"
    )
    which.add_argument("--no-rig", action="store_true", help="the patch as it stands")


def chosen_rig(args: argparse.Namespace) -> Path | None:
    """The rig that --rig or --no-rig asks for, or the default one where there is one."""
    from engine.rig_load import default_rig

    if args.no_rig:
        return None
    if args.rig is not None:
        rig: Path = args.rig
        return rig
    return default_rig() if default_rig().exists() else None


def say_rig(patch: Any, rig: Path | None) -> None:
    """Which rig is in force, and what of the patch has no place; to standard error."""
    from engine.rig_load import default_rig
    from engine.rig_place import unplaced

    if rig is None:
        print(f"rig: none; channels are the patch's ({default_rig()} is not there or not used)",
              file=sys.stderr)  # fmt: skip
    else:
        print(f"rig: {rig}", file=sys.stderr)
    for line in unplaced(patch) if rig is not None else ():
        print(f"  missing: {line}, in neither patch nor rig", file=sys.stderr)

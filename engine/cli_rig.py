"""The command line's part that knows the venue: which rig is laid over a patch, `segue rig` and
`segue soundcheck`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

DONE, FAILED, WRONG = 0, 1, 2
DEFAULT_PATCH = Path(__file__).parent.parent / "patches" / "stage.yaml"


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


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """`segue rig`, for engine/cli.py's parser."""
    c = add("rig", rig, "find interface, inputs, pads and outputs by having them played")
    c.add_argument("patch", type=Path, nargs="?", default=DEFAULT_PATCH, help="whose names")
    c.add_argument("--out", type=Path, help="the file (default ~/.config/segue/rig.yaml)")
    c.add_argument("--device", default="", help="a pattern of the interface's name")
    c.add_argument("--venue", default="", help="a name of the place, for people")


def rig(args: argparse.Namespace) -> int:
    """The conversation, then the file."""
    from engine.rig_dialogue import RigDialogue
    from engine.rig_load import default_rig
    from engine.rig_write import save, to_yaml
    from engine.terminal import Terminal
    from engine.venue import VenueError

    patch = _patch_alone(args.patch)
    out = args.out or default_rig()
    talk = Terminal(sys.stdin.fileno(), sys.stderr)
    try:
        with _probe(args.device, patch) as interface, _ears(talk) as presses:
            found = RigDialogue(patch, interface, presses, talk).find(args.venue)
    except VenueError as error:
        print(error, file=sys.stderr)
        return FAILED
    text = to_yaml(found)
    if args.json:
        print(json.dumps(asdict(found), indent=1))
    else:
        print(text, end="")
    while out.exists() and talk.ask(f"{out} exists. Replace it? (y/N) ").lower() not in (
        "y",
        "yes",
    ):
        other = talk.ask("Another file? (Enter: write none) ")
        if not other:
            return DONE
        out = Path(other).expanduser()
    try:
        save(out, text)
    except OSError as error:
        print(f"{out} cannot be written: {error.strerror}", file=sys.stderr)
        return FAILED
    talk.say(f"written: {out}. Next: segue soundcheck {args.patch}")
    return DONE


def _patch_alone(path: Path) -> Any:
    """A patch for its names: where its things stand is what is being found out."""
    from engine.rig_load import NOWHERE, PatchError
    from engine.set_load import load_performance

    try:
        return load_performance(path, NOWHERE)
    except PatchError as error:
        print(error, file=sys.stderr)
        raise SystemExit(WRONG) from None


@contextlib.contextmanager
def _probe(device: str, patch: Any) -> Iterator[Any]:
    from devices.audio.probe import Probe

    with Probe(device or patch.audio.device, patch.audio.rate, patch.audio.block) as probe:
        yield probe


@contextlib.contextmanager
def _ears(talk: Any) -> Iterator[Any]:
    from devices.midi.ears import MidiEars

    ears = MidiEars()
    for why in ears.down:
        talk.say(f"no MIDI from {why}")
    try:
        yield ears
    finally:
        ears.close()

"""The command line's part that knows the venue: which rig is laid over a patch, `segue rig` and
`segue soundcheck`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.cli_common import DEFAULT_PATCH, DONE, FAILED, WRONG, say_json
from engine.cli_words import pattern
from engine.patch_yaml import PatchError

# as engine/soundcheck.py, which loads NumPy
STEPS = ("noise", "trim", "loop", "pedals", "ring", "tuning")


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
    from engine.rig_load import default_rig, load_rig
    from engine.rig_place import unplaced

    if rig is None:
        print(f"rig: none; channels are the patch's ({default_rig()} is not there or not used)",
              file=sys.stderr)  # fmt: skip
    else:
        print(f"rig: {rig}", file=sys.stderr)
        lines = [f"{line}, in neither patch nor rig" for line in unplaced(patch)]
        for line in (*lines, *load_rig(rig).missing):
            print(f"  missing: {line}", file=sys.stderr)


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """`segue rig` and `segue soundcheck`, for engine/cli.py's parser."""
    c = add("rig", rig, "find interface, inputs, pads and outputs by having them played")
    c.add_argument("patch", type=Path, nargs="?", default=DEFAULT_PATCH, help="whose names")
    c.add_argument("--out", type=Path, help="the file (default ~/.config/segue/rig.yaml)")
    c.add_argument("--device", type=pattern, default="", help="a pattern of the interface's name")
    c.add_argument("--venue", default="", help="a name of the place, for people")
    c = add("soundcheck", soundcheck, "trims, noise, round trip, ring-out and tuning, into the rig")
    c.add_argument("patch", type=Path, nargs="?", default=DEFAULT_PATCH)
    c.add_argument("--rig", type=Path, help="the file (default ~/.config/segue/rig.yaml)")
    c.add_argument("--only", nargs="+", choices=STEPS, default=STEPS, help="some of the steps")
    c.add_argument("--level", type=_level, help="of the sweeps, dBFS (-40)")


def rig(args: argparse.Namespace) -> int:
    return _told(_find_rig, args)


def soundcheck(args: argparse.Namespace) -> int:
    return _told(_check_sound, args)


def _told(command: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """What cannot be had at this venue is said, and ends the conversation."""
    from engine.venue import VenueError

    try:
        return command(args)
    except VenueError as error:
        print(error, file=sys.stderr)
        return FAILED


def _find_rig(args: argparse.Namespace) -> int:
    """The conversation, then the file."""
    from engine.rig_dialogue import RigDialogue
    from engine.rig_load import default_rig
    from engine.rig_write import save, to_yaml
    from engine.terminal import Terminal

    patch = _patch_alone(args.patch)
    device = args.device or patch.audio.device
    patch = replace(patch, audio=replace(patch.audio, device=device))
    out = args.out or default_rig()
    talk = Terminal(sys.stdin.fileno(), sys.stderr)
    with _probe(patch) as interface, midi_ears(talk) as presses:
        found = RigDialogue(patch, interface, presses, talk).find(args.venue)
    text = to_yaml(found)
    if args.json:
        say_json(asdict(found))
    else:
        print(text, end="")
    while out.exists() and not _yes(talk, f"{out} exists. Replace it?"):
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


def _yes(talk: Any, question: str) -> bool:
    return talk.ask(f"{question} (y/N) ").lower() in ("y", "yes")


def _level(text: str) -> float:
    """dBFS of a sweep: loud enough to be heard over a hall, never enough to harm."""
    level = float(text)
    if not -80.0 <= level <= -12.0:
        raise argparse.ArgumentTypeError(f"{text} dBFS, expected -80 to -12")
    return level


def _check_sound(args: argparse.Namespace) -> int:
    """The conversation, then the rig with what it measured."""
    from engine.rig_load import default_rig
    from engine.set_load import load_performance
    from engine.soundcheck import LEVEL_DB, Soundcheck
    from engine.terminal import Terminal
    from models.aubio.tuning import pitches

    path = args.rig or default_rig()
    if not os.path.exists(path):  # Path.exists raises for a name that no disk takes
        print(f"{path}: no such rig; `segue rig {args.patch}` makes one", file=sys.stderr)
        return WRONG
    try:
        patch = load_performance(args.patch, path)
    except PatchError as error:
        print(error, file=sys.stderr)
        return WRONG
    talk = Terminal(sys.stdin.fileno(), sys.stderr)
    with _probe(patch) as interface:
        for line in interface.missing:
            talk.say(f"missing: {line}")
        level_db = LEVEL_DB if args.level is None else args.level
        check = Soundcheck(patch, interface.channels, interface, talk, pitches, level_db)
        check.run(tuple(args.only))
    changes = {".".join(key): value for key, value in check.changes.items()}
    if args.json:
        say_json({"rig": str(path), "changes": changes, **check.figures})
    else:
        print("\n".join(f"{key}: {value}" for key, value in changes.items()))
    if not changes or not _yes(talk, f"Write these into {path}?"):
        return DONE
    return _write_changes(path, check.changes, talk)


def _write_changes(path: Path, changes: dict[tuple[str, ...], Any], talk: Any) -> int:
    """The rig as it stands now, with these in it, once it is known to load."""
    from engine.rig_load import check_rig
    from engine.rig_write import changed, save

    try:
        text = changed(path.read_text(encoding="utf-8-sig"), changes)
        check_rig(path, text.encode())
        save(path, text)
    except (PatchError, OSError) as error:
        print(f"{path} is as it was: {error}", file=sys.stderr)
        return FAILED
    talk.say(f"written: {path}")
    return DONE


def _patch_alone(path: Path) -> Any:
    """A patch for its names: where its things stand is what is being found out."""
    from engine.rig_load import NOWHERE
    from engine.set_load import load_performance

    try:
        return load_performance(path, NOWHERE)
    except PatchError as error:
        print(error, file=sys.stderr)
        raise SystemExit(WRONG) from None


@contextlib.contextmanager
def _probe(patch: Any) -> Iterator[Any]:
    from devices.audio.probe import Probe

    with Probe(patch) as probe:
        yield probe


@contextlib.contextmanager
def midi_ears(talk: Any) -> Iterator[Any]:
    """Every MIDI input there is (devices.midi.ears.MidiEars)."""
    from devices.midi.ears import MidiEars

    ears = MidiEars()
    for why in ears.down:
        talk.say(f"no MIDI from {why}")
    try:
        yield ears
    finally:
        ears.close()

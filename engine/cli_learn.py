"""The command line's `segue learn`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from engine.cli_common import DEFAULT_PATCH, DONE, FAILED, WRONG
from engine.cli_rig import midi_ears
from engine.patch import Patch
from engine.patch_controls import Control
from engine.patch_yaml import PatchError

RELOAD_S = 30.0
WORDS = tuple(f.name for f in fields(Control) if f.name != "do")
NUMBERS = {
    "variation": int,
    "bars": int,
    "number": int,
    "value": float,
    "low": float,
    "high": float,
}


def add_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    """`segue learn`, for engine/cli.py's parser."""
    c = add("learn", learn_command, "what a foot-switch, button or fader does, by moving it")
    c.add_argument("action", help="next_song, this_is_one, dry, level, send, master, ...")
    c.add_argument("patch", type=Path, nargs="?", help="whose names (default: the running one's)")
    c.add_argument("--rig", type=Path, help="the file (default ~/.config/segue/rig.yaml)")
    c.add_argument("--name", help="which performance, where there are several")
    c.add_argument("--replace", action="store_true", help="take a control from what it does now")
    for word in WORDS:
        c.add_argument(f"--{word}", type=NUMBERS.get(word, str), help="of the action")


def learn_command(args: argparse.Namespace) -> int:
    """Ask, listen, write the rig, and tell a performance that plays with it."""
    from engine.control_fields import CONTROL_ACTIONS
    from engine.learn import Learner, LearnError, check_words, learn
    from engine.rig_load import LoadedRig, check_rig, default_rig, load_rig
    from engine.rig_write import HEAD, changed, save
    from engine.set_load import load_performance
    from engine.terminal import Terminal

    if args.action not in CONTROL_ACTIONS:
        print(f"{args.action}: expected one of {', '.join(CONTROL_ACTIONS)}", file=sys.stderr)
        return WRONG
    control = Control(args.action, **{w: getattr(args, w) for w in WORDS})
    running = _running(args.name)
    patch_file = args.patch or (Path(running["patch"]) if running.get("patch") else DEFAULT_PATCH)
    rig_file = args.rig or (Path(running["rig"]) if running.get("rig") else default_rig())
    try:
        rig = load_rig(rig_file) if rig_file.exists() else LoadedRig(rig_file, *_nothing())
        patch = _with_ports(load_performance(patch_file, rig))
    except PatchError as error:
        print(error, file=sys.stderr)
        return WRONG
    talk = Terminal(sys.stdin.fileno(), sys.stderr)
    try:
        check_words(patch, control)
        with midi_ears(talk) as presses:
            moved = Learner(presses, talk).hear(control)
        learned = learn(patch, rig.rig, moved, control, args.replace)
        text = rig_file.read_text(encoding="utf-8") if rig_file.exists() else HEAD
        text = changed(text, learned.changes())
        check_rig(rig_file, text.encode())
        save(rig_file, text)
    except (LearnError, PatchError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"{rig_file} cannot be written: {error.strerror}", file=sys.stderr)
        return FAILED
    key, name = learned.path[-1], learned.path[1]
    facts = {"control": key, "port": moved.port, "name": name, "does": str(control)}
    facts["rig"] = str(rig_file)
    facts["running"] = _tell(running, rig_file)
    if args.json:
        print(json.dumps(facts))
    else:
        print(f"{key} of {name} ({moved.port}) is {control} now.")
        print(f"written: {rig_file}; {facts['running']}")
    return DONE


def _with_ports(patch: Patch) -> Patch:
    """With the port that each surface's driver looks for, where nobody named one."""
    from devices.launchpad.units import UNITS

    surfaces = {
        name: replace(s, port=s.port or UNITS[s.driver].port) for name, s in patch.surfaces.items()
    }
    return replace(patch, surfaces=surfaces)


def _nothing() -> tuple[Any, Any]:
    from engine.rig_load import NOWHERE

    return NOWHERE.rig, NOWHERE.reader


def _running(name: str | None) -> dict[str, str]:
    """Where the running performance was read: {"patch", "rig", "folder"}, what there is of them."""
    from engine.status import StatusError, the_one

    with contextlib.suppress(StatusError, OSError, ValueError):
        folder = the_one(name)
        return {**json.loads((folder / "files.json").read_text()), "folder": str(folder)}
    return {}


def _tell(running: dict[str, str], rig_file: Path) -> str:
    """Have a performance that plays with this rig read it again; in words, what came of it."""
    from engine.control_socket import ask_conductor

    if not running:
        return "it holds from the next start on"
    if Path(running.get("rig", "")) != rig_file.resolve():
        return f"the running performance plays without it: start it with --rig {rig_file}"
    answer = ask_conductor(Path(running["folder"]), {"do": "reload"}, RELOAD_S)
    if answer is None:
        return "the running performance does not answer: `segue reload` takes it"
    return str(answer.get("said") or answer.get("error"))

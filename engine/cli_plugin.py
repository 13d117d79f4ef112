"""The plug-ins of a patch on the command line: proved before it starts, and `segue plugin`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.cli_common import DONE, FAILED, WRONG, say_json
from engine.inserts import late_frames, measured_ms
from engine.patch import Patch
from engine.patch_load import PatchError, Problem, read_file
from engine.patch_yaml import Mapping, Node, Scalar, Sequence, read_tree
from engine.plugin import PluginError
from engine.plugin_proof import InsertError, Proof, key_of, prove, prove_patch
from engine.sources import pedals_of


def proved(patch: Patch, path: Path) -> dict[str, Proof]:
    """What a process of its own found of each VST3 insert, by source. Raises PatchError with file
    and line of one that is not fit. path: of the patch or set."""
    try:
        return prove_patch(patch)
    except InsertError as error:
        key = key_of(error.source)
        file, line = _place(path, key)
        wanted = "a VST3 effect that plays (`segue plugin FILE` tells more)"
        raise PatchError([Problem(str(file), line, key, str(error), wanted)]) from None


def _place(path: Path, key: str) -> tuple[Path, int]:
    """File and line where a key is written: in the patch, or in one of a set's."""
    with contextlib.suppress(PatchError):
        tree = read_tree(str(path), read_file(path))
        line = _line(tree, key.split("."))
        if line:
            return path, line
        songs = tree.entries.get("songs") if isinstance(tree, Mapping) else None
        entries = songs[1].items if songs is not None and isinstance(songs[1], Sequence) else ()
        for entry in entries:
            given = entry.entries.get("patch") if isinstance(entry, Mapping) else None
            if given is not None and isinstance(given[1], Scalar):
                at = path.resolve().parent / str(given[1].value)
                line = _line(read_tree(str(at), read_file(at)), key.split("."))
                if line:
                    return at, line
    return path, 0


def _line(tree: Node, keys: list[str]) -> int:
    line = 0
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree.entries:
            return 0
        line, tree = tree.entries[key]
    return line


def in_words(patch: Patch, proofs: dict[str, Proof]) -> list[str]:
    """A line for each insert, for people: what it is, and how late the strip is with it."""
    rate, block = patch.audio.rate, patch.audio.block
    lines = [f"insert {name}: {p.in_words(rate, block)}" for name, p in proofs.items()]
    for name, insert in pedals_of(patch).items():
        late = late_frames(patch, insert, rate)
        how = "as measured" if measured_ms(patch, insert) else "a block at least: not measured"
        lines.append(
            f"insert input.{name}: out on {insert.send}, back on {insert.returns}, "
            f"{late} frames late ({1000 * late / rate:.1f} ms, {how})"
        )
    return lines


def prove_or_exit(patch: Patch, path: Path) -> dict[str, Any]:
    """What was proved, said as well, for the shared folder; or exit 2 with what is wrong."""
    try:
        proofs = proved(patch, path)
    except (PatchError, OSError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(WRONG) from None
    for line in in_words(patch, proofs):
        print(line, file=sys.stderr)
    return {name: asdict(proof) for name, proof in proofs.items()}


def add_plugin_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    c = add("plugin", plugin, "prove a VST3 plug-in, and show its parameters and its latency")
    c.add_argument("file", type=Path, help="a VST3 bundle (.vst3)")
    c.add_argument("--name", help="which, where the file holds several")
    c.add_argument("--rate", type=int, default=48000, help="frames a second")
    c.add_argument("--block", type=int, default=128, help="frames a block")


def plugin(args: argparse.Namespace) -> int:
    """Exit 0 it can be inserted, 1 it cannot."""
    try:
        found = prove(args.file.resolve(), args.name, {}, args.rate, args.block)
    except (PluginError, OSError) as error:
        print(f"{args.file} {error}", file=sys.stderr)
        return FAILED
    if args.json:
        say_json(asdict(found))
        return DONE
    print(found.in_words(args.rate, args.block))
    for name, value in found.parameters.items():
        print(f"  {name:<32} {value}")
    return DONE

"""`segue replay`: what engine/replay.py says, for people and as JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.cli_common import DONE, FAILED, WRONG, say_json
from engine.mixer import BUS_ORDER, linear
from engine.patch import source_names
from engine.replay import Edit, Replay, check
from engine.replay_export import export
from engine.session import Session, SessionError, read_session


def replay(args: argparse.Namespace) -> int:
    """Exit 0 rendered (and equal, with --check), 1 not, 2 wrong usage."""
    try:
        session = read_session(args.session)
        edit = _edit(session, args.mute, args.level)
        return _do(args, session, edit)
    except UsageError as error:
        print(error, file=sys.stderr)
        return WRONG
    except (SessionError, OSError, soundfile.SoundFileError) as error:
        print(error, file=sys.stderr)
        return FAILED


class UsageError(Exception):
    """Options that do not fit the session."""


def _edit(session: Session, muted: list[str], levels: list[str]) -> Edit:
    names = source_names(session.patch)
    factors: dict[str, float] = {}
    for text in [f"{m}=-90" for m in muted] + levels:
        name, _, db = text.rpartition("=")
        if name not in names:
            raise UsageError(f"no source {name!r}; this session has {', '.join(names)}")
        try:
            factors[name] = linear(float(db))
        except ValueError:
            raise UsageError(f"{text!r}: expected SOURCE=DB, for example {name}=-6") from None
    return Edit(factors)


def _do(args: argparse.Namespace, session: Session, edit: Edit) -> int:
    facts: dict[str, Any] = {"session": str(session.take)}
    code = DONE
    if args.check:
        if edit.levels:
            raise UsageError("--check compares with what was played: without --mute and --level")
        found = check(session, Replay(session, args.soundfont))
        facts.update(found.as_json())
        code = DONE if found.equal else FAILED
    if args.export is not None:
        rendered = Replay(session, args.soundfont, edit)
        facts.update({"export": str(args.export), "files": export(session, rendered, args.export)})
        facts["problems"] = [*session.problems, *dict.fromkeys(rendered.problems)]
    if args.out is not None or not (args.check or args.export):
        out = args.out or session.take / "replay.wav"
        facts.update(_render(session, Replay(session, args.soundfont, edit), out))
    if args.json:
        say_json(facts)
    else:
        for name, value in facts.items():
            for line in value if isinstance(value, list) else [value]:
                print(f"{name:<17} {line}")
    return code


def _render(session: Session, rendered: Replay, out: Path) -> dict[str, Any]:
    """Main to a float32 file, silence in gaps."""
    row, end = BUS_ORDER.index("main"), session.first_frame
    with soundfile.SoundFile(
        out, "w", round(session.rate), 2, subtype="FLOAT", format="RF64"
    ) as file:
        for block in rendered.blocks():
            if block.t < end:  # a cycle that came again: what was heard is written already
                continue
            if block.t > end:
                file.write(np.zeros((block.t - end, 2), np.float32))
            file.write(block.engine.mixer.buses[row, :, : block.n].T)
            end = block.t + block.n
    problems = [*session.problems, *dict.fromkeys(rendered.problems)]
    return {"out": str(out), "frames": end - session.first_frame, "problems": problems}

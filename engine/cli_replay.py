"""`segue replay`: what engine/replay.py says, for people and as JSON."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.audio_file import AudioFileError, read_audio
from engine.cli_common import DONE, FAILED, WRONG, say_json
from engine.mixer import BUS_ORDER, linear
from engine.replay import Edit, Replay
from engine.replay_check import check
from engine.replay_export import export
from engine.session import Session, SessionError, read_session
from engine.session_picture import draw_session
from engine.sources import source_names

LOWEST_DB, HIGHEST_DB = -90.0, 24.0


def replay(args: argparse.Namespace) -> int:
    """Exit 0 rendered (and equal, with --check), 1 not, 2 wrong usage."""
    try:
        session = read_session(args.session)
        edit = Edit(_levels(session, args.mute, args.level), _textures(session, args.texture))
        return _do(args, session, edit)
    except UsageError as error:
        print(error, file=sys.stderr)
        return WRONG
    except (SessionError, AudioFileError, OSError, soundfile.SoundFileError) as error:
        print(error, file=sys.stderr)
        return FAILED


class UsageError(Exception):
    """Options that do not fit the session."""


def _levels(session: Session, muted: list[str], levels: list[str]) -> dict[str, float]:
    names = source_names(session.patch)
    factors: dict[str, float] = {}
    for text in [f"{m}=-90" for m in muted] + levels:
        name, _, db = text.rpartition("=")
        if name not in names:
            raise UsageError(f"no source {name!r}; this session has {', '.join(names)}")
        try:
            level = float(db)
        except ValueError:
            level = math.nan
        if not LOWEST_DB <= level <= HIGHEST_DB:
            raise UsageError(
                f"--level {text}: expected SOURCE=DB with {LOWEST_DB:g} to {HIGHEST_DB:g} dB, "
                f"for example {name}=-6"
            )
        factors[name] = linear(level)
    return factors


def _textures(session: Session, said: list[str]) -> dict[str, np.ndarray]:
    """Sound files instead of what players made."""
    names = [n for n, p in session.patch.players.items() if p.to]
    found: dict[str, np.ndarray] = {}
    for text in said:
        name = next((n for n in names if text.startswith(f"{n}=")), None)
        path = "" if name is None else text[len(name) + 1 :]
        if name is None or not path:
            known = ", ".join(names) or "none"
            raise UsageError(
                f"--texture {text}: expected NAME=FILE; textures of this session: {known}"
            )
        audio = read_audio(Path(path), round(session.rate))
        if audio.shape[1] > 2:
            raise UsageError(f"{path}: {audio.shape[1]} channels, expected one or two")
        found[name] = audio if audio.shape[1] == 2 else audio[:, [0, 0]]
    return found


def _do(args: argparse.Namespace, session: Session, edit: Edit) -> int:
    facts: dict[str, Any] = {"session": str(session.take)}
    code = DONE
    if args.check:
        if edit.levels or edit.textures:
            raise UsageError(
                "--check compares with what was played: without --mute, --level and --texture"
            )
        found = check(session, Replay(session, args.soundfont))
        facts.update(found.as_json())
        code = DONE if found.equal else FAILED
    if args.export is not None:
        rendered = Replay(session, args.soundfont, edit)
        facts.update({"export": str(args.export), "files": export(session, rendered, args.export)})
        facts["problems"] = [*session.problems, *dict.fromkeys(rendered.problems)]
    if args.picture is not None:
        draw_session(session, args.picture)
        facts["picture"] = str(args.picture)
    if args.out is not None or not (args.check or args.export or args.picture):
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

"""The command line, `segue`: one function a command, the larger ones in engine/cli_*.py; what it
says goes to standard output, logs to standard error. `--json` prints one JSON object and nothing
else. Exit 0 done, 1 failed, 2 wrong usage or patch.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import cli_plugin
from engine.cli_common import (
    DEFAULT_PATCH,
    DONE,
    FAILED,
    WRONG,
    SessionTakenError,
    open_patch,
    say_json,
    session_folder,
    show_progress,
)
from engine.cli_cv import add_cv_arguments, calibrate_command
from engine.cli_demo import add_demo_arguments, demo
from engine.cli_gig import add_gig_arguments, gig
from engine.cli_launchpad import add_commands as add_launchpad
from engine.cli_learn import add_command as add_learn
from engine.cli_rig import add_commands, add_rig_options, chosen_rig, say_rig
from engine.cli_words import file_to_write, number, performance_name, whole

if TYPE_CHECKING:
    from engine.patch import Patch

RELOAD_S = 60.0  # a check takes at most a third of it


def run(args: argparse.Namespace) -> int:
    rig = chosen_rig(args)
    patch = open_patch(args.patch, rig)
    inserts = cli_plugin.prove_or_exit(patch, args.patch)
    say_rig(patch, rig)
    with contextlib.ExitStack() as kept:
        session = None
        try:
            if args.session:
                session = kept.enter_context(session_folder(args.session))
        except SessionTakenError as error:
            print(error, file=sys.stderr)
            return WRONG
        except OSError as error:
            print(f"playing without a recording: {error}", file=sys.stderr)
        return _perform(args, patch, rig, inserts, session)


def _perform(
    args: argparse.Namespace,
    patch: Patch,
    rig: Path | None,
    inserts: dict[str, Any],
    session: Path | None,
) -> int:
    from devices.audio.bypass import JackBypass
    from engine.supervisor import Supervisor

    files = {"patch": str(args.patch.resolve()), **({"rig": str(rig.resolve())} if rig else {})}
    supervisor = Supervisor(
        patch,
        args.name,
        JackBypass(patch),
        session=session,
        seconds=args.seconds,
        keep_dry=args.keep_dry,
        inserts=inserts,
        files=files,
    )
    try:
        code = supervisor.run()
    except OSError as error:
        print(f"{args.patch}: {error}", file=sys.stderr)
        return FAILED
    if args.json:
        clock = supervisor.shared.clock()
        counted = ("callbacks", "missed", "gap_frames")
        facts = {name: 0 if clock is None else getattr(clock, name) for name in counted}
        say_json({"patch": patch.name, "session": session, **facts})
    return code


def render(args: argparse.Namespace) -> int:
    import numpy as np
    import soundfile

    from engine.audio_file import AudioFileError, read_audio
    from engine.offline import Offline, OfflineError
    from engine.soundfont import find_soundfont

    patch = open_patch(args.patch)
    inserts = cli_plugin.prove_or_exit(patch, args.patch)
    try:
        inputs = read_audio(args.input, patch.audio.rate)
        offline = Offline(patch, find_soundfont(patch), inputs, inserts=inserts)
        try:
            rendered = offline.run(len(inputs) / patch.audio.rate + args.tail, show_progress)
        finally:
            offline.close()
        soundfile.write(args.out, rendered.main, rendered.rate, subtype="FLOAT")
    except (AudioFileError, OfflineError, OSError, soundfile.SoundFileError) as error:
        print(f"\n{error}", file=sys.stderr)
        return FAILED
    peak = float(np.abs(rendered.main).max(initial=0.0))
    facts = {"out": args.out, "frames": len(rendered.main), "peak": peak}
    say_json(facts) if args.json else print(f"\n{args.out}: {len(rendered.main)} frames")
    return DONE


def replay(args: argparse.Namespace) -> int:
    from engine.cli_replay import replay as run_replay

    return run_replay(args)


def devices(args: argparse.Namespace) -> int:
    from devices.audio_devices import devices as find

    found = find()
    say_json(found.as_json()) if args.json else print(found.as_text())
    return DONE


def doctor(args: argparse.Namespace) -> int:
    from engine import cli_doctor as checks

    found = checks.report()
    say_json(checks.as_json(found)) if args.json else print(checks.as_text(found))
    return FAILED if checks.worst(found) is checks.Status.FAIL else DONE


def status(args: argparse.Namespace) -> int:
    from engine.status import StatusError, as_text, status_of

    try:
        facts = status_of(args.name)
    except StatusError as error:
        print(error, file=sys.stderr)
        return FAILED
    say_json(facts) if args.json else print(as_text(facts))
    return DONE


def reload(args: argparse.Namespace) -> int:
    from engine.control_socket import ask_conductor
    from engine.status import StatusError, the_one

    try:
        folder = the_one(args.name)
    except StatusError as error:
        print(error, file=sys.stderr)
        return FAILED
    answer = ask_conductor(folder, {"do": "reload"}, RELOAD_S)
    if answer is None:
        print(f"no answer within {RELOAD_S:g} s", file=sys.stderr)
        return FAILED
    if args.json:
        say_json(answer)
    elif "error" in answer:
        print(answer["error"], file=sys.stderr)
    else:
        print(answer["said"], *(f"\n  {key}" for key in answer["changed"]), sep="")
    return DONE if "error" not in answer else WRONG if "problems" in answer else FAILED


def bench(args: argparse.Namespace) -> int:
    from engine.bench.hands_stage import HandsError
    from engine.bench.jackd import JackError
    from engine.bench.latency import LatencyError
    from engine.bench.native import NativeError

    try:
        facts = _measure(args)
    except (HandsError, JackError, NativeError, LatencyError) as error:
        print(error, file=sys.stderr)
        return FAILED
    if facts is None:
        return WRONG
    say_json(facts)
    return FAILED if "not_measured" in facts else DONE


def _measure(args: argparse.Namespace) -> dict[str, Any] | None:
    """What a benchmark found; None after saying what is wrong with the options."""
    if args.what == "latency":
        from engine.bench.latency import bench_latency

        return bench_latency(block=args.block)
    if args.what == "performance":
        from engine.bench.performance import MEASURES, bench_performance

        unknown = [name for name in args.only if name not in MEASURES]
        if unknown:
            print(f"--only {unknown[0]}: expected {', '.join(MEASURES)}", file=sys.stderr)
            return None
        return bench_performance(args.only or MEASURES)
    if args.what == "hands":
        from engine.bench.hands import bench_hands

        return bench_hands()
    from engine.bench.forward import bench_forward
    from engine.bench.standard_load import StandardLoad

    load = StandardLoad(args.block)
    return {**bench_forward(load, block=args.block, seconds=args.seconds), **load.facts()}


def schema(args: argparse.Namespace) -> int:
    from engine.patch_schema import PUBLISHED, json_schema

    say_json(json_schema(PUBLISHED[f"{args.what}.json"]))
    return DONE


def cv(args: argparse.Namespace) -> int:
    facts = calibrate_command(args, open_patch(args.patch, chosen_rig(args)), show_progress)
    if isinstance(facts, int):
        return facts
    if args.json:
        say_json(facts)
    else:
        print("\n" + "\n".join(f"{name:<16} {value}" for name, value in facts.items()))
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segue", description="A live-performance engine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[..., int], help_: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_, description=help_)
        command.set_defaults(function=function)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        return command

    c = add("run", run, "perform a patch until told to stop")
    c.add_argument("patch", type=Path, nargs="?", default=DEFAULT_PATCH)
    add_rig_options(c)
    c.add_argument("--name", type=performance_name, default="segue",
                   help="of this performance (for `segue status`)")  # fmt: skip
    c.add_argument("--session", type=Path, help="folder for log and recording")
    c.add_argument("--seconds", type=number(0.0, 1e7, "seconds"), help="stop after so long")
    c.add_argument(
        "--keep-dry",
        action="store_true",
        help="JACK carries the dry inputs before the start and after the end",
    )
    c = add("demo", demo, "a two-minute performance with no hardware")
    add_demo_arguments(c)
    c = add("render", render, "play a sound file through a patch, offline")
    c.add_argument("patch", type=Path)
    c.add_argument("--input", type=Path, required=True, help="channels as the patch numbers them")
    c.add_argument("--out", type=file_to_write(".wav"), required=True, help="of the main bus")
    c.add_argument("--tail", type=number(0.0, 3600.0, "seconds"), default=2.0,
                   help="seconds after the input's end")  # fmt: skip
    add_commands(add)
    add_learn(add)
    c = add("replay", replay, "render a recorded performance again")
    c.add_argument("session", type=Path, help="a session folder, or one of its takes")
    c.add_argument(
        "--check", action="store_true", help="is all that left what was recorded, bit for bit?"
    )
    c.add_argument("--out", type=file_to_write(".wav"), help="the main bus, rendered again")
    c.add_argument("--export", type=Path, help="folder for aligned tracks, stems and MIDI")
    c.add_argument("--mute", action="append", default=[], metavar="SOURCE")
    c.add_argument("--level", action="append", default=[], metavar="SOURCE=DB")
    c.add_argument("--texture", action="append", default=[], metavar="NAME=FILE",
                   help="a sound file instead of what this player made")  # fmt: skip
    c.add_argument("--picture", type=file_to_write(".png"), help="what sounded when, and why")
    c.add_argument("--soundfont", type=Path, help="where the session's own is not here")
    add("devices", devices, "what audio and MIDI devices there are")
    add("doctor", doctor, "is this machine fit for a stage?")
    c = add("status", status, "how a running performance is")
    c.add_argument("--name", help="which, where there are several")
    c = add("reload", reload, "take a changed patch file while it plays")
    c.add_argument("--name", help="which performance, where there are several")
    cli_plugin.add_plugin_command(add)
    c = add("bench", bench, "measure, with the peers it needs")
    c.add_argument("what", choices=("forward", "hands", "latency", "performance"))
    c.add_argument("--block", type=whole(32, 1024, "frames"), default=128, help="frames a period")
    c.add_argument("--seconds", type=number(1.0, 86400.0, "seconds"), default=600.0,
                   help="how long misses are counted")  # fmt: skip
    c.add_argument("--only", nargs="+", default=[], help="of performance: these measurements")
    c = add("schema", schema, "the JSON Schema of a patch, set or rig, for editors that check YAML")
    c.add_argument("what", choices=("patch", "set", "rig"), nargs="?", default="patch")
    add_launchpad(commands)
    c = commands.add_parser("cv", help="measure what a control voltage does")
    c.set_defaults(function=cv)
    add_cv_arguments(c)
    c = add("gig", gig, "twelve minutes live over JACK, judged by ear of other clients")
    add_gig_arguments(c)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.INFO)
    try:
        return int(args.function(args))
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # a disk or a device that no command expected to fail
        print(error, file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())

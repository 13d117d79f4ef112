"""The command line's part for pads: `segue launchpad emulate`, `pages` and `restore`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.cli_common import DONE, FAILED, open_patch
from engine.cli_words import file_to_write, number, pattern, whole

TURN_S = 0.1


def add_commands(commands: Any) -> None:
    """`segue launchpad`, for engine/cli.py's parser."""
    launchpad = commands.add_parser("launchpad", help="pads: an emulator, pictures of the pages")
    what = launchpad.add_subparsers(required=True, metavar="WHAT")

    def add(name: str, function: Callable[..., int], help_: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = what.add_parser(name, help=help_, description=help_)
        command.set_defaults(function=function)
        return command

    c = add("emulate", emulate, "a Launchpad Pro MK3 on JACK, to be played in the browser")
    c.add_argument("--server", help="name of the JACK server (default: the default one)")
    c.add_argument("--port", type=whole(0, 65535, "of the machine's ports"), default=8138,
                   help="of the page on 127.0.0.1; 0: any")  # fmt: skip
    c.add_argument(
        "--aftertouch",
        choices=("off", "poly", "channel"),
        default="channel",
        help="as it would be set on the unit",
    )
    c.add_argument("--png", type=file_to_write(".png"), help="draw it into this file at the end")
    c.add_argument("--seconds", type=number(0.0, 1e7, "seconds"), help="stop after so long")
    c.add_argument("--json", action="store_true", help="print one JSON object at the end")
    c = add("pages", pages, "every page of a patch as a picture, with what each pad does")
    c.add_argument("patch", type=Path, help="a patch, or a set")
    c.add_argument("--out", type=Path, default=Path("pages"), help="folder (default: pages)")
    c.add_argument("--json", action="store_true", help="print one JSON object")
    c = add("restore", restore, "Live mode again, after a crash left pads in Programmer mode")
    c.add_argument(
        "pattern", type=pattern, nargs="?", help="of the port (default: any Launchpad segue knows)"
    )
    c.add_argument("--json", action="store_true", help="print one JSON object")


def emulate(args: argparse.Namespace) -> int:
    """Until Ctrl-C or SIGTERM, --seconds, or the sound server's end (which is a failure)."""
    from devices.launchpad.drawing import draw
    from devices.launchpad.emulated import Aftertouch
    from devices.launchpad.emulator import Emulator, EmulatorError
    from devices.launchpad.emulator_page import Page

    if args.server:
        os.environ["JACK_DEFAULT_SERVER"] = args.server
    try:
        pads = Emulator(aftertouch=Aftertouch(args.aftertouch))
    except EmulatorError as error:
        print(error, file=sys.stderr)
        return FAILED
    for each in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C is ignored where a shell sent us behind
        signal.signal(each, signal.default_int_handler)
    end = None if args.seconds is None else time.monotonic() + args.seconds
    try:
        page = Page(pads, args.port)
    except OSError as error:
        pads.close()
        print(f"no page on 127.0.0.1:{args.port}: {error.strerror}; name another port with --port",
              file=sys.stderr)  # fmt: skip
        return FAILED
    print(f"play the pads at {page.url} (Ctrl-C ends it)", file=sys.stderr)
    with page:
        try:
            while (end is None or time.monotonic() < end) and not pads.lost.wait(TURN_S):
                pass
        except KeyboardInterrupt:
            pass
    return _end(args, pads, draw)


def _end(args: argparse.Namespace, pads: Any, draw: Callable[..., None]) -> int:
    """The picture and the facts, then the ports."""
    code = DONE
    if pads.lost.is_set():
        print("the JACK server has gone; start the emulator again when it is back", file=sys.stderr)
        code = FAILED
    if args.png is not None:
        try:
            draw(pads.colours(), args.png)
        except OSError as error:
            print(f"{args.png} cannot be written: {error.strerror}", file=sys.stderr)
            code = FAILED
    if args.json:
        heard = pads.heard
        facts = {
            "mode": pads.mode.name.lower(),
            "lit": sum(any(colour) for colour in pads.colours().values()),
            "frames": heard.frames,
            "entries_max": heard.entries_max,
            "bytes": heard.bytes,
            "ignored": dict(heard.ignored),
        }
        print(json.dumps(facts, indent=1))
    gone = pads.lost.is_set()
    if not pads.close() or gone:  # what libjack holds must not be destroyed, at the exit neither
        sys.stdout.flush()
        os._exit(code)
    return code


def pages(args: argparse.Namespace) -> int:
    """PNGs, named as the pages."""
    from devices.launchpad.sheet import draw_pages

    try:
        drawn = [str(path) for path in draw_pages(open_patch(args.patch), args.out)]
    except OSError as error:
        print(f"{args.out} cannot be written: {error.strerror}", file=sys.stderr)
        return FAILED
    print(json.dumps({"drawn": drawn}, indent=1) if args.json else "\n".join(drawn))
    return DONE


def restore(args: argparse.Namespace) -> int:
    """For a service's ExecStopPost: no Launchpad is no failure."""
    from devices.launchpad.restore import restore_all

    restored = restore_all(args.pattern)
    if args.json:
        print(json.dumps({"restored": restored}, indent=1))
    else:
        print("\n".join(f"{port} is in Live mode" for port in restored) or "no Launchpad found")
    return DONE

"""`segue cv`: the command line's part for control voltages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.cli_common import FAILED, WRONG
from engine.cli_rig import add_rig_options
from engine.cli_words import pattern


def channel_of(text: str) -> int | str:
    """A channel from 1, or a pattern of port names."""
    return int(text) if text.isascii() and text.isdigit() else pattern(text)


def add_cv_arguments(command: argparse.ArgumentParser) -> None:
    parts = command.add_subparsers(dest="what", required=True, metavar="WHAT")
    c = parts.add_parser("calibrate", help="measure an oscillator and write its table")
    c.add_argument("patch", type=Path)
    c.add_argument("name", help="of the pitch voltage in the patch (cv.NAME)")
    c.add_argument(
        "--input", type=channel_of, required=True, help="channel or port that hears the oscillator"
    )
    c.add_argument("--out", type=Path, help="the calibration file (default NAME.txt)")
    c.add_argument("--low", type=int, default=36, help="first MIDI note (default 36)")
    c.add_argument("--high", type=int, default=96, help="last MIDI note (default 96)")
    add_rig_options(c)
    c.add_argument("--json", action="store_true", help="print one JSON object")


def calibrate_command(
    args: argparse.Namespace, patch: Any, bar: Callable[[float], None]
) -> dict[str, Any] | int:
    """The figures, or an exit code after saying why not."""
    from devices.audio.cv_sweep import CvSweep
    from devices.audio.interface import NoDeviceError
    from engine.calibration import CalibrationError, value_table, write_calibration
    from engine.cv_calibrate import calibrate
    from engine.shm_folder import running

    cv = patch.cv.get(args.name)
    if cv is None or cv.kind != "pitch":
        pitches = ", ".join(n for n, c in patch.cv.items() if c.kind == "pitch") or "none"
        print(f"{args.patch}: found no pitch {args.name!r} in cv, there are: {pitches}",
              file=sys.stderr)  # fmt: skip
        return WRONG
    if not 0 <= args.low < args.high <= 127:
        print(f"--low {args.low} --high {args.high}: expected notes from 0 to 127, rising",
              file=sys.stderr)  # fmt: skip
        return WRONG
    if running():
        print("a performance is running; on the same channel it would add to the voltage",
              file=sys.stderr)  # fmt: skip
    out = args.out or Path(f"{args.name}.txt")
    try:
        with CvSweep(patch, cv, args.input) as sweep:
            done = calibrate(sweep.listen, sweep.rate, (args.low, args.high), sweep.reach, bar)
        table = value_table(done.table, cv.volts_full_scale, cv.offset_volts, cv.polarity)
        write_calibration(out, table)
    except (CalibrationError, NoDeviceError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return FAILED
    return {
        "file": str(out),
        "notes": [int(done.table[0][0]), int(done.table[-1][0])],
        "worst_cents": done.worst_cents,
        "volts_per_octave": done.tracking,
        "left_out": list(done.left_out),
    }

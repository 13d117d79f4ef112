"""`segue gig`: a night, or a patch from end to end, live over JACK."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from engine.cli_common import DONE, FAILED, WRONG, say_json
from engine.cli_words import file_to_write, number


def add_gig_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--minutes", type=number(0.1, 1440.0, "minutes"), default=12.0)
    add("--patch", type=Path, help="play this patch or set from end to end instead of the night")
    add("--keep", type=Path, help="folder for captures, a WAV and a picture")
    add("--picture", type=file_to_write(".png"), help="what was heard, asked for and found")


def gig(args: argparse.Namespace) -> int:
    from engine.bench.jackd import JackError
    from engine.bench.native import NativeError
    from engine.gig.rehearsal import rehearse
    from engine.gig.run import GigError, run_gig
    from engine.patch_load import PatchError

    try:
        if args.patch is not None:
            facts = rehearse(args.patch, args.minutes, args.keep, args.picture)
            fine = not facts["wrong"]
        else:
            facts = run_gig(args.minutes, args.keep, args.picture)
            fine = _fine(facts)
    except PatchError as error:
        print(error, file=sys.stderr)
        return WRONG
    except (JackError, NativeError, GigError) as error:
        print(error, file=sys.stderr)
        return FAILED
    say_json(facts)
    return DONE if fine else FAILED


def _fine(facts: dict[str, Any]) -> bool:
    """Whether all that was meant to happen did, and nothing musical was wrong."""
    from engine.gig.judge import MUSICAL

    heard = all(facts["heard_seconds"].values())
    return heard and not facts["missed_cues"] and not any(facts[key] for key in MUSICAL)

"""`segue demo`: a performance with no hardware, played through what there is or rendered."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.cli_common import (
    DONE,
    FAILED,
    PATCHES,
    WRONG,
    SessionTakenError,
    open_patch,
    say_json,
    session_folder,
    show_progress,
)

DEMO_PATCH = PATCHES / "demo.yaml"


def add_demo_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--live", action="store_true", help="play along on the computer's keys")
    command.add_argument("--render", action="store_true", help="render, even if there is an output")
    command.add_argument(
        "--session", type=Path, help="folder for what it leaves (default out/demo)"
    )


def demo(args: argparse.Namespace) -> int:
    with contextlib.ExitStack() as kept:
        try:
            folder = kept.enter_context(session_folder(args.session or Path("out") / "demo"))
        except SessionTakenError as error:
            print(error, file=sys.stderr)
            return WRONG
        except OSError as error:
            said = f"no place for the demo's files: {error}; name one with --session"
            print(said, file=sys.stderr)
            return FAILED
        return _demo(args, folder)


def _demo(args: argparse.Namespace, folder: Path) -> int:
    from engine.demo import DemoError, live_result, render_demo
    from engine.ledger import as_lines
    from engine.offline import OfflineError

    patch = open_patch(DEMO_PATCH)
    if args.session and any(folder.glob("take-*")):
        print(f"{folder} holds takes of another performance: name another folder", file=sys.stderr)
        return WRONG
    output = None if args.render else _output()
    try:
        if output is None and args.live:
            print("no audio output found: `segue devices` shows what there is", file=sys.stderr)
            return FAILED
        if output is None:
            print("Rendering the demo (no audio output is used); about a minute.", file=sys.stderr)
            result = render_demo(patch, folder, show_progress)
        else:
            costs = _play_demo(patch, folder, output, args.live)
            result = live_result(patch, folder, costs)
    except (DemoError, OfflineError) as error:
        print(error, file=sys.stderr)
        return FAILED
    if args.json:
        files = {"wav": result.wav, "png": result.png, "log": result.log}
        say_json({**result.figures, **files, "ledger": result.ledger})
        return DONE
    show_progress(1.0)
    print(f"\n  sound    {result.wav}\n  picture  {result.png}\n  log      {result.log}\n")
    for name, value in result.figures.items():
        print(f"  {name:<16} {value:.3f}" if isinstance(value, float) else f"  {name:<16} {value}")
    print("\n" + "\n".join(as_lines(result.ledger)))
    print(
        "\nTo try next:\n"
        "  segue demo --live              play along on the keys of your computer\n"
        "  segue doctor                   is this machine fit for a stage?\n"
        "  segue run patches/stage.yaml   your own instruments\n"
    )
    return DONE


def _output() -> str | None:
    """A name for the output that a live demo would use, or None."""
    from devices.audio_devices import devices

    found = devices()
    if found.jack is not None:
        return "JACK"
    names = [d.name for d in found.audio if d.outputs > 0]
    return names[0] if names else None


def _play_demo(patch: Any, folder: Path, output: str, keys: bool) -> Any:
    """Perform it; returns what its ledger says of each stage."""
    from devices.audio.bypass import JackBypass
    from devices.keyboard import ComputerKeys, playing
    from engine.ledger import figures, recent
    from engine.recording import forget_session
    from engine.supervisor import Supervisor

    forget_session(folder)
    print(f"Playing the demo through {output}; about two minutes. Ctrl-C ends it.", file=sys.stderr)
    with_keys = keys and sys.stdin.isatty()
    if with_keys:
        print("Keys a w s e d f ... k play, z and x change the octave.", file=sys.stderr)
    elif keys:
        print("No keys to play on: standard input is no terminal.", file=sys.stderr)

    @contextlib.contextmanager
    def beside(shared: Any) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_showing_where(shared))
            if with_keys:
                voice = list(patch.voices).index(next(m.voice for m in patch.midi.values()))
                stack.enter_context(playing(ComputerKeys(voice), shared))
            yield

    supervisor = Supervisor(
        patch, "demo", JackBypass(patch), performing=True, session=folder, beside=beside
    )
    supervisor.run()
    costs = figures(recent(supervisor.shared), patch.audio.rate)
    return costs.get("stages_us", {})


@contextlib.contextmanager
def _showing_where(shared: Any) -> Iterator[None]:
    """A line a second on a terminal: bar, phrase, and what was lost."""
    stop = threading.Event()

    def show() -> None:
        while not stop.wait(1.0):
            line, clock = shared.timeline(), shared.clock()
            if line is None or clock is None:
                text = "models are loading; the music begins in a moment"
            else:
                bar = line.bar_at(clock.t)
                text = f"bar {bar + 1}, phrase {bar // line.bars_per_phrase + 1}, "
                text += f"{line.bpm:.0f} BPM, gaps {clock.gap_frames} frames"
            if sys.stderr.isatty():
                print(f"\r  {text:<60}", end="", file=sys.stderr)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

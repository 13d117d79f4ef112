"""How long a capture takes, on a real JACK server: from the request, a line on the control socket,
to READY.

    capture_ms   {p50, p95, worst, captures}: conductor's frames of press and READY. Bars that are
                 over are asked for, so nothing in it is waiting for a bar line.

Takes about 25 seconds. `segue run` with a client of the server's as its audio interface.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.bench.child import end_process
from engine.bench.jackd import JackServer, wait_until
from engine.bench.measures import MeasureError
from engine.bench.native import Witness
from engine.control_socket import ask_conductor
from engine.shm import Shared
from engine.shm_folder import complete, running

SECONDS = 60.0  # patience
STOP_S = 20.0
CAPTURES = 20
BPM = 240.0
EARLY_BEATS = 0.3  # presses nearer to the next bar line than this would wait for it
PATCH = """
name: capture
audio: {device: "stage"}
clock: {bpm: 240, beats_per_bar: 4, bars_per_phrase: 2}
inputs:
  line: {channel: 1, to: {main: 0}}
roles:
  loops: {maker: capture, enter: phrase, to: {main: -12}}
capture: {kept: 4, bars: 8}
outputs:
  main: {channels: [1, 2]}
"""


def measure() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    sound = rng.uniform(-0.2, 0.2, (96_000, 1)).astype(np.float32)
    with (
        tempfile.TemporaryDirectory(prefix="segue-bench-") as made,
        JackServer() as server,
        Witness(server, name="stage", inputs=["-"] * 2, outputs=["-"], play=sound, loop=True),
    ):
        folder = Path(made)
        (folder / "capture.yaml").write_text(PATCH)
        command = [sys.executable, "-m", "engine.cli", "run", str(folder / "capture.yaml")]
        with (folder / "said.txt").open("wb") as said:
            process = subprocess.Popen(
                [*command, "--name", server.name, "--session", str(folder / "session")],
                env=server.env,
                stdin=subprocess.DEVNULL,
                stderr=said,
            )
            try:
                took = _captures(server.name, folder / "session" / "log.jsonl")
            except TimeoutError as error:
                text = (folder / "said.txt").read_text(errors="replace")[-400:]
                raise MeasureError(f"{error}; segue said: {text}") from error
            finally:
                end_process(process, STOP_S)
    p50, p95 = np.percentile(took, [50, 95])
    figures = {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}
    return {"capture_ms": {**figures, "worst": round(max(took), 1), "captures": len(took)}}


def _captures(name: str, log: Path) -> list[float]:
    """Milliseconds of CAPTURES captures of 1, 2, 4 and 8 bars."""
    _wait(lambda: any(map(complete, running(name))), "no shared folder")
    folder = running(name)[0]
    shared = Shared.open(folder)
    _wait(lambda: shared.timeline() is not None, "no sound")
    _wait(lambda: shared.heartbeats[shared.names.index("capture")], "no capture process")
    time.sleep(10 * 4 * 60.0 / BPM)  # ten bars to remember
    took = []
    for i in range(CAPTURES):
        _wait(lambda: _late_enough(shared), "no bar")
        _act(folder, source="line", bars=(1, 2, 4, 8)[i % 4])
        _wait(lambda n=i: len(_ready(log)) > n, "not ready")  # type: ignore[misc]
        took.append(_ready(log)[i] / shared.patch.audio.rate * 1000.0)
    return took


def _late_enough(shared: Shared) -> bool:
    line = shared.timeline()
    assert line is not None
    return line.beat_at(shared.now()) % line.beats_per_bar < line.beats_per_bar - EARLY_BEATS


def _act(folder: Path, **words: object) -> None:
    answer = ask_conductor(folder, {"do": "act", "name": "capture", **words}, SECONDS)
    if answer is None or not str(answer.get("said")).startswith("capturing"):
        raise MeasureError(f"capture was refused: {answer}")


def _ready(log: Path) -> list[int]:
    """Frames from press to READY, of every capture in the log."""
    events = [json.loads(text) for text in log.read_text().split("\n")[:-1]]
    presses = [e["frame"] for e in events if e["event"] == "act" and e["name"] == "capture"]
    done = [e for e in events if e["event"] == "stem" and e["state"] in ("ready", "failed")]
    failed = [e["reason"] for e in done if e["state"] == "failed"]
    if failed:
        raise MeasureError(f"a capture failed: {failed[0]}")
    first: dict[int, int] = {}  # a stem is ready again when it leaves the queue
    for e in done:
        first.setdefault(e["id"], e["frame"])
    return [ready - press for ready, press in zip(sorted(first.values()), presses, strict=False)]


def _wait(true: Callable[[], object], what: str) -> None:
    if not wait_until(lambda: bool(true()), SECONDS):
        raise TimeoutError(what)

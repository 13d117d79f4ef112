"""`segue bench latency`: what the dry path adds to JACK's own delay, by JACK's own jack_iodelay.

Method. jack_iodelay sends tones out of one port, listens on the other and tells the delay of
whatever lies between. A loop of JACK clients costs one period by itself (a client hears in this
cycle what a client after it played in the last), so the figure for segue alone says nothing. The
same jack_iodelay therefore measures, on one server and one after the other,

  jack_frames   iodelay:out -> a native client that copies input to output -> iodelay:in
  loop_frames   iodelay:out -> segue's first input -> its first output   -> iodelay:in

and added_frames is the difference: 0 says that segue stands in the graph like a native client.
`direct_frames` (iodelay's output tied to its own input) shows that the native client adds nothing.
The dummy driver has no converters, so an interface's own delay is in none of them.
"""

from __future__ import annotations

import os
import re
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from engine.bench.child import end_process
from engine.bench.jackd import JackServer, need_tool, wait_until
from engine.bench.native import Witness
from engine.shm import Shared
from engine.shm_folder import complete, running
from engine.shm_records import AudioPhase

READINGS = 6  # jack_iodelay prints two a second
SETTLE_READINGS = 2  # its first ones come from before the loop was whole
SECONDS = 20.0
READY_SECONDS = 30.0
STOP_SECONDS = 10.0
READING = re.compile(r"^\s*(\d+\.\d+) frames\s+\S+ ms total roundtrip latency(.*)$")
MINIMAL_PATCH = Path(__file__).parents[2] / "patches" / "minimal.yaml"

Ports = tuple[str, str]  # (into, out of) the thing measured
DryPath = Callable[[JackServer], AbstractContextManager[Ports]]


class LatencyError(RuntimeError):
    """No steady delay was measured; says what jack_iodelay said."""


def parse_readings(text: str) -> list[float]:
    """Frames of every certain reading in jack_iodelay's output ('??' and 'Inv' are not)."""
    found = (READING.match(line) for line in text.splitlines())
    return [float(m[1]) for m in found if m and "??" not in m[2] and "Inv" not in m[2]]


def measure_loop(server: JackServer, into: str, out_of: str) -> float:
    """Median round trip in frames of jack_delay:out -> into, out_of -> jack_delay:in.

    Raises LatencyError when no steady delay is read within 20 s.
    """
    process = subprocess.Popen(
        [need_tool("stdbuf", "coreutils"), "-oL", need_tool("jack_iodelay", "jackd2")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=server.env,
    )
    assert process.stdout is not None
    text = ""
    try:
        server.wait_ports("jack_delay:in", "jack_delay:out")
        server.connect("jack_delay:out", into)
        server.connect(out_of, "jack_delay:in")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if not select.select([process.stdout], [], [], 0.2)[0]:
                continue
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                break
            text += data.decode(errors="replace")
            readings = parse_readings(text)[SETTLE_READINGS:]
            if len(readings) >= READINGS:
                steady = statistics.median(readings[-READINGS:])
                if sum(abs(r - steady) < 1.0 for r in readings[-READINGS:]) > READINGS // 2:
                    return steady
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
    said = " | ".join(text.strip().splitlines()[-3:]) or "nothing"
    raise LatencyError(f"{into} to {out_of}: no steady delay in {SECONDS:g} s; it said: {said}")


def _plays(name: str) -> bool:
    """Whether the performance of that name has played a few blocks."""
    folders = [f for f in running(name) if complete(f)]
    clock = Shared.open(folders[0]).clock() if folders else None
    return clock is not None and clock.phase is AudioPhase.RUNNING and clock.callbacks > 8


@contextmanager
def segue_dry(server: JackServer) -> Iterator[Ports]:
    """`segue run patches/minimal.yaml` on a server: one input to main at unity.

    Its ports are looked for once it plays. Each look is a JACK client that comes and goes; twice,
    beside such a row of them, an audio process was never called after its start (why, is not
    known).
    """
    name = f"{server.name}-latency"
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "run", str(MINIMAL_PATCH), "--name", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=server.env,
    )
    try:
        if not wait_until(lambda: _plays(name), READY_SECONDS):
            raise LatencyError(f"segue did not play within {READY_SECONDS:g} s")
        server.wait_ports("segue:in_0", "segue:out_0")
        yield "segue:in_0", "segue:out_0"
    finally:
        end_process(process, STOP_SECONDS)


def bench_latency(dry: DryPath = segue_dry, *, block: int = 128) -> dict[str, float | int]:
    """{loop_frames, jack_frames, added_frames, direct_frames, block}; starts, stops all it needs.

    Frames are fractions as jack_iodelay reads them, rounded to a thousandth. Raises LatencyError,
    JackError, NativeError.
    """
    with JackServer(block=block) as server:
        direct = measure_loop(server, "jack_delay:in", "jack_delay:out")
        with Witness(server, name="native", inputs=["-"], outputs=["-"], through=True):
            native = measure_loop(server, "native:in_1", "native:out_1")
        with dry(server) as (into, out_of):
            loop = measure_loop(server, into, out_of)
    return {
        "loop_frames": round(loop, 3),
        "jack_frames": round(native, 3),
        "added_frames": round(loop - native, 3),
        "direct_frames": round(direct, 3),
        "block": block,
    }

"""`segue bench forward`: what a block costs at the standard load, and what is missed.

One private JACK server, the audio process under the standard load (a `Load`), four inputs that
really sound, and beside it in two phases:

  1. `seconds` long: a minimal native client (engine/native/witness.c) in segue's place: it hears
     the same four inputs, so whoever plays them makes both late. (Of 36 cycles that segue missed
     on a loaded machine, the player had missed 26 too; a client without ports knew of 14.)
     A cycle that segue missed is excess unless the native client missed it or a neighbour
     (stats.miss_report). missed.source: those of the player.
     What is excess on a virtual machine of two shared cores, looked at one by one: of 45 blocks
     that were late in four minutes, 22 lost their core while they ran, 22 lay in a cycle that the
     server had begun late and cut short, 1 was neither. What strikes at random strikes a callback
     of 80 us and more oftener than the client's of 1; none was slow by what it computed.
  2. a fifth as long (4 to 60 s): scsynth under a comparable mix, switched off and on in turn.
     load_ratio is segue's audio thread over scsynth's DSP thread, both as the kernel's scheduler
     counts them, in the same seconds. dsp_ratio is stricter: segue's own callback over what
     scsynth's mix adds to scsynth at rest, so what JACK itself costs is in neither. The floor of
     load_ratio is high: PortAudio with 14 channels and a callback in C that does nothing costs
     35 us a block, sounddevice with an empty one in Python 50 to 70, scsynth's whole mix 45.

CPU time per block is the thread's own, from segue's ledger. Percentiles are of phase 1 alone.
Phase 2 comes after, so scsynth's load on the machine's cores causes no misses that are counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine.bench.jackd import JackServer
from engine.bench.native import Recording, Witness
from engine.bench.scsynth import INPUTS, OUTPUTS, Scsynth, busiest_ns, thread_cpu_ns
from engine.bench.stats import miss_report, percentiles, rate_bound

SLICE_SECONDS = 2.0
READ_SECONDS = 1.0
SOURCE_SECONDS = 8


class Load(Protocol):
    """The standard load: segue's audio process on a server. Driven from one thread."""

    @property
    def pid(self) -> int:
        """The audio process."""
        ...

    def start(self, server: JackServer) -> None:
        """Start it and return once the standard load sounds; ports segue:in_0 to in_3 exist."""
        ...

    def rows(self) -> np.ndarray:
        """New records of the ledger (shm.LEDGER) since the last call; frame: the server's."""
        ...

    def stop(self) -> None: ...


@dataclass
class LedgerReader:
    """Reads each record of a ledger once. count: records ever written (shape (1,)). table: a ring
    of records that the audio process writes before it raises count. lost: overwritten unread."""

    count: np.ndarray
    table: np.ndarray
    seen: int = 0
    lost: int = 0

    def new(self) -> np.ndarray:
        """A copy of the records written since the last call, oldest first."""
        count, size = int(self.count[0]), len(self.table)
        first = max(self.seen, count - size)
        self.lost += first - self.seen
        self.seen = count
        return self.table[np.arange(first, count) % size]


def segue_missed(rows: np.ndarray, block: int) -> np.ndarray:
    """Frames (int64) of cycles segue missed: finished late, or never begun (frames left out)."""
    late = rows["frame"][rows["late_us"] > 0]
    ends = rows["frame"][:-1] + rows["frames"][:-1]
    holes = [
        np.arange(end, begin, block)
        for end, begin in zip(ends, rows["frame"][1:], strict=True)
        if begin > end
    ]
    return np.unique(np.concatenate([late, *holes])).astype(np.int64)


def within(frames: np.ndarray, first: int, last: int) -> np.ndarray:
    """Those frames with first <= frame < last."""
    return frames[(frames >= first) & (frames < last)]


def miss_figures(
    rows: np.ndarray, native: Recording, source: Recording, block: int
) -> dict[str, Any]:
    """missed.* over the cycles both segue and the native client were there for."""
    first = max(int(rows[0]["frame"]), native.start)
    last = min(int(rows[-1]["frame"]), native.end)
    cycles = max(last - first, 0) // block
    report = miss_report(
        within(segue_missed(rows, block), first, last),
        within(native.missed(), first, last),
        cycles,
        block,
    )
    excess = round(report["excess_per_100k"] * cycles / 100_000)
    return {
        **report,
        "excess_per_100k_bound95": 100_000 * rate_bound(excess, cycles),
        "source": len(within(source.missed(), first, last)),
    }


@dataclass
class PeerCost:
    """CPU (ns) of both processes over slices with scsynth's mix off (rest) and on."""

    cycles: float = 0.0
    rest_cycles: float = 0.0
    segue_ns: int = 0
    scsynth_ns: int = 0
    rest_ns: int = 0

    def figures(self, callback_us: float) -> dict[str, float]:
        """callback_us: mean CPU of segue's callback in a block."""
        busy = self.scsynth_ns / self.cycles / 1000
        rest = self.rest_ns / self.rest_cycles / 1000
        segue = self.segue_ns / self.cycles / 1000
        return {
            "load_ratio": segue / busy,
            "dsp_ratio": callback_us / max(busy - rest, 1e-3),
            "segue_thread_us": segue,
            "cpu_us": busy,
            "rest_us": rest,
        }


def source_sound(rate: int, seconds: int = SOURCE_SECONDS) -> np.ndarray:
    """Four inputs that keep every stage of a strip at work: float32 (frames, 4), peak 0.5."""
    t = np.arange(rate * seconds) / rate
    noise = np.random.default_rng(1).standard_normal((len(t), INPUTS)) * 0.05
    notes = np.stack([np.sin(2 * np.pi * f * t) for f in (110.0, 165.0, 220.0, 330.0)], axis=1)
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.5 * t)[:, None]
    sound = (0.3 * notes + noise) * swell
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def _compare(server: JackServer, load: Load, seconds: float) -> PeerCost:
    """Phase 2: segue and scsynth side by side, slice by slice."""
    cost = PeerCost()
    inputs = tuple(f"source:out_{k + 1}" for k in range(INPUTS))
    with Scsynth(server, inputs_from=inputs) as peer:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for on in (False, True):
                peer.run(on=on)
                segue, scsynth = thread_cpu_ns(load.pid), thread_cpu_ns(peer.pid)
                began = time.monotonic()
                time.sleep(min(SLICE_SECONDS, seconds / 2))
                cycles = (time.monotonic() - began) * server.rate / server.block
                used = busiest_ns(scsynth, thread_cpu_ns(peer.pid))
                load.rows()  # so that the ledger's ring is never overrun
                if on:
                    cost.cycles += cycles
                    cost.scsynth_ns += used
                    cost.segue_ns += busiest_ns(segue, thread_cpu_ns(load.pid))
                else:
                    cost.rest_cycles += cycles
                    cost.rest_ns += used
    return cost


def bench_forward(load: Load, *, block: int = 128, seconds: float = 600.0) -> dict[str, Any]:
    """Run both phases; returns the figures. Starts and stops all it needs, `load` too.

    Raises JackError, NativeError, ScsynthError, ValueError when nothing was measured.
    """
    with JackServer(block=block, inputs=INPUTS, outputs=OUTPUTS) as server:
        sinks = [f"segue:in_{k},scsynth:in_{k + 1},native:in_{k + 1}" for k in range(INPUTS)]
        source = Witness(
            server,
            name="source",
            outputs=sinks,
            play=source_sound(server.rate),
            play_at=0,
            loop=True,
        )
        with source:
            load.start(server)
            try:
                load.rows()  # what came before the measurement
                with Witness(server, name="native", inputs=["-"] * INPUTS, capture=False) as native:
                    parts = []
                    end = time.monotonic() + seconds
                    while (left := end - time.monotonic()) > 0:
                        time.sleep(min(READ_SECONDS, left))
                        parts.append(load.rows())
                rows = np.concatenate(parts)
                if len(rows) < 2:
                    raise ValueError("segue's ledger holds no block: the audio process did not run")
                missed = miss_figures(rows, native.recording(), source.recording(), block)
                cost = _compare(server, load, min(max(seconds / 5, 4.0), 60.0))
            finally:
                load.stop()
        source.remove()
        native.remove()
    period_us = 1e6 * block / server.rate
    cpu_us = percentiles(rows["cpu_ns"] / 1000)
    return {
        "block": block,
        "period_us": period_us,
        "cpu_us": cpu_us,
        "share_p50": cpu_us["p50"] / period_us,
        "share_p999": cpu_us["p999"] / period_us,
        "peers": {"scsynth": cost.figures(float(rows["cpu_ns"].mean()) / 1000)},
        "missed": missed,
        "seconds": seconds,
    }

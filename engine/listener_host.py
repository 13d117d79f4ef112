"""The listener's process: `python -m engine.listener_host FOLDER`.

Hears the live inputs (without our own output, engine/bleed.py), hop by hop, and publishes
observations; the conductor draws the conclusions. Beside it, what textures and effects give back is
heard for howling (engine/howl.py).
"""

from __future__ import annotations

import importlib
import sys

import numpy as np

from engine.adapter import Observer
from engine.bleed import Canceller
from engine.howl import HowlDetector
from engine.layout import OBSERVATION, ObservationKind
from engine.patch import Patch
from engine.process import Stop, await_sound, enter, one_thread
from engine.roster import MODEL_LOAD_S
from engine.shm import Shared
from engine.sources import guarded_sources, source_names
from engine.tap_read import unheard

LISTENER = "aubio"
WAIT_S = 0.005
BRIDGE_FRAMES = 4800  # a longer gap starts the observer anew


def _loudest(patch: Patch, source: str) -> float:
    """The linear gain of a guarded source's loudest send; an effect's return is 1."""
    kind, _, name = source.partition(".")
    db = max(patch.players[name].to.values()) if kind == "texture" else 0.0
    return float(10.0 ** (db / 20.0))


class Guard:
    """Hears what textures and effects give back, and says what howls."""

    def __init__(self, shared: Shared, rate: float) -> None:
        names = source_names(shared.patch)
        guarded = guarded_sources(shared.patch)
        self._sources = [names.index(n) for n in guarded]
        self._tap = shared.ring("tap.howl") if guarded else None
        self._out = shared.ring("observations")
        self._detector = HowlDetector(rate, [_loudest(shared.patch, n) for n in guarded])
        if self._tap is not None:
            self._tap.clear()

    def turn(self) -> None:
        if self._tap is None:
            return
        for record in self._tap.pop(64):
            frame, count = int(record["frame"]), int(record["count"])
            for howl in self._detector.feed(frame, record["data"][:, :count]):
                told = np.zeros(1, OBSERVATION)
                told["frame"], told["kind"] = howl.frame, ObservationKind.HOWL
                told["input"] = self._sources[howl.row]
                told["x"], told["y"] = howl.hertz, howl.db
                self._out.push(told)


class ListenerHost:
    """Cuts the tap into hops. A few missed cycles are bridged by silence, for a tracker that starts
    anew needs seconds to find the beat again; a longer gap starts a new hop. late: frames of the
    interface's round trip: what is heard at f was played with what was sent out so long before."""

    def __init__(self, shared: Shared, observer: Observer, late: int = 0) -> None:
        self._tap = shared.ring("tap.listener")
        self._switch = shared.sections["switch"]
        self._out = shared.ring("observations")
        self._observer, self._late = observer, late
        rows = self._tap.dtype["data"].shape[0]  # inputs, then what we play that may be in them
        self._hop = np.zeros((rows, observer.hop), np.float32)
        self._bleed = [Canceller(observer.hop) for _ in range(rows - 1)]
        self._filled = 0
        self._frame = 0
        self._tap.clear()

    def turn(self) -> None:
        """Take what came. In standby nothing is listened to, and the observer begins anew after."""
        switch = self._switch.read()
        if switch is not None and switch[0]["frozen"]:
            self._tap.clear()
            self._frame = self._filled = 0
            return
        for record in self._tap.pop(64):
            expected = self._frame + self._filled
            heard = record["data"][:, : int(record["count"])]
            frame, heard = unheard(expected, int(record["frame"]), heard)
            if not heard.shape[1]:
                continue
            missing = frame - expected
            if 0 < missing <= BRIDGE_FRAMES and self._frame:
                self._take(np.zeros((len(self._hop), missing), np.float32))
            elif missing:
                self._frame, self._filled = frame, 0
            self._take(heard)

    def _take(self, audio: np.ndarray) -> None:
        while audio.shape[1]:
            part = audio[:, : self._hop.shape[1] - self._filled]
            self._hop[:, self._filled : self._filled + part.shape[1]] = part
            self._filled += part.shape[1]
            audio = audio[:, part.shape[1] :]
            if self._filled == self._hop.shape[1]:
                for row, canceller in zip(self._hop, self._bleed, strict=False):
                    row[:] = canceller(row, self._hop[-1])
                found = self._observer.observe(self._frame, self._hop[:-1])
                if len(found):
                    found["frame"] -= self._late
                    self._out.push(found)
                self._frame += self._filled
                self._filled = 0


def _serve(shared: Shared, stop: Stop) -> int:
    clock = await_sound(shared, stop, "listener", MODEL_LOAD_S)
    if clock is None:
        return 0
    path = importlib.import_module(f"models.{LISTENER}").ADAPTER
    module, _, name = path.partition(":")
    observer: Observer = getattr(importlib.import_module(module), name)()
    observer.load(None, int(clock.rate), {})
    late = round(shared.patch.audio.round_trip_ms * clock.rate / 1000.0)
    host = ListenerHost(shared, observer, late)
    guard = Guard(shared, clock.rate)
    while not stop:
        shared.heartbeat("listener")
        host.turn()
        guard.turn()
        shared.wait("listener", WAIT_S)
    return 0


def main() -> int:
    one_thread()
    shared, stop = enter(sys.argv[1], "listener", nice=1)
    return _serve(shared, stop)


if __name__ == "__main__":
    sys.exit(main())

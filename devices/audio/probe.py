"""An interface opened for measuring: plays and records at once, through the very path that segue
plays through (PortAudio, one stream of both directions, low latency).

Blocks are lent to the callback whole; a cycle that the sound server lost shows in its frame counter
(or in PortAudio's flags elsewhere), and the measurement is made again.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np

from devices.audio.interface import NoDeviceError, choose, name_client
from devices.audio.jack_clock import JackClock
from engine.patch import Patch
from engine.venue import VenueError

CLIENT = "segue-probe"
TRIES = 8  # a shared machine may lose a cycle every nine seconds; what is listened to lasts eight
START_S = 2.0
MARGIN_S = 3.0  # beyond its own length, until a run counts as lost


class Probe:
    """The interface of a patch. channels, missing: where its things are, and what is not there.
    Raises VenueError. One thread; close() it."""

    def __init__(self, patch: Patch) -> None:
        self._jack: JackClock | None = None
        with contextlib.suppress(OSError):
            self._jack = JackClock("segue-probe-clock")
        name_client(CLIENT)
        try:
            import sounddevice as sd

            found = choose(sd, patch, self._jack)
        except (NoDeviceError, OSError) as error:
            raise VenueError(f"{error}; `segue devices` lists what there is") from None
        facts = sd.query_devices(found.index)
        ins, outs = int(facts["max_input_channels"]), int(facts["max_output_channels"])
        self.name, self.host = found.name, found.host
        self.rate = self._jack.rate if self._jack else patch.audio.rate
        self.channels, self.missing = found.channels, found.missing
        self.inputs = found.ports_in[:ins] or [f"input {i + 1}" for i in range(ins)]
        self.outputs = found.ports_out[:outs] or [f"output {i + 1}" for i in range(outs)]
        self._ins, self._outs = max(1, ins), max(1, outs)
        self._play = np.zeros((0, self._outs), np.float32)
        self._heard = np.zeros((0, self._ins), np.float32)
        self._at = 0
        self._running = self._lost = False
        self._expected: int | None = None
        self._done = threading.Event()
        try:
            self._stream = sd.RawStream(
                device=(found.index, found.index),
                channels=(self._ins, self._outs),
                samplerate=self.rate,
                blocksize=0 if self._jack else patch.audio.block,
                latency="low",
                dtype="float32",
                callback=self._callback,
            )
            self._stream.start()
        except Exception as error:
            raise VenueError(f"{self.name} cannot be opened ({error})") from None

    def run(self, play: np.ndarray) -> np.ndarray:
        """engine.venue.Interface.run."""
        for _ in range(TRIES):
            self._done.clear()
            self._play = np.zeros((len(play), self._outs), np.float32)
            self._play[:, : play.shape[1]] = play
            self._heard = np.zeros((len(play), self._ins), np.float32)
            self._at, self._lost, self._expected = 0, False, None
            self._running = True
            ended = self._done.wait(START_S + MARGIN_S + len(play) / self.rate)
            self._running = False
            if not ended:
                raise VenueError(f"{self.name} has stopped: the sound server does not call back")
            if not self._lost:
                return self._heard[:, : len(self.inputs)].copy()
        raise VenueError(f"{self.name} lost cycles in {TRIES} tries: a larger block, or less load")

    def _callback(self, indata: Any, outdata: Any, frames: int, info: Any, status: Any) -> None:
        out = np.frombuffer(outdata, np.float32).reshape(frames, -1)
        out.fill(0)
        if not self._running:
            return
        if self._jack is not None:
            frame = self._jack.frame()
            self._lost |= self._expected is not None and frame != self._expected
            self._expected = frame + frames
        else:
            self._lost |= bool(status)
        n = min(frames, len(self._play) - self._at)
        out[:n] = self._play[self._at : self._at + n]
        heard = np.frombuffer(indata, np.float32).reshape(frames, -1)
        self._heard[self._at : self._at + n] = heard[:n]
        self._at += n
        if self._at == len(self._play):
            self._running = False
            self._done.set()

    def close(self) -> None:
        """Leave the device."""
        with contextlib.suppress(Exception):
            self._stream.close()
        if self._jack is not None:
            self._jack.close()

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""A steady voltage out and a recording in: the ears and the hand of engine/cv_calibrate.py.

Through the same device and channels as the performance, which must not run meanwhile. Not
real-time safe: a lost block spoils one recording, and that is noticed and taken again.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from devices.audio.interface import NoDeviceError, choose, name_client
from devices.audio.jack_clock import JackClock
from engine.calibration import CalibrationError
from engine.patch import Input, Patch
from engine.patch_cv import Cv

SETTLE_S = 0.1  # an oscillator and the interface's buffers, there and back
RECORD_S = 0.3
WAIT_S = 5.0
EAR = "ear"


@dataclass
class Take:
    """One recording: `heard` is filled from `at` on."""

    heard: np.ndarray
    at: int = 0
    full: threading.Event = field(default_factory=threading.Event)


class CvSweep:
    """with CvSweep(patch, cv, channel) as sweep: sweep.listen(volts). channel: the device input
    (from 1, or a pattern of port names) that hears the oscillator. Raises CalibrationError, or
    NoDeviceError."""

    def __init__(self, patch: Patch, cv: Cv, channel: int | str) -> None:
        self.cv = cv
        self._patch = Patch(audio=patch.audio, inputs={EAR: Input(channel)}, cv={"out": cv})
        self._value = 0.0
        self._take: Take | None = None

    def __enter__(self) -> CvSweep:
        jack: JackClock | None = None
        with contextlib.suppress(OSError):
            jack = JackClock()
        name_client("segue-cv")
        import sounddevice as sd

        found = choose(sd, self._patch, jack)
        if found.missing:
            raise CalibrationError(f"{found.name}: found {'; '.join(found.missing)}")
        self.rate = float(jack.rate if jack else self._patch.audio.rate)
        self._in, self._out = found.channels.inputs[EAR], found.channels.cv["out"]
        try:
            self._stream = sd.RawStream(
                device=(found.index, found.index),
                channels=(found.channels.channels_in, found.channels.channels_out),
                samplerate=self.rate,
                blocksize=0,
                dtype="float32",
                callback=self._block,
            )
            self._stream.start()
        except (sd.PortAudioError, ValueError) as error:
            raise NoDeviceError(
                f"{found.name} cannot be opened ({error}): another program may hold it, or it "
                f"does not run at {self.rate:g} Hz"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._value = 0.0
        self._stream.stop()
        self._stream.close()

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest volts of the channel."""
        full, offset = self.cv.volts_full_scale, self.cv.offset_volts
        return -full - offset, full - offset

    def listen(self, volts: float) -> np.ndarray:
        """What is heard RECORD_S long while the channel is at `volts`, float32 (n,)."""
        settle = round(SETTLE_S * self.rate)
        take = Take(np.zeros(settle + round(RECORD_S * self.rate), np.float32))
        self._value = (volts + self.cv.offset_volts) * self.cv.polarity / self.cv.volts_full_scale
        self._take = take
        if not take.full.wait(WAIT_S):
            raise CalibrationError(f"found no sound for {WAIT_S:g} s: the interface has stopped")
        return take.heard[settle:]

    def _block(self, indata: Any, outdata: Any, frames: int, info: Any, status: Any) -> None:
        out = np.frombuffer(outdata, np.float32).reshape(frames, -1)
        out.fill(0.0)
        out[:, self._out] = self._value
        take = self._take
        if take is None:
            return
        room = len(take.heard) - take.at
        x = np.frombuffer(indata, np.float32).reshape(frames, -1)[:room, self._in]
        take.heard[take.at : take.at + len(x)] = x
        take.at += len(x)
        if take.at == len(take.heard):
            take.full.set()

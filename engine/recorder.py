"""The recorder's process: `python -m engine.recorder FOLDER`.

Where the performance has a session folder, main and inputs go to one WAV (float32, lossless): main
left and right first, then the inputs in the patch's order. Lost blocks are filled with silence, so
position is always frame minus the first frame. The header is brought up to date every second, so
the file is readable after a crash. A full disk stops the recording with a warning and nothing else.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from engine.process import Stop, enter
from engine.shm import Shared

WAIT_S = 0.05
FLUSH_S = 1.0
GAP_MAX_S = 600
log = logging.getLogger("segue.recorder")


class Recorder:
    def __init__(self, shared: Shared, session: Path, rate: int) -> None:
        self._tap = shared.ring("tap.recorder")
        self._channels = int(self._tap.dtype["data"].shape[0])
        self._rate = rate
        self._session = session
        self._next: int | None = None
        self._file: soundfile.SoundFile | None = None
        self._flushed = 0.0
        self._tap.clear()

    def _open(self, frame: int) -> soundfile.SoundFile:
        number = len(list(self._session.glob("take-*.wav"))) + 1
        path = self._session / f"take-{number:02d}.wav"
        facts = {"first_frame": frame, "rate": self._rate, "channels": self._channels}
        path.with_suffix(".json").write_text(json.dumps(facts))
        return soundfile.SoundFile(
            path, "w", self._rate, self._channels, subtype="FLOAT", format="RF64"
        )

    def turn(self) -> None:
        for record in self._tap.pop(128):
            frame, count = int(record["frame"]), int(record["count"])
            if self._file is None:
                self._file, self._next = self._open(frame), frame
            assert self._next is not None
            missing = frame - self._next
            if 0 < missing < GAP_MAX_S * self._rate:
                self._file.write(np.zeros((missing, self._channels), np.float32))
            self._file.write(np.ascontiguousarray(record["data"][:, :count].T))
            self._next = frame + count
        if self._file is not None and time.monotonic() - self._flushed > FLUSH_S:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _serve(shared: Shared, stop: Stop, session: Path | None) -> int:
    while not stop and shared.clock() is None:
        shared.heartbeat("recorder")
        time.sleep(0.02)
    clock = shared.clock()
    recorder: Recorder | None = None
    if session is not None and clock is not None:
        recorder = Recorder(shared, session, int(clock.rate))
    while not stop:
        shared.heartbeat("recorder")
        if recorder is None:
            shared.ring("tap.recorder").clear()
        else:
            try:
                recorder.turn()
            except (OSError, soundfile.SoundFileError) as error:
                log.warning("recording stopped: %s", error)
                recorder = None
        shared.wait("recorder", WAIT_S)
    if recorder is not None:
        recorder.turn()
        recorder.close()
    return 0


def main() -> int:
    shared, stop = enter(sys.argv[1], "recorder", nice=3)
    session = shared.meta.get("session")
    return _serve(shared, stop, Path(session) if session else None)


if __name__ == "__main__":
    sys.exit(main())

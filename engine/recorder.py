"""The recorder's process: `python -m engine.recorder FOLDER` (see engine/recording.py).

Runs where the performance has a session folder. A full disk stops the recording with a warning and
nothing else.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

from engine.process import Stop, enter
from engine.recording import Recording, new_take, replace_text
from engine.shm import Shared
from engine.tracks import TrackError

WAIT_S = 0.05
log = logging.getLogger("segue.recorder")


def take_of(shared: Shared, session: Path) -> Path:
    """The performance's own take: a predecessor's, or a new one."""
    said = shared.file("take")
    if said.exists():
        return Path(said.read_text())
    take = new_take(session)
    replace_text(said, str(take))
    return take


def _serve(shared: Shared, stop: Stop, session: Path) -> int:
    while not stop and shared.played() is None:
        shared.heartbeat("recorder")
        time.sleep(0.02)
    clock = shared.played()
    recording: Recording | None = None
    stopped = told = ""
    try:
        if clock is not None:
            recording = Recording(shared, take_of(shared, session), clock.rate)
    except (OSError, ValueError, KeyError, TrackError) as error:
        stopped = str(error)
        log.warning("no recording: %s", error)
    while not stop:
        shared.heartbeat("recorder", 5.0)
        if recording is None:
            for name in ("tap.recorder", "admitted"):
                shared.ring(name).clear()
        else:
            try:
                while recording.turn():
                    shared.heartbeat("recorder", 5.0)
            except OSError as error:
                log.warning("recording stopped: %s; the performance goes on without it", error)
                recording, stopped = None, str(error)
        if stopped != told:
            replace_text(shared.file("recorder.json"), json.dumps({"stopped": stopped}))
            told = stopped
        shared.wait("recorder", WAIT_S)
    if recording is not None:
        try:
            recording.close()
        except OSError as error:
            log.warning("the end of the recording is lost: %s", error)
    return 0


def main() -> int:
    shared, stop = enter(sys.argv[1], "recorder", nice=3)
    return _serve(shared, stop, Path(shared.meta["session"]))


if __name__ == "__main__":
    sys.exit(main())

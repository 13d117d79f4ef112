"""The recorder's process: `python -m engine.recorder FOLDER` (see engine/recording.py).

Runs where the performance has a session folder. A full disk stops the recording with a warning and
nothing else.
"""

from __future__ import annotations

import json
import logging
import struct
import sys
from pathlib import Path

from engine.process import Stop, await_sound, enter
from engine.recording import Recording, new_take, replace_text
from engine.shm import Shared
from engine.tracks import TrackError

WAIT_S = 0.05
BUSY_S = 5.0  # a slow disk may keep it
TURNS_MAX = 16  # then a life sign, however much waits
log = logging.getLogger("segue.recorder")


def take_of(shared: Shared, session: Path) -> Path:
    """The performance's own take: a predecessor's, or a new one."""
    said = shared.file("take")
    if said.exists():
        return Path(said.read_text())
    take = new_take(session)
    replace_text(said, str(take))
    return take


class Keeper:
    """A recording, until the disk does not take it: that is said once, and nothing waits for it."""

    def __init__(self, shared: Shared, recording: Recording | None, stopped: str = "") -> None:
        self._shared, self._recording, self.stopped = shared, recording, stopped

    def turn(self) -> None:
        """What the rings hold, to disk."""
        if self._recording is None:
            for name in ("tap.recorder", "admitted"):
                self._shared.ring(name).clear()
            return
        try:
            for _ in range(TURNS_MAX):
                if not self._recording.turn():
                    break
        except OSError as error:
            log.warning("recording stopped: %s; the performance goes on without it", error)
            self._recording, self.stopped = None, str(error)

    def close(self) -> None:
        self.turn()
        if self._recording is not None:
            self._recording.close()


def _keeper(shared: Shared, session: Path, rate: float) -> Keeper:
    try:
        return Keeper(shared, Recording(shared, take_of(shared, session), rate))
    except (OSError, ValueError, KeyError, struct.error, TrackError) as error:
        log.warning("no recording: %s", error)
        return Keeper(shared, None, str(error))


def _serve(shared: Shared, stop: Stop, session: Path) -> int:
    clock = await_sound(shared, stop, "recorder")
    if clock is None:
        return 0
    keeper, told = _keeper(shared, session, clock.rate), ""
    while not stop:
        shared.heartbeat("recorder", BUSY_S)
        keeper.turn()
        if keeper.stopped != told:
            told = keeper.stopped
            replace_text(shared.file("recorder.json"), json.dumps({"stopped": told}))
        shared.wait("recorder", WAIT_S)
    keeper.close()
    return 0


def main() -> int:
    shared, stop = enter(sys.argv[1], "recorder", nice=3)
    return _serve(shared, stop, Path(shared.meta["session"]))


if __name__ == "__main__":
    sys.exit(main())

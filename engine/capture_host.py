"""The capture process: `python -m engine.capture_host FOLDER`.

Hears the tap of live sources and remembers the last bars. The conductor asks over `capture.sock`,
one JSON object a line: {"job", "slot", "source", "start", "end", "bars"}, frames fractional. What
it asks for is cut out, written to its slot of the arena and said to be ready, as the pool says it.
A conductor that comes back hears which jobs are known. It may die: what it remembered is then gone.
"""

from __future__ import annotations

import select
import sys
from typing import Any

import numpy as np

from engine.capture import (
    MARGIN_S,
    CaptureError,
    Memory,
    capture_rows,
    captured,
    channels_of,
)
from engine.job_socket import JobServer
from engine.process import Stop, await_sound, enter, one_thread
from engine.shm import Shared

WAIT_S = 0.02
WAIT_BUSY_S = 0.002  # while something is to be cut


class CaptureHost:
    def __init__(self, shared: Shared, rate: float) -> None:
        self.shared, self.rate = shared, rate
        self.tap = shared.ring("tap.capture")
        frames = shared.places.capture_frames + round(MARGIN_S * rate)
        self.memory = Memory(capture_rows(shared.patch), frames)
        self._rows: dict[str, int] = {}
        row = 0
        for source in captured(shared.patch):
            self._rows[source] = row
            row += channels_of(source)
        self._asked: list[dict[str, Any]] = []
        self._conductor = JobServer(shared.file("capture.sock"))
        self.tap.clear()

    def turn(self) -> None:
        """Hear, answer; waits for a request a moment."""
        wait = WAIT_BUSY_S if self._asked else WAIT_S
        ready, _, _ = select.select(self._conductor.readers, [], [], wait)
        self._asked += self._conductor.hear(ready, lambda: [a["job"] for a in self._asked])
        for record in self.tap.pop(512):
            count = int(record["count"])
            self.memory.hear(int(record["frame"]), record["data"][:, :count])
        for asked in [a for a in self._asked if round(a["end"]) <= self.memory.next]:
            self._asked.remove(asked)
            self._conductor.say({"job": asked["job"], **self.cut(asked)})
        self._conductor.send()

    def close(self) -> None:
        self._conductor.close()

    def cut(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Write a captured stem to its slot; what came of it, as an event of the pool."""
        start, exact = round(asked["start"]), float(asked["end"] - asked["start"])
        frames, slot, source = round(exact), int(asked["slot"]), str(asked["source"])
        places, arena = self.shared.places, self.shared.arena
        try:
            if frames > places.room(slot):
                raise CaptureError(f"{frames} frames, at most {places.room(slot)} are kept")
            audio = self.memory.loop(self._rows[source], channels_of(source), start, frames)
        except CaptureError as error:
            return {"event": "failed", "reason": f"{source}: {error}"}
        base = places.base(slot)
        arena[base : base + 2 * frames] = audio.reshape(-1)
        provenance = {
            "maker": "capture",
            "source": source,
            "bars": str(asked["bars"]),
            "first_frame": str(start),
            "lost_frames": str(self.memory.lost(start, frames)),
            "peak_dbfs": f"{20 * np.log10(float(np.abs(audio).max())):.1f}",
        }
        return {"event": "ready", "frames": frames, "loop": exact, "provenance": provenance}


def serve(shared: Shared, stop: Stop) -> int:
    clock = await_sound(shared, stop, "capture")
    if clock is None:
        return 0
    host = CaptureHost(shared, clock.rate)
    while not stop:
        shared.heartbeat("capture")
        host.turn()
    host.close()
    return 0


def main() -> int:
    one_thread()
    shared, stop = enter(sys.argv[1], "capture", nice=2)
    return serve(shared, stop)


if __name__ == "__main__":
    sys.exit(main())

"""The capture process: `python -m engine.capture_host FOLDER`.

Hears the tap of live sources and remembers the last bars. The conductor asks over `capture.sock`,
one JSON object a line: {"job", "slot", "source", "start", "end", "bars"}, frames fractional. What
it asks for is cut out, written to its slot of the arena and said to be ready, as the pool says it.
A conductor that comes back hears which jobs are known. It may die: what it remembered is then gone.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
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
from engine.process import Stop, enter, one_thread
from engine.shm import Shared

WAIT_S = 0.02
WAIT_BUSY_S = 0.002  # while something is to be cut
LINE_MAX = 1 << 16


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
        self._outbox: list[dict[str, Any]] = []
        path = shared.file("capture.sock")
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(2)
        self._conductor: socket.socket | None = None
        self._inbox = b""
        self.tap.clear()

    def turn(self) -> None:
        """Hear, answer; waits for a request a moment."""
        readers = [s for s in (self._listener, self._conductor) if s is not None]
        wait = WAIT_BUSY_S if self._asked else WAIT_S
        ready, _, _ = select.select(readers, [], [], wait)
        if self._listener in ready:
            self._welcome()
        elif self._conductor in ready:
            self._read()
        for record in self.tap.pop(512):
            count = int(record["count"])
            self.memory.hear(int(record["frame"]), record["data"][:, :count])
        for asked in [a for a in self._asked if round(a["end"]) <= self.memory.next]:
            self._asked.remove(asked)
            self._outbox.append({"job": asked["job"], **self.cut(asked)})
        self._send()

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

    # ---- the conductor

    def _welcome(self) -> None:
        if self._conductor is not None:
            self._conductor.close()
        self._conductor, _ = self._listener.accept()
        self._inbox = b""
        self._outbox = [m for m in self._outbox if "job" in m]  # a greeting nobody heard is stale
        known = [a["job"] for a in self._asked] + [m["job"] for m in self._outbox]
        self._outbox.insert(0, {"jobs": known})

    def _read(self) -> None:
        assert self._conductor is not None
        try:
            data = self._conductor.recv(LINE_MAX)
        except OSError:
            data = b""
        if not data:
            self._conductor.close()
            self._conductor = None
            return
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        self._asked += [json.loads(line) for line in lines]

    def _send(self) -> None:
        if self._conductor is None or not self._outbox:
            return
        text = "".join(json.dumps(m) + "\n" for m in self._outbox).encode()
        with contextlib.suppress(OSError):
            self._conductor.sendall(text)
            self._outbox.clear()

    def close(self) -> None:
        self._listener.close()
        if self._conductor is not None:
            self._conductor.close()


def serve(shared: Shared, stop: Stop) -> int:
    while not stop and shared.clock() is None:
        shared.heartbeat("capture")
        shared.wait("capture", WAIT_S)
    clock = shared.clock()
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

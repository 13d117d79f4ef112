"""The pool's process: `python -m engine.pool_host FOLDER`.

Workers on one side (engine/pool.py), the conductor on the other (`pool.sock`, one JSON object a
line), the stem arena below: finished audio is written to the slot the conductor chose, then said to
be ready. A conductor that comes back hears which jobs are known, and what it missed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.patch import NOT_MODELS
from engine.pool import EventKind, Pool, PoolEvent
from engine.process import Stop, enter, one_thread
from engine.shm import Shared
from engine.soundfont import find_soundfont
from engine.stem import Stem, StemNote, StemRequest
from engine.stem_notes import store
from engine.stretch import Stretching

WAIT_S = 0.5
STRETCH_WAIT_S = 0.05
FALLBACK_MARGIN_S = 1.5
log = logging.getLogger("segue.pool")


class PoolHost:
    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        soundfont = find_soundfont(shared.patch)
        if soundfont is None:
            raise SystemExit("no SoundFont: stems cannot be rendered (install timgm6mb-soundfont)")
        clock = shared.played()
        rate = int(clock.rate) if clock else shared.patch.audio.rate
        makers = sorted({r.made_by for r in shared.patch.roles.values()} - NOT_MODELS)
        tuning_hz = shared.patch.tuning_hz
        self.pool = Pool(soundfont, rate, workers=1, warm=makers, tuning_hz=tuning_hz)
        self._stretchings: dict[int, Stretching] = {}  # by stem id
        self._slots: dict[int, tuple[int, int]] = {}  # pool's job -> (stem id, arena slot)
        self._midi: set[int] = set()  # jobs of which the notes are wanted
        self._outbox: list[dict[str, Any]] = []
        assert shared.folder is not None
        path = shared.folder / "pool.sock"
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(2)
        self._conductor: socket.socket | None = None
        self._inbox = b""

    def run(self, stop: Stop) -> None:
        while not stop:
            self.shared.heartbeat("pool")
            self._turn()
        self.pool.close()
        for stretching in self._stretchings.values():
            stretching.close()

    def _turn(self) -> None:
        now = time.monotonic_ns()
        wait = min(
            STRETCH_WAIT_S if self._stretchings else WAIT_S,
            max(0.0, (self.pool.next_wake_ns(now) - now) / 1e9),
        )
        readers: list[Any] = [self._listener, *self.pool.filenos()]
        if self._conductor is not None:
            readers.append(self._conductor)
        ready, _, _ = select.select(readers, self.pool.write_filenos(), [], wait)
        if self._listener in ready:
            self._welcome()
        if self._conductor is not None and self._conductor in ready:
            self._hear()
        for event in self.pool.poll(time.monotonic_ns()):
            self._pass_on(event)
        for stem_id, stretching in list(self._stretchings.items()):
            if (answer := stretching.answer()) is not None:
                del self._stretchings[stem_id]
                self._outbox.append({"job": stem_id, **answer})
        self._send()

    def _welcome(self) -> None:
        if self._conductor is not None:
            self._conductor.close()
        self._conductor, _ = self._listener.accept()
        self._inbox = b""
        self._outbox = [m for m in self._outbox if "job" in m]  # a greeting nobody heard is stale
        known = [*self._stretchings, *(stem for stem, _ in self._slots.values())]
        known += [message["job"] for message in self._outbox]
        self._outbox.insert(0, {"jobs": known})

    def _hear(self) -> None:
        assert self._conductor is not None
        try:
            data = self._conductor.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._conductor.close()
            self._conductor = None
            return
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        for line in lines:
            self._make(json.loads(line))

    def _make(self, asked: dict[str, Any]) -> None:
        if asked["do"] == "stretch":
            assert self.shared.folder is not None
            job = int(asked["job"])
            try:
                self._stretchings[job] = Stretching(self.shared.folder, os.getpid(), asked)
            except OSError as error:
                self._outbox.append({"job": job, "event": "failed", "reason": str(error)})
            return
        request = asked["request"]
        context = tuple(StemNote(**n) for n in request.pop("context"))
        seconds = max(1.0, float(asked["seconds"]) - FALLBACK_MARGIN_S)
        job = self.pool.submit(
            asked["maker"],
            StemRequest(**request, context=context),
            int(asked["program"]),
            bool(asked["drums"]),
            asked["config"],
            deadline_ns=time.monotonic_ns() + int(seconds * 1e9),
        )
        self._slots[job] = (int(asked["job"]), int(asked["slot"]))
        if asked["midi"]:
            self._midi.add(job)

    def _pass_on(self, event: PoolEvent) -> None:
        if event.job not in self._slots:
            return
        stem_id, slot = self._slots[event.job]
        message: dict[str, Any] = {"job": stem_id, "event": event.kind.value}
        if event.kind is EventKind.READY:
            message.update(self._store(event, slot))
        elif event.kind is EventKind.FAILED:
            message["reason"] = event.reason
        if event.kind in (EventKind.READY, EventKind.FAILED):
            del self._slots[event.job]
            self._midi.discard(event.job)
        self._outbox.append(message)

    def _store(self, event: PoolEvent, slot: int) -> dict[str, Any]:
        """Write the audio, left then right, or the notes, into its slot."""
        stem = event.stem
        assert stem is not None
        assert stem.audio is not None
        frames = stem.audio.shape[1]
        if frames > self.shared.slot_frames:
            reason = f"{frames} frames, a slot holds {self.shared.slot_frames}"
            return {"event": "failed", "reason": reason}
        if event.job in self._midi:
            store(self.shared, slot, frames, stem.notes)
            return {**_facts(stem), "midi": True}
        base = slot * self.shared.slot_frames * 2
        self.shared.arena[base : base + frames] = stem.audio[0]
        self.shared.arena[base + frames : base + 2 * frames] = stem.audio[1]
        if not np.isfinite(self.shared.arena[base : base + 2 * frames]).all():
            return {"event": "failed", "reason": "audio is not finite"}
        return _facts(stem)

    def _send(self) -> None:
        if self._conductor is None or not self._outbox:
            return
        text = "".join(json.dumps(m) + "\n" for m in self._outbox).encode()
        with contextlib.suppress(OSError):
            self._conductor.sendall(text)
            self._outbox.clear()


def _facts(stem: Stem) -> dict[str, Any]:
    assert stem.audio is not None
    return {
        "frames": stem.audio.shape[1],
        "loop": stem.frames_exact,
        "provenance": {k: str(v) for k, v in stem.provenance.items()},
    }


def main() -> int:
    one_thread()
    shared, stop = enter(sys.argv[1], "pool", nice=5)
    assert Path(sys.argv[1]).is_dir()
    while not stop and shared.played() is None:
        shared.heartbeat("pool")
        time.sleep(0.02)
    PoolHost(shared).run(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())

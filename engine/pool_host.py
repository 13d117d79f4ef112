"""The pool's process: `python -m engine.pool_host FOLDER`.

Workers on one side (engine/pool.py), the conductor on the other (`pool.sock`, one JSON object a
line), the stem arena below: finished audio is written to the slot the conductor chose, then said to
be ready. A conductor that comes back hears which jobs are known, and what it missed.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from typing import Any

import numpy as np

from engine.job_socket import JobServer
from engine.patch import NOT_MODELS
from engine.pool import EventKind, Pool, PoolEvent
from engine.process import Stop, await_sound, enter, one_thread
from engine.shm import Shared
from engine.soundfont import find_again
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
        assert shared.folder is not None
        soundfont, _ = find_again(shared.folder, shared.patch)
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
        self._conductor = JobServer(shared.file("pool.sock"))

    def run(self, stop: Stop) -> None:
        while not stop:
            self.shared.heartbeat("pool")
            self._turn()
        self.pool.close()
        for stretching in self._stretchings.values():
            stretching.close()
        self._conductor.close()

    def _turn(self) -> None:
        now = time.monotonic_ns()
        wait = min(
            STRETCH_WAIT_S if self._stretchings else WAIT_S,
            max(0.0, (self.pool.next_wake_ns(now) - now) / 1e9),
        )
        readers: list[Any] = [*self._conductor.readers, *self.pool.filenos()]
        ready, _, _ = select.select(readers, self.pool.write_filenos(), [], wait)
        for asked in self._conductor.hear(ready, self._jobs):
            self._make(asked)
        for event in self.pool.poll(time.monotonic_ns()):
            self._pass_on(event)
        for stem_id, stretching in list(self._stretchings.items()):
            if (answer := stretching.answer()) is not None:
                del self._stretchings[stem_id]
                self._conductor.say({"job": stem_id, **answer})
        self._conductor.send()

    def _jobs(self) -> list[int]:
        return [*self._stretchings, *(stem for stem, _ in self._slots.values())]

    def _make(self, asked: dict[str, Any]) -> None:
        if asked["do"] == "stretch":
            assert self.shared.folder is not None
            job = int(asked["job"])
            try:
                self._stretchings[job] = Stretching(self.shared.folder, os.getpid(), asked)
            except OSError as error:
                self._conductor.say({"job": job, "event": "failed", "reason": str(error)})
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
        self._conductor.say(message)

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
    if await_sound(shared, stop, "pool") is not None:
        PoolHost(shared).run(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())

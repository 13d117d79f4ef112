"""The conductor's process: `python -m engine.conductor_process FOLDER`.

asyncio around engine/conductor.py: a tick every 5 ms, or when something was pressed, moves rings,
timeline and pads; `control.sock` takes one JSON object a line from people and scripts
({"do": "act", "name": "tap"}), `pool.sock` is the pool's. Here the parts are assembled, so here
devices may be imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from devices.launchpad.surface_driver import PadSurface
from devices.midi.controls import Controls
from devices.midi.process import CONTROLS_CHANGED
from engine.ask import AskError, ask_of
from engine.capture_link import CaptureLink
from engine.conductor import Conductor
from engine.job_socket import JobLink, Message
from engine.journal import Journal
from engine.layout import MIDI_OUT
from engine.patch import Patch
from engine.patch_now import patch_now
from engine.process import Stop, enter
from engine.reload import Reloader
from engine.shm import Shared
from engine.shm_records import SWITCH
from engine.stem_notes import StemNotes
from engine.stem_stretch import order_of

TICK_S = 0.005
PAUSE_S = 0.002  # between two ticks at least, whatever rings
SAVE_S = 0.1
LINE_MAX = 65536
UNTOLD_MOST = 1 << 16  # commands kept for an audio process that is away: the last
NO_HURRY_S = 120.0  # for a stem that is asked for again


class ConductorProcess:
    """One performance's conductor and its connections."""

    def __init__(self, shared: Shared, stop: Stop) -> None:
        self.shared, self.stop = shared, stop
        session = shared.meta.get("session")
        assert shared.folder is not None
        mark = shared.meta.get("performance")
        self.journal = Journal(shared.folder, Path(session) if session else None, mark)
        self.conductor = Conductor(
            shared.patch,
            shared.slots,
            shared.slot_frames,
            patch_now(shared),
            captures=shared.places.captures,
            capture_frames=shared.places.capture_frames,
        )
        self.captures = CaptureLink(self.conductor, shared.now)
        self.controls = Controls(self.conductor.patch)
        self.reloader = Reloader(shared, self.conductor, self._controls_changed)
        self._asked: set[asyncio.Task[Any]] = set()
        self.stem_notes = StemNotes(shared)
        self.conductor.scripted = bool(shared.meta.get("performing"))
        saved = self.journal.load()
        if saved is not None:
            self.conductor.restore(saved)
            state = shared.sections["state"].read()
            if state is not None:
                self.conductor.reconcile(state[0]["stems"], shared.now())
            self.journal.write({"event": "conductor_back", "frame": shared.now()})
        self.surfaces = PadSurface.all(shared, self.conductor)
        self._pool = JobLink("pool", self._ask_again, self._heard)
        self._saved_at = 0.0
        self._wake: asyncio.Future[None] | None = None
        self._switch = np.zeros(1, SWITCH)
        self._unsent: list[Message] = []
        self._untold: deque[np.ndarray] = deque(maxlen=UNTOLD_MOST)

    async def run(self) -> None:
        folder = self.shared.folder
        assert folder is not None
        path = folder / "control.sock"
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, path, limit=LINE_MAX)
        links = [asyncio.create_task(self._pool.keep(folder / "pool.sock"))]
        if self.shared.places.captures:
            links.append(asyncio.create_task(self.captures.keep(folder / "capture.sock")))
        bell = self.shared.meta["bells"].get("conductor")
        if bell is not None:
            asyncio.get_running_loop().add_reader(bell, self._rung, bell)
        while not self.stop:
            self.tick()
            await self._pause()
        for link in links:
            link.cancel()
        server.close()
        self.journal.save(self.conductor.to_dict())
        self.journal.close()

    async def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        await asyncio.sleep(PAUSE_S)
        tick = loop.call_later(TICK_S - PAUSE_S, self._awake)
        await self._wake
        tick.cancel()

    def _rung(self, bell: int) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_read(bell)
        self._awake()

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # ---- the tick

    def tick(self) -> None:
        shared, conductor = self.shared, self.conductor
        shared.heartbeat("conductor")
        clock = shared.clock()
        for report in shared.ring("reports").pop(512):
            conductor.report(report)
        if clock is None or not clock.callbacks:
            return
        now = shared.frame_at(time.monotonic_ns())
        conductor.begin(now, clock.rate)
        for observation in shared.ring("observations").pop(256):
            conductor.observe(observation)
        presses = shared.ring("presses").pop(64)
        for name, ask in self.controls.actions(presses, conductor, now):
            conductor.act(name, ask.now, ask=ask)
        for surface in self.surfaces:
            for name, ask in surface.actions(conductor, presses):
                conductor.act(name, ask.now, ask=ask)
        if conductor.reload_asked:
            conductor.reload_asked = False
            task = asyncio.create_task(self.reloader.ask())
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)
        self._hear_voltages()
        conductor.advance(now)
        for line in conductor.lines():
            shared.set_timeline(line)
        if conductor.commands or conductor.book.requests or conductor.book.captures_asked:
            # Written down before it is said: a successor must not ask or start twice.
            self.journal.save(conductor.to_dict())
        self.tell_audio()
        self.stem_notes.turn(conductor.book, conductor.line, now, conductor.programme.coming)
        self._send_requests()
        self.captures.send()
        self._set_switch(now)
        for event in conductor.news:
            self.journal.write(event)
        conductor.news.clear()
        for surface in self.surfaces:
            surface.show(conductor, now)
        if time.monotonic() - self._saved_at > SAVE_S:
            self._saved_at = time.monotonic()
            self.journal.save(conductor.to_dict())

    def tell_audio(self) -> None:
        """Send the conductor's commands, in order. What finds no room waits: the audio process may
        be away for as long as the sound server is."""
        self._untold += self.conductor.commands
        self.conductor.commands.clear()
        ring = self.shared.ring("commands")
        while self._untold and ring.push(self._untold[0]):
            self._untold.popleft()

    def _controls_changed(self, patch: Patch) -> None:
        self.controls.use(patch)
        record = np.zeros(1, MIDI_OUT)
        record["port"] = CONTROLS_CHANGED
        self.shared.push("midi_out", record)

    def _set_switch(self, now: int) -> None:
        """Publish who may play, where that has changed."""
        before = self._switch.tobytes()
        self.conductor.programme.set_switch(self._switch, now)
        section = self.shared.sections["switch"]
        if self._switch.tobytes() != before or section.read() is None:
            section.write(self._switch)

    def _hear_voltages(self) -> None:
        if self.conductor.routes:
            state = self.shared.sections["state"].read()
            if state is not None:
                self.conductor.routes.hear(state[0]["mods"])
                self.conductor.routes.see(state[0]["cv"])

    # ---- the pool

    def _send_requests(self) -> None:
        book = self.conductor.book
        for entry, request in book.requests:
            if entry.stretch_of:
                order = order_of(book, entry)
                if order is None:
                    book.drop(entry, self.shared.now(), "nothing is left to stretch")
                else:
                    self._unsent.append({"do": "stretch", "job": entry.id, **order})
                continue
            role = self.conductor.patch.roles[entry.role]
            self._unsent.append(
                {
                    "do": "make",
                    "job": entry.id,
                    "slot": entry.slot,
                    "maker": role.made_by,
                    "program": entry.want.get("program", role.program),
                    "drums": request.role == "drums",
                    "config": role.maker_config,
                    "midi": bool(role.voice),
                    "seconds": self._seconds_until(request.deadline_frame),
                    "request": asdict(request),
                }
            )
        book.requests.clear()
        self._pool.send(self._unsent)

    def _seconds_until(self, deadline: int) -> float:
        """How long the pool has for a stem; a deadline of 0 is none."""
        if not deadline:
            return NO_HURRY_S
        return max(1.0, (deadline - self.shared.now()) / request_rate(self.shared))

    def _heard(self, event: Message) -> None:
        self.conductor.book.pool_event(event, self.shared.now())

    def _ask_again(self, known: set[int]) -> None:
        """Of a pool that has just been connected: it knows these jobs, the rest is sent anew."""
        book, line = self.conductor.book, self.conductor.line
        waiting = {m["job"] for m in self._unsent}
        for entry in book.entries.values():
            lost = entry.state.value in ("requested", "generating", "late") and not entry.source
            if lost and entry.id not in known and entry.id not in waiting and line is not None:
                book.requests.append((entry, book.request_of(entry, line)))

    # ---- people and scripts

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.LimitOverrunError):
            while line := await reader.readline():
                answer = self._answer(line)
                if answer is None:
                    answer = await self.reloader.ask()
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    def _answer(self, line: bytes) -> dict[str, Any] | None:
        """None: a reload, which is waited for."""
        try:
            asked = json.loads(line)
        except (ValueError, RecursionError):
            return {"error": "not a JSON object on one line"}
        if not isinstance(asked, dict):
            return {"error": "not a JSON object on one line"}
        if asked.get("do") == "status":
            waiting = self.controls.waiting(self.conductor)
            return {**self.conductor.status(self.shared.now()), "faders_waiting": waiting}
        if asked.get("do") == "act":
            now = self.shared.now()
            try:
                ask = ask_of(asked, now)
            except AskError as error:
                return {"error": str(error)}
            said = self.conductor.act(str(asked.get("name")), now, ask=ask)
            return {"said": said}
        if asked.get("do") == "reload":
            return None
        return {"error": f"do {asked.get('do')!r}, expected status, act or reload"}


def request_rate(shared: Shared) -> float:
    clock = shared.played()
    return clock.rate if clock else float(shared.patch.audio.rate)


def main() -> int:
    shared, stop = enter(sys.argv[1], "conductor")
    asyncio.run(ConductorProcess(shared, stop).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())

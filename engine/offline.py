"""The offline context: the same forward, the same hosts, conductor and rings, stepped in turn.

Nothing here waits for a clock: musical time goes as fast as the machine allows, and stands still
while a wanted stem is still being made. One process but for the pool's workers. Not real-time safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.channel_map import plain_map
from engine.conductor import Conductor
from engine.mixer import BUS_ORDER
from engine.patch import NOT_MODELS, Patch
from engine.performance import LivePerformance
from engine.performer import Performers, first_beat
from engine.player_host import NoteHost, TextureHost, load_player
from engine.pool import EventKind, Pool
from engine.recording import Recording, new_take
from engine.shm import Shared
from engine.shm_records import STAGES, SWITCH
from engine.stem import StemState
from engine.stem_entry import StemEntry
from engine.stem_notes import StemNotes, store
from engine.stem_stretch import order_of
from engine.stretch import stretch_slot

TICK_FRAMES = 256
STEM_WAIT_S = 300.0  # a worker may take 90 s to load, and be started again


class OfflineError(Exception):
    """A render that cannot go on."""


@dataclass
class Rendered:
    """main float32 (frames, 2); sources: its parts by name, float32 (frames, 2) after their gain to
    main; events: the log; stages: nanoseconds a block for each stage (blocks, stages)."""

    main: np.ndarray
    outputs: np.ndarray
    sources: dict[str, np.ndarray]
    events: list[dict[str, Any]]
    rate: int
    block: int
    stages: np.ndarray
    limited_frames: int
    start: int = 0
    status: dict[str, Any] = field(default_factory=dict)


class Offline:
    """performing: the demo's performers play. inputs: float32 (frames, device channels). session:
    the folder to record into. inserts: what was proved of the patch's plug-ins, by source."""

    def __init__(
        self,
        patch: Patch,
        soundfont: Path | None,
        inputs: np.ndarray | None = None,
        performing: bool = False,
        session: Path | None = None,
        inserts: dict[str, Any] | None = None,
    ) -> None:
        self.patch = patch
        self.rate, self.block = patch.audio.rate, patch.audio.block
        self.shared = Shared.private(patch, None if session is None else str(session), inserts)
        self._recording: Recording | None = None
        if session is not None:
            self._recording = Recording(self.shared, new_take(session), self.rate)
        self.engine = LivePerformance(patch, self.shared, plain_map(patch), self.rate, soundfont)
        self.conductor = Conductor(patch, self.shared.slots, self.shared.slot_frames)
        self.inputs = inputs
        self.events: list[dict[str, Any]] = []
        self._soundfont = soundfont
        self._hosts: list[NoteHost | TextureHost] = []
        for name, player in patch.players.items():
            adapter = load_player(patch, name, self.rate)
            if player.to:
                self._hosts.append(TextureHost(self.shared, name, adapter))
            else:
                self._hosts.append(NoteHost(self.shared, name, adapter, self.rate))
        self._stem_notes = StemNotes(self.shared)
        self._pool: Pool | None = None
        if patch.roles and soundfont is not None:
            makers = sorted({r.made_by for r in patch.roles.values()} - NOT_MODELS)
            self._pool = Pool(
                soundfont, self.rate, workers=1, warm=makers, tuning_hz=patch.tuning_hz
            )
        self._jobs: dict[int, tuple[int, int]] = {}
        self._performers: Performers | None = None
        self._performing = performing
        self.conductor.scripted = performing
        self._switch = np.zeros(1, SWITCH)
        self._wait_since: float | None = None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        if self._recording is not None:
            self._recording.close()

    def run(self, seconds: float, progress: Callable[[float], None] | None = None) -> Rendered:
        """Render. progress gets 0..1."""
        block, total = self.block, round(seconds * self.rate)
        engine = self.engine
        blocks = -(-total // block)
        out = np.zeros((blocks * block, engine.channels.channels_out), np.float32)
        main = np.zeros((blocks * block, 2), np.float32)
        names = self.engine.mixer.names
        heard = {n: np.zeros((blocks * block, 2), np.float32) for n in names}
        stages = np.zeros((blocks, len(STAGES)), np.uint32)
        bus = BUS_ORDER.index("main")
        gains = engine.state["gains"][0]

        def keep(t: int, n: int) -> None:
            main[t : t + n] = engine.mixer.buses[bus, :, :n].T
            for i, name in enumerate(names):
                gain = np.float32(gains[i, bus]["g1"])
                source = engine.mixer.sources[i, :, :n]
                mono = i in engine.mixer.mono
                heard[name][t : t + n] = gain * (source[:1] if mono else source).T

        engine.rendered = keep
        for b in range(blocks):
            t = b * block
            if t % TICK_FRAMES < block:
                self._tick(t)
            engine.hear(self._input(t), block)
            frame = engine.forward(t)
            out[t : t + block] = frame.out
            stages[b] = np.minimum(engine.stage_ns, 2**32 - 1)
            if progress is not None and b % 256 == 0:
                progress(b / blocks)
        limited = int(engine.state["limiters"]["active"][0, bus])
        start = self._performers.start if self._performers else 0
        return Rendered(
            main[:total],
            out[:total],
            {n: x[:total] for n, x in heard.items()},
            self.events,
            self.rate,
            block,
            stages,
            limited,
            start,
            self.conductor.status(total),
        )

    def _input(self, t: int) -> np.ndarray | None:
        count = self.engine.channels.channels_in
        if self.inputs is None or not count:
            return None
        piece = self.inputs[t : t + self.block, :count]
        if piece.shape == (self.block, count):
            return np.ascontiguousarray(piece)
        padded = np.zeros((self.block, count), np.float32)
        padded[: len(piece), : piece.shape[1]] = piece
        return padded

    # ---- everybody else, in turn

    def _tick(self, now: int) -> None:
        shared, conductor = self.shared, self.conductor
        for report in shared.ring("reports").pop(512):
            conductor.report(report)
        conductor.begin(now, self.rate)
        self._perform(now)
        conductor.routes.hear(self.engine.state[0]["mods"])
        conductor.routes.see(self.engine.state[0]["cv"])
        conductor.advance(now)
        for line in conductor.lines():
            shared.set_timeline(line)
        for command in conductor.commands:
            shared.ring("commands").push(command)
        conductor.commands.clear()
        self._stem_notes.turn(conductor.book, conductor.line, now, conductor.programme.coming)
        conductor.programme.set_switch(self._switch, now)
        shared.sections["switch"].write(self._switch)
        for host in self._hosts:
            if isinstance(host, NoteHost):
                host.turn(now)
            else:
                host.turn()
        self._make_stems(now)
        for ring in ("tap.listener", "tap.howl", "tap.capture"):
            if shared.has_ring(ring):
                shared.ring(ring).clear()
        if self._recording is not None:
            self._recording.turn()
        self.events.extend(conductor.news)
        conductor.news.clear()

    def _perform(self, now: int) -> None:
        if not self._performing or self.conductor.line is None or self._soundfont is None:
            return
        if self._performers is None:
            start = first_beat(self.conductor.line, now)
            self._performers = Performers(self.shared, self._soundfont, self.rate, start)
        conductor = self.conductor
        self._performers.advance(now, lambda name, role: _discard(conductor.act(name, now, role)))
        self._route_notes()

    def _route_notes(self) -> None:
        """What the midi process does live: thru to the voice, a copy to who listens."""
        ring = self.shared.ring("performer_notes")
        while len(notes := ring.pop(256)):
            epoch = notes.copy()
            epoch["epoch"] = self.shared.ring("midi_notes").epoch
            self.shared.ring("midi_notes").push(epoch)
            for name, player in self.patch.players.items():
                if not player.to and player.listens in self.patch.midi:
                    self.shared.ring(f"notes.{name}").push(notes)

    def _make_stems(self, now: int) -> None:
        pool, book = self._pool, self.conductor.book
        if pool is None:
            return
        for entry, request in book.requests:
            if entry.stretch_of:
                self._stretch(entry, now)
                continue
            role = self.patch.roles[entry.role]
            drums = request.role == "drums"
            program = entry.want.get("program", role.program)
            job = pool.submit(role.made_by, request, program, drums, dict(role.maker_config))
            self._jobs[job] = (entry.id, entry.slot)
        book.requests.clear()
        self._wait_since = time.monotonic()
        while True:
            for event in pool.poll(time.monotonic_ns()):
                self._pool_event(event, now)
            if not self._must_wait():
                return
            if time.monotonic() - self._wait_since > STEM_WAIT_S:
                raise OfflineError(f"no stem within {STEM_WAIT_S:g} s: {pool.status()}")
            time.sleep(0.01)

    def _stretch(self, entry: StemEntry, now: int) -> None:
        book = self.conductor.book
        order = order_of(book, entry)
        if order is None:
            book.drop(entry, now, "nothing is left to stretch")
        else:
            book.pool_event({"job": entry.id, **stretch_slot(self.shared, order)}, now)

    def _must_wait(self) -> bool:
        """A role that is wanted has nothing to play and something on its way."""
        book = self.conductor.book
        for role in self.conductor.wanted:
            there = book.of(
                role, StemState.READY, StemState.QUEUED, StemState.PLAYING, StemState.DONE
            )
            coming = book.of(role, StemState.REQUESTED, StemState.GENERATING, StemState.LATE)
            if not there and coming:
                return True
        return False

    def _pool_event(self, event: Any, now: int) -> None:
        if event.job not in self._jobs:
            return
        stem_id, slot = self._jobs[event.job]
        entry = self.conductor.book.entries.get(stem_id)
        message: dict[str, Any] = {"job": stem_id, "event": event.kind.value}
        if event.kind is EventKind.READY:
            audio = event.stem.audio
            base, frames = slot * self.shared.slot_frames * 2, audio.shape[1]
            message["midi"] = entry is not None and bool(self.patch.roles[entry.role].voice)
            if message["midi"]:
                store(self.shared, slot, frames, event.stem.notes)
            else:
                self.shared.arena[base : base + frames] = audio[0]
                self.shared.arena[base + frames : base + 2 * frames] = audio[1]
            message["frames"], message["loop"] = frames, event.stem.frames_exact
            message["provenance"] = event.stem.provenance
        elif event.kind is EventKind.FAILED:
            message["reason"] = event.reason
        if event.kind in (EventKind.READY, EventKind.FAILED):
            del self._jobs[event.job]
        self.conductor.book.pool_event(message, now)


def _discard(_: str) -> None:
    """Acts answer people; the performers do not listen."""

"""One real-time model's process: `python -m engine.player_host FOLDER PLAYER`.

The adapter is found by name and loaded here, so its libraries are in this process only. A note
player hears its `notes.` ring and answers into `answers.`; a texture player hears its tap, block by
block, and fills its `texture.` ring `latency` frames ahead. Not real-time priority: late frames are
counted by whoever misses them.
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.adapter import AdapterError, NotePlayer, TexturePlayer
from engine.bleed import Canceller
from engine.layout import BLOCK_FRAMES, NOTE, NoteKind, audio_dtype
from engine.patch import Patch
from engine.process import Stop, await_sound, enter, one_thread
from engine.roster import MODEL_LOAD_S
from engine.shm import Shared
from engine.tap_read import unheard

WAIT_S = 0.004
HORIZON_S = 0.02  # answers due within this are handed over
log = logging.getLogger("segue.player")


def load_adapter(model: str) -> Any:
    """A new adapter object of models/<model>. Raises AdapterError for an unknown name."""
    try:
        path = importlib.import_module(f"models.{model}").ADAPTER
    except ModuleNotFoundError as error:
        raise AdapterError(f"model {model!r}: no folder models/{model} ({error})") from error
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)()


def load_player(patch: Patch, name: str, rate: int) -> Any:
    """The adapter of a player of the patch, loaded. Raises AdapterError."""
    player = patch.players[name]
    adapter = load_adapter(player.model)
    checkpoint = Path(player.checkpoint) if player.checkpoint else None
    adapter.load(checkpoint, rate, dict(player.config))
    return adapter


class NoteHost:
    """Moves notes; `turn` is called every few milliseconds."""

    def __init__(self, shared: Shared, name: str, player: NotePlayer, rate: float) -> None:
        self.shared, self.player, self.rate = shared, player, rate
        patch = shared.patch
        self.index = list(patch.players).index(name)
        voice = patch.players[name].voice
        self.voice = list(patch.voices).index(voice) if voice else 0
        self._in = shared.ring(f"notes.{name}")
        self._out = [f"answers.{name}"]
        if patch.players[name].midi_out:
            self._out.append(f"answers_midi.{name}")
        for ring in self._out:
            shared.ring(ring).new_epoch()
        self._playing = False

    def turn(self, now: int) -> None:
        notes = self._in.pop(256)
        if len(notes):
            self.player.feed(notes)
        switch = self.shared.sections["switch"].read()
        allowed = switch is not None and bool(switch[0]["generate"][self.index])
        if switch is not None:
            self.player.steer(switch[0]["controls"][self.index])
        if allowed:
            self._send(self.player.step(now, round(HORIZON_S * self.rate)))
        elif self._playing:
            self._send(self.player.release(now))
        self._playing = allowed

    def leave(self, now: int) -> None:
        self._send(self.player.release(now))

    def _send(self, notes: np.ndarray) -> None:
        if not len(notes):
            return
        notes = notes.astype(NOTE, copy=True)
        notes["voice"] = self.voice
        for ring in self._out:
            notes["epoch"] = self.shared.ring(ring).epoch
            if self.shared.push(ring, notes) < len(notes):
                # A note-off may be lost: let the consumer release everything.
                everything = np.zeros(1, NOTE)
                everything["kind"], everything["voice"] = NoteKind.ALL_OFF, self.voice
                everything["epoch"] = self.shared.ring(ring).new_epoch()
                self.shared.push(ring, everything)


class TextureHost:
    """Collects blocks from the tap and sends what comes back, `latency` frames later."""

    def __init__(self, shared: Shared, name: str, player: TexturePlayer) -> None:
        self.shared, self.player = shared, player
        self.index = list(shared.patch.players).index(name)
        self._in = shared.ring(f"tap.{name}")
        self._out = shared.ring(f"texture.{name}")
        self._out.new_epoch()
        self._in.clear()
        self._block = np.zeros((2, player.block), np.float32)  # the input; what we play, in it
        self._bleed = Canceller(player.block)
        self._filled = 0
        self._frame = 0
        self._allowed = self._held = False

    def turn(self) -> None:
        for record in self._in.pop(64):
            expected, heard = self._frame + self._filled, record["data"][:, : int(record["count"])]
            frame, heard = unheard(expected, int(record["frame"]), heard)
            if not heard.shape[1]:
                continue
            if frame != expected:
                self._frame, self._filled = frame, 0  # a gap: start a new block
            self._take(heard)

    def _take(self, audio: np.ndarray) -> None:
        while audio.shape[1]:
            room = self.player.block - self._filled
            part = audio[:, :room]
            self._block[:, self._filled : self._filled + part.shape[1]] = part
            self._filled += part.shape[1]
            audio = audio[:, room:]
            if self._filled == self.player.block:
                self._work()

    def _work(self) -> None:
        heard = self._bleed(*self._block).astype(np.float32)
        switch = self.shared.sections["switch"].read()
        # The model's own delay is inside what it returned already.
        ahead = self.player.latency - self.player.model_delay
        allowed = switch is not None and bool(switch[0]["generate"][self.index])
        # What could only be late is left out, so that a stall is caught up with at once.
        allowed = allowed and self.shared.now() < self._frame + ahead + self.player.block
        if allowed:
            assert switch is not None
            controls = switch[0]["controls"][self.index].astype(np.float32)
            held = bool(switch[0]["hold"][self.index])
            if held != self._held:
                self._held = self.player.freeze = held
            texture = self.player.process(heard, controls)
            self.send(texture, self._frame + ahead)
        elif self._allowed:
            self.player.reset()
            self._held = False
        self._allowed = allowed
        self._frame += self.player.block
        self._filled = 0

    def send(self, texture: np.ndarray, frame: int) -> None:
        """texture float32 (2, n), meant for `frame`."""
        records = np.zeros(-(-texture.shape[1] // BLOCK_FRAMES), audio_dtype(2))
        for i, record in enumerate(records):
            part = texture[:, i * BLOCK_FRAMES : (i + 1) * BLOCK_FRAMES]
            record["frame"], record["count"] = frame + i * BLOCK_FRAMES, part.shape[1]
            record["epoch"] = self._out.epoch
            record["data"][:, : part.shape[1]] = part
        self._out.push(records)


def _serve(shared: Shared, stop: Stop, name: str) -> int:
    process = f"player.{name}"
    clock = await_sound(shared, stop, process, MODEL_LOAD_S)
    if clock is None:
        return 0
    started = time.monotonic()
    adapter = load_player(shared.patch, name, int(clock.rate))
    log.info("%s: %s loaded in %.1f s", name, shared.patch.players[name].model,
             time.monotonic() - started)  # fmt: skip
    if shared.patch.players[name].to:
        texture = TextureHost(shared, name, adapter)
        while not stop:
            shared.heartbeat(process)
            texture.turn()
            shared.wait(process, WAIT_S)
        return 0
    notes = NoteHost(shared, name, adapter, clock.rate)
    while not stop:
        shared.heartbeat(process)
        notes.turn(shared.now())
        shared.wait(process, WAIT_S)
    notes.leave(shared.now())
    return 0


def main() -> int:
    one_thread()
    name = sys.argv[2]
    shared, stop = enter(sys.argv[1], f"player {name}", nice=2)
    try:
        return _serve(shared, stop, name)
    except AdapterError as error:
        log.error("%s", error)
        return 4


if __name__ == "__main__":
    sys.exit(main())

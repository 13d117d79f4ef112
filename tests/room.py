"""Microphones that hear the loudspeakers: main comes back through a simulated room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from engine_stage import RATE, Stage

from engine.conductor import Conductor
from engine.layout import BLOCK_FRAMES, ObservationKind
from engine.listener_host import Guard
from engine.patch import Patch

TICK = 256
ECHO = 2048  # frames by which the stand-in for a texture's model is late


def response(delay_ms: float, level_db: float, seed: int = 1, decay_s: float = 0.15) -> np.ndarray:
    """A room: the direct sound, then noise that decays; `level_db`: of its energy."""
    direct = round(delay_ms / 1000 * RATE)
    tail = round(decay_s * RATE / 2)
    h = np.zeros(direct + tail)
    noise = np.random.default_rng(seed).standard_normal(tail)
    h[direct:] = 0.5 * noise * 10 ** (-3 * np.arange(tail) / (decay_s * RATE))
    h[direct] = 6.0
    return h / np.sqrt((h**2).sum()) * 10 ** (level_db / 20)


class Room:
    """A stage, its conductor and its guard in a closed loop with the loudspeakers. The texture
    `sea` gives back what its microphone heard, ECHO frames later, as the worst of models would."""

    def __init__(self, patch: Patch, h: np.ndarray, guarded: bool = True) -> None:
        self.stage = Stage(patch)
        shared = self.stage.shared
        self.conductor = Conductor(patch, shared.slots, shared.slot_frames)
        self.guard = Guard(shared, RATE) if guarded else None
        self.h = h
        self._main = np.zeros(len(h) + BLOCK_FRAMES)
        self._inputs = max(1, self.stage.engine.channels.channels_in)
        self.news: list[dict] = []

    def play(self, mic: np.ndarray, each: Callable[[int], None] | None = None) -> np.ndarray:
        """mic (frames,): what is played into every microphone; returns main (frames, 2)."""
        out = []
        for a in range(0, len(mic) // BLOCK_FRAMES * BLOCK_FRAMES, BLOCK_FRAMES):
            heard = np.convolve(self._main[-len(self.h) - BLOCK_FRAMES + 1 :], self.h, "valid")
            x = mic[a : a + BLOCK_FRAMES] + heard[-BLOCK_FRAMES:]
            block = self.stage.play(np.tile(x[:, None], (1, self._inputs)), each)
            self._main = np.concatenate([self._main[BLOCK_FRAMES:], block[:, :2].mean(axis=1)])
            out.append(block[:, :2])
            self._echo()
            if self.stage.t % TICK == 0:
                self._tick()
        return np.concatenate(out)

    def _echo(self) -> None:
        shared = self.stage.shared
        if not shared.has_ring("tap.sea"):
            return
        for record in shared.ring("tap.sea").pop(64):
            sound = np.repeat(record["data"][:1, : record["count"]], 2, axis=0)
            self.stage.texture("sea", int(record["frame"]) + ECHO, sound)

    def _tick(self) -> None:
        shared, conductor, now = self.stage.shared, self.conductor, self.stage.t
        conductor.begin(now, RATE)
        if self.guard is not None:
            self.guard.turn()
            for observation in shared.ring("observations").pop(64):
                assert observation["kind"] == ObservationKind.HOWL
                conductor.observe(observation)
        conductor.advance(now)
        for command in conductor.commands:
            shared.ring("commands").push(command)
        conductor.commands.clear()
        self.news += conductor.news
        conductor.news.clear()

    def howls(self) -> list[dict]:
        return [n for n in self.news if n["event"] == "howl"]

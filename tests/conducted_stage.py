"""A LivePerformance and its conductor on one clock, stepped by hand; stems are there at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from engine_stage import Stage

from engine.ask import Ask
from engine.conductor import Conductor
from engine.layout import ReportKind
from engine.patch import Patch

TICK = 256  # frames between two of the conductor's turns

Maker = Callable[[str, int], np.ndarray]  # role, frames -> float32 (2, frames)


def silence(_: str, frames: int) -> np.ndarray:
    return np.zeros((2, frames), np.float32)


class Conducted(Stage):
    """make: the audio of the stems."""

    def __init__(
        self, patch: Patch, make: Maker = silence, start: int = 64_000, block: int = 128
    ) -> None:
        super().__init__(patch, start=start, block=block)
        self.conductor = Conductor(patch, self.shared.slots, self.shared.slot_frames)
        self._make = make
        self._turned = start - TICK

    def go(self, audio: np.ndarray | int) -> np.ndarray:
        """As play (0 frames: not at all), and the conductor takes its turns."""
        if isinstance(audio, int) and not audio:
            return np.zeros((0, self.engine.channels.channels_out), np.float32)
        return self.play(audio, self._turn_at)

    def act(self, name: str, what: str | int | None = None) -> str:
        return self.conductor.act(name, self.t, ask=Ask(self.t, what=what))

    def resumed(self) -> None:
        """The audio process that took over says so."""
        self.engine.control.report(ReportKind.RESUMED, self.t, a=1)

    def _turn_at(self, t: int) -> None:
        if t - self._turned < TICK:
            return
        self._turned = t
        c = self.conductor
        for report in self.shared.ring("reports").pop(8192):
            c.report(report)
        c.begin(t, self.rate)
        c.advance(t)
        for entry, request in c.book.requests:
            loop = request.beats * 60.0 / request.bpm * self.rate
            frames, base = round(loop), self.shared.places.base(entry.slot)
            area = self.shared.arena[base : base + 2 * frames]
            area[:] = self._make(entry.role, frames).reshape(-1)
            c.book.pool_event(
                {"job": entry.id, "event": "ready", "frames": frames, "loop": loop}, t
            )
        c.book.requests.clear()
        for command in c.commands:
            self.shared.ring("commands").push(command)
        c.commands.clear()

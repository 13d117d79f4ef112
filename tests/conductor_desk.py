"""A conductor at a desk: its clock by hand, the audio process and the pool say what a test lets
them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.conductor import Conductor
from engine.layout import REPORT, CommandKind, ReportKind
from engine.patch import Clock, Output, Patch, Role
from engine.stem import StemState

RATE = 48000
STEP = 240  # a tick of 5 ms
START = 100_000
PATCH = Patch(
    roles={
        "drums": Role(enter="phrase", bars=2),
        "bass": Role(enter="bar", bars=1),
        "fx": Role(enter="beat", bars=1),
    },
    outputs={"main": Output((1, 2))},
    clock=Clock(bpm=120.0, bars_per_phrase=2),
)
SLOT_FRAMES = 400_000


class Desk:
    """A conductor with a clock by hand; audio process and pool say what the test lets them."""

    def __init__(
        self,
        armed: bool = False,
        patch: Patch = PATCH,
        slots: int = 40,
        slot_frames: int = SLOT_FRAMES,
    ) -> None:
        self.patch = patch if patch.armed == armed else replace(patch, armed=armed)
        self.conductor = Conductor(self.patch, slots, slot_frames)
        self.now = START
        self.sent: list[np.void] = []
        self.conductor.begin(self.now, RATE)
        self.run(0.05)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * RATE / STEP)):
            self.now += STEP
            self.conductor.advance(self.now)
            self.sent += [c[0] for c in self.conductor.commands]
            self.conductor.commands.clear()

    def act(self, name: str, role: str | None = None, stem: int | None = None) -> str:
        return self.conductor.act(name, self.now, role, stem)

    def ready(self) -> None:
        """The pool has made everything it was asked for."""
        for entry, request in self.conductor.book.requests:
            loop = request.beats * 60.0 / request.bpm * RATE
            event = {"job": entry.id, "event": "ready", "frames": round(loop), "loop": loop}
            self.conductor.book.pool_event(event, self.now)
        self.conductor.book.requests.clear()

    def say(self, kind: ReportKind, **fields: int) -> None:
        report = np.zeros(1, REPORT)
        report["kind"] = kind
        for name, value in fields.items():
            report[name] = value
        self.conductor.report(report[0])

    def plays(self) -> list[np.void]:
        return [c for c in self.sent if c["kind"] == CommandKind.STEM_PLAY]

    def started(self, play: np.void) -> None:
        fields = {"id": int(play["id"]), "slot": int(play["slot"]), "frame": int(play["frame"])}
        self.say(ReportKind.STEM_STARTED, **fields)

    def let_in(self) -> None:
        self.act("this_is_one")
        self.act("let_in")

    def entering(self, role: str) -> np.void:
        """A stem of a role enters: what the audio process is told of the first that does."""
        self.act("enter", role)
        while not self.plays():
            self.run(0.1)
        return self.plays()[0]

    def entry(self, role: str, state: StemState) -> int:
        return self.conductor.book.of(role, state)[0].id


def opened() -> Desk:
    """A desk where everything is let in and the stems are ready."""
    desk = Desk()
    desk.let_in()
    desk.ready()
    return desk


def playing(desk: Desk, role: str) -> int:
    """Bring one stem of a role to sound; its id."""
    desk.act("enter", role)
    before = len(desk.plays())
    while len(desk.plays()) == before:
        desk.run(0.1)
    play = desk.plays()[-1]
    desk.now = max(desk.now, int(play["frame"]))
    desk.started(play)
    return int(play["id"])

"""A conductor at a desk with three songs (conductor_desk.py)."""

from __future__ import annotations

import json

import numpy as np
from conductor_desk import RATE, Desk

from engine.ask import Ask
from engine.conductor import Conductor
from engine.layout import CommandKind, ReportKind
from engine.mixer import BUS_ORDER
from engine.patch import (
    Clock,
    Input,
    Output,
    Patch,
    Player,
    Role,
    Voice,
)
from engine.shm_records import SWITCH
from engine.song import Ending, Scene, ScenePart, Song
from engine.sources import source_names
from engine.stem import StemState
from engine.timeline import Boundary

SLOTS, SLOT_FRAMES = 60, 800_000
TWO = Patch(
    name="night",
    armed=True,
    inputs={"horn": Input(channel=1, to={"main": 0.0})},
    voices={"answer": Voice(to={"main": -6.0})},
    players={
        "mist": Player(model="rave", listens="horn", to={"main": -6.0}),
        "reply": Player(model="notochord", listens="keys", voice="answer"),
    },
    roles={
        "drums": Role(bars=1, to={"main": 0.0}),
        "bass": Role(bars=1, to={"main": 0.0}),
        "fill": Role(bars=1, to={"main": 0.0}),
    },
    outputs={"main": Output((1, 2)), "click": Output((3,))},
    clock=Clock(bpm=120.0, bars_per_phrase=2),
    songs={
        "one": Song(
            scenes={
                "thin": Scene(stems={"bass": ScenePart(play=False), "fill": ScenePart(play=False)}),
                "full": Scene(
                    stems={"bass": ScenePart(), "drums": ScenePart(density=0.9)},
                    players={"mist": False},
                    mix={"stems.drums": {"main": -9.0, "reverb": -20.0}},
                    glide=4.0,
                ),
            },
            ending=Ending(kind="fill", role="fill"),
        ),
        "two": Song(
            bpm=90.0,
            beats_per_bar=3,
            key=5,
            count_in=1,
            scenes={"all": Scene(stems={"fill": ScenePart(play=False)})},
            ending=Ending(kind="fade", bars=2),
        ),
        "three": Song(bpm=150.0),
    },
)
MAIN, REVERB = BUS_ORDER.index("main"), BUS_ORDER.index("reverb")


class Night(Desk):
    """A desk with songs; the pool is quick and the audio process does what it is told."""

    def __init__(self, patch: Patch = TWO) -> None:
        super().__init__(patch.armed, patch, SLOTS, SLOT_FRAMES)

    def run(self, seconds: float) -> None:
        end = self.now + round(seconds * RATE)
        while self.now < end:
            before = len(self.sent)
            super().run(0.005)
            self.ready()
            self._answer(self.sent[before:])

    def _answer(self, commands: list[np.void]) -> None:
        for entry in list(self.conductor.book.entries.values()):
            starts = entry.state is StemState.QUEUED and entry.sent
            if starts and entry.start_frame <= self.now:
                fields = {"id": entry.id, "slot": entry.voice, "frame": entry.start_frame}
                self.say(ReportKind.STEM_STARTED, **fields)
            stops = entry.state is StemState.RETIRING and entry.sent
            if stops and entry.stop_frame + 960 <= self.now:
                fields = {"id": entry.id, "slot": entry.voice, "frame": entry.stop_frame}
                self.say(ReportKind.STEM_ENDED, **fields)

    def choose(self, kind: str, what: str | int) -> str:
        """A song or scene by its name or number."""
        return self.conductor.act(kind, self.now, ask=Ask(self.now, what=what))

    def of(self, kind: CommandKind) -> list[np.void]:
        return [c for c in self.sent if c["kind"] == kind]

    def playing(self) -> set[str]:
        book = self.conductor.book
        return {r for r in self.patch.roles if book.playing(r) is not None}

    def gain(self, source: str, bus: int = MAIN) -> float | None:
        index = source_names(self.patch).index(source)
        told = [c for c in self.of(CommandKind.GAIN) if c["slot"] == index and c["c"] == bus]
        return float(told[-1]["x"]) if told else None

    def generates(self) -> list[int]:
        switch = np.zeros(1, SWITCH)
        self.conductor.programme.set_switch(switch, self.now)
        return switch[0]["generate"][: len(self.patch.players)].tolist()

    def boundary(self, grid: Boundary) -> int:
        line = self.conductor.line
        assert line is not None
        return line.next_boundary(self.now, grid)

    def status(self) -> dict[str, object]:
        return self.conductor.status(self.now)

    def again(self) -> None:
        """The conductor dies, and its successor reads the journal."""
        saved = json.loads(json.dumps(self.conductor.to_dict()))
        self.conductor = Conductor(self.patch, SLOTS, SLOT_FRAMES)
        self.conductor.restore(saved)

"""A conductor at its desk with hands at a surface: what is pressed reaches it as in its process,
and what it would paint is looked at after every press."""

from __future__ import annotations

import math

from conductor_desk import RATE, Desk

from devices.launchpad.hand import Hand
from devices.launchpad.layout import Action, PageState
from devices.launchpad.mk3 import CELLS
from devices.launchpad.pages import paint
from devices.launchpad.view import page_state
from engine.arena import stem_slot_frames
from engine.ask import Ask
from engine.capture import captured
from engine.layout import COMMAND, CommandKind, ReportKind
from engine.patch import Patch
from engine.surface import Cells, Press, PressKind

MS = 1_000_000  # nanoseconds


class Pads:
    """surfaces: as many hands as asked for, each with its own page. said: what was answered."""

    def __init__(self, patch: Patch, surfaces: int = 1) -> None:
        frames = stem_slot_frames(patch)
        self.desk = Desk(patch=patch, slot_frames=frames)
        kept = patch.capture.kept if captured(patch) else 0
        self.conductor = self.desk.conductor
        book = self.conductor.book
        book.captures, book.capture_frames = kept, frames
        self.hands = [Hand() for _ in range(surfaces)]
        self.name = next(iter(patch.surfaces), "pads")
        self.ns = 0
        self.said: list[tuple[str, str]] = []
        self.shown: list[PageState] = [self._look(i) for i in range(surfaces)]

    def _look(self, which: int) -> PageState:
        now = self.desk.now
        return page_state(self.conductor, now, self.hands[which], self.ns, self.name)

    def look(self, which: int = 0) -> Cells:
        """Paint: what a press means from now on."""
        self.shown[which] = self._look(which)
        line = self.conductor.line
        cells = paint(self.shown[which], line.beat_at(self.desk.now) if line else math.nan)
        assert set(cells) == set(CELLS)
        assert all(0 <= c <= 127 for rgb in cells.values() for c in rgb)
        return cells

    def press(
        self, index: int, kind: PressKind = PressKind.DOWN, value: int = 100, which: int = 0
    ) -> Action | None:
        """One press, and what the conductor does with it."""
        press = Press(kind, index, value)
        found = self.hands[which].press(press, self.shown[which], self.ns)
        if found is not None and not found.safe and found.kind.value != "repaint":
            ask = Ask(self.desk.now, found.role, found.stem, **found.words)
            said = self.conductor.act(found.kind.value, self.desk.now, ask=ask)
            assert not said.startswith("action "), f"{found.kind} is no action: {said}"
            self.said.append((found.kind.value, said))
        return found

    def tap(self, index: int, which: int = 0) -> Action | None:
        """Down and up again, a tenth of a second later, and a look."""
        found = self.press(index, which=which)
        self.wait(0.1)
        self.press(index, PressKind.UP, 0, which=which)
        self.look(which)
        return found

    def wait(self, seconds: float) -> None:
        """Time passes; the audio process does what it is told."""
        self.ns += round(seconds * 1000) * MS
        sent = len(self.desk.sent)
        self.desk.run(seconds)
        for command in self.desk.sent[sent:]:
            assert command.dtype == COMMAND
            if command["kind"] == CommandKind.STEM_PLAY:
                self.desk.started(command)

    def end(self, stem: int) -> None:
        """The audio process says that a stem is over."""
        entry = self.conductor.book.entries[stem]
        fields = {"id": stem, "slot": max(entry.voice, 0), "frame": self.desk.now}
        self.desk.say(ReportKind.STEM_ENDED, **fields)


def seconds_to_phrase(pads: Pads) -> float:
    """Until the next phrase, and a bit."""
    line = pads.conductor.line
    assert line is not None
    beats = line.beats_per_bar * line.bars_per_phrase
    return beats * line.frames_per_beat / RATE + 0.1

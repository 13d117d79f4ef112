"""A Launchpad at the conductor: presses become actions, the state of the performance becomes light.

Ports belong to the midi process; here are only the rings to and from it. Not thread-safe; called by
the conductor's tick.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from devices.launchpad import open_driver
from devices.launchpad.hand import Hand
from devices.launchpad.layout import Action, ActionKind, Local, PageState
from devices.launchpad.mk3 import FRAME_NS, Driver
from devices.launchpad.pages import paint
from devices.launchpad.view import page_state
from devices.midi.ports import PortKind, port_table
from engine.ask import Ask
from engine.conductor import Conductor
from engine.layout import MIDI_BYTES_MAX, MIDI_OUT
from engine.patch import CAPTURE_MAKER
from engine.shm import Shared
from engine.surface import PressKind

Act = tuple[str, Ask]


class PadSurface:
    """One of the patch's surfaces, with a page and holds of its own. port: index in the midi
    process's port table."""

    def __init__(self, shared: Shared, port: int, name: str, driver: Driver) -> None:
        self._shared = shared
        self._port = port
        self._name = name
        self._driver = driver
        self.hand = Hand()
        self._due_ns = 0
        self._kept: Local | None = None  # what the journal knows of `hand`
        self._state: PageState | None = None

    @classmethod
    def all(cls, shared: Shared, conductor: Conductor) -> list[PadSurface]:
        """Those of the patch, on the pages where a predecessor left them."""
        surfaces = shared.patch.surfaces
        made = [
            cls(shared, index, spec.name, open_driver(surfaces[spec.name].driver))
            for index, spec in enumerate(port_table(shared.patch))
            if spec.kind is PortKind.SURFACE
        ]
        for surface in made:
            if surface._name in conductor.surfaces:
                surface.hand.local = Local(**conductor.surfaces[surface._name])
        return made

    def actions(self, conductor: Conductor, presses: Iterable[np.void]) -> list[Act]:
        """What was pressed, as arguments of Conductor.act. presses: layout.PRESS of any port."""
        acts: list[Act] = []
        for record in presses:
            if int(record["port"]) != self._port:
                continue
            press = self._driver.read(_message(record))
            if press is None:
                continue
            if press.kind in (PressKind.LOST, PressKind.CONNECTED):
                self._driver.forget()
            if press.kind is not PressKind.PRESSURE:
                self._due_ns = 0  # a press answers at once
            # A new conductor has painted nothing yet: what was pressed meanwhile meant this page.
            now_ns = int(record["mono_ns"])
            shown = self._state or self._look(conductor, self._shared.now(), now_ns)
            found = self.hand.press(press, shown, now_ns)
            if found is not None and found.kind is ActionKind.REPAINT:
                self._driver.forget()
            elif found is not None and not found.safe:  # DRY, panic: done in the audio process
                acts.append((found.kind.value, self._ask(found, int(record["frame"]))))
        return acts

    def _ask(self, found: Action, frame: int) -> Ask:
        role = found.role
        if found.kind is ActionKind.CAPTURE and role is not None:
            captures = self._shared.patch.roles[role].maker == CAPTURE_MAKER
            role = role if captures else None
        return Ask(frame, role, found.stem, **found.words)

    def show(self, conductor: Conductor, now: int) -> None:
        """Paint what changed, forty times a second, and at once after a press."""
        now_ns = time.monotonic_ns()
        if now_ns < self._due_ns:
            return
        # Who ticks a little late each time still has forty.
        late = now_ns - self._due_ns >= FRAME_NS
        self._due_ns = (now_ns if late else self._due_ns) + FRAME_NS
        self._state = self._look(conductor, now, now_ns)
        if self._kept is not self.hand.local:
            self._kept = self.hand.local
            conductor.surfaces[self._name] = asdict(self._kept)
        beat = conductor.line.beat_at(now) if conductor.line else math.nan
        for message in self._driver.render(paint(self._state, beat), now_ns):
            if len(message) <= MIDI_BYTES_MAX:
                record: Any = np.zeros(1, MIDI_OUT)
                record["port"], record["size"] = self._port, len(message)
                record["data"][0, : len(message)] = np.frombuffer(message, np.uint8)
                self._shared.push("midi_out", record)

    def _look(self, conductor: Conductor, now: int, now_ns: int) -> PageState:
        return page_state(conductor, now, self.hand, now_ns, self._name)


def _message(record: np.void) -> bytes:
    """The short message in a PRESS, without its padding."""
    data = bytes(record["data"])
    return data[: 2 if data[0] & 0xF0 in (0xC0, 0xD0) else 3]

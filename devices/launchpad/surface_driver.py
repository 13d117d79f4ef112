"""A Launchpad at the conductor: presses become actions, the state of the performance becomes light.

Ports belong to the midi process; here are only the rings to and from it. Not thread-safe; called by
the conductor's tick.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from devices.launchpad import open_driver
from devices.launchpad.layout import Action, ActionKind, PadStem, PageState, action, paint
from devices.launchpad.mk3 import Driver
from devices.midi.ports import PortKind, port_table
from engine.conductor import Conductor
from engine.layout import MIDI_BYTES_MAX, MIDI_OUT
from engine.patch import CAPTURE_MAKER
from engine.shm import Shared
from engine.stem import VARIATIONS, StemState
from engine.surface import PressKind

FRAME_NS = 30_000_000
HIDDEN = (StemState.REJECTED, StemState.FAILED)

Act = tuple[str, int, str | None, int | None]


class PadSurface:
    """port: index in the midi process's port table."""

    def __init__(self, shared: Shared, port: int, driver: Driver) -> None:
        self._shared = shared
        self._port = port
        self._driver = driver
        self._selected = 0
        self._pressed: set[int] = set()
        self._painted_ns = 0
        self._state = PageState()

    @classmethod
    def of(cls, shared: Shared) -> PadSurface | None:
        """The patch's first surface, or None."""
        for index, spec in enumerate(port_table(shared.patch)):
            if spec.kind is PortKind.SURFACE:
                name = shared.patch.surfaces[spec.name].driver
                return cls(shared, index, open_driver(name))
        return None

    def actions(self, conductor: Conductor, presses: Iterable[np.void]) -> list[Act]:
        """What was pressed, as arguments of Conductor.act. presses: layout.PRESS of any port."""
        acts: list[Act] = []
        if not self._state.roles:  # a new conductor: what was pressed meanwhile meant this page
            self._state = self._page(conductor, self._shared.now())
        for record in presses:
            if int(record["port"]) != self._port:
                continue
            press = self._driver.read(_message(record))
            if press is None:
                continue
            if press.kind is PressKind.DOWN:
                self._pressed.add(press.index)
            elif press.kind is PressKind.UP:
                self._pressed.discard(press.index)
            elif press.kind in (PressKind.LOST, PressKind.CONNECTED):
                self._pressed.clear()
                self._driver.forget()
            self._painted_ns = 0  # a press answers at once
            found = action(press, self._state)
            if found is not None:
                acts.extend(self._act(found, int(record["frame"])))
        return acts

    def _act(self, found: Action, frame: int) -> list[Act]:
        if found.kind is ActionKind.REPAINT:
            self._driver.forget()
        elif found.kind is ActionKind.SELECT_ROLE:
            self._selected = found.slot or 0
        elif found.kind is ActionKind.CAPTURE:
            role = found.role
            captures = role is not None and self._shared.patch.roles[role].maker == CAPTURE_MAKER
            return [(found.kind.value, frame, role if captures else None, None)]
        elif not found.safe:  # DRY and panic have reached the audio process already
            return [(found.kind.value, frame, found.role, found.stem)]
        return []

    def show(self, conductor: Conductor, now: int) -> None:
        """Paint what changed, thirty times a second."""
        now_ns = time.monotonic_ns()
        if now_ns - self._painted_ns < FRAME_NS:
            return
        self._painted_ns = now_ns
        self._state = self._page(conductor, now)
        beat = conductor.line.beat_at(now) if conductor.line else math.nan
        for message in self._driver.render(paint(self._state, beat), now_ns):
            if len(message) <= MIDI_BYTES_MAX:
                record: Any = np.zeros(1, MIDI_OUT)
                record["port"], record["size"] = self._port, len(message)
                record["data"][0, : len(message)] = np.frombuffer(message, np.uint8)
                self._shared.push("midi_out", record)

    def _page(self, conductor: Conductor, now: int) -> PageState:
        line, patch = conductor.line, conductor.patch
        beat = line.beat_at(now) if line else 0.0
        roles: dict[str, list[PadStem | None]] = {}
        for name in patch.roles:
            places: list[PadStem | None] = [None] * VARIATIONS
            for e in conductor.book.entries.values():
                if e.role == name and e.variation and e.state not in HIDDEN:
                    left = math.inf if e.beat is None else max(0.0, e.beat - beat)
                    places[e.variation - 1] = PadStem(e.id, e.state, left)
            roles[name] = places
        return PageState(
            roles=roles,
            queue=tuple((e.role, e.id) for e in conductor.book.queue()),
            selected=self._selected,
            pressed=frozenset(self._pressed),
            dry=conductor.dry,
            let_in=conductor.let_in,
            click=conductor.click,
            standby=conductor.programme.standby,
            changing=_changing(conductor),
            ending=conductor.programme.end is not None,
            beats_per_bar=line.beats_per_bar if line else patch.clock.beats_per_bar,
            bars_per_phrase=line.bars_per_phrase if line else patch.clock.bars_per_phrase,
        )


def _changing(conductor: Conductor) -> ActionKind | None:
    change = conductor.programme.change
    if change is None:
        return None
    other = change.song != conductor.programme.song
    return ActionKind.NEXT_SONG if other else ActionKind.NEXT_SCENE


def _message(record: np.void) -> bytes:
    """The short message in a PRESS, without its padding."""
    data = bytes(record["data"])
    return data[: 2 if data[0] & 0xF0 in (0xC0, 0xD0) else 3]

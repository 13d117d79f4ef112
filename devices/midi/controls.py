"""Foot-switches, buttons and faders at the conductor: messages of performers' ports become actions.

The midi process sends every controller, and every note that is a control, as a PRESS; here, in the
conductor's process, they become what patch and rig make of them. DRY, panic and master have reached
the audio process by then and are none of the conductor's. Not thread-safe; called by its tick.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from devices.midi.control_map import ControlMap, is_down
from devices.midi.ports import PortKind, port_table
from devices.midi.take_over import TakeOver
from devices.midi.touches import LOST
from engine.ask import Ask
from engine.conductor import Conductor
from engine.faders import in_force, position_of, value_at
from engine.patch import Patch
from engine.patch_controls import FADERS, SAFE_ACTIONS, Control, ControlKind, Key

FADER_S = 0.02  # a fader that moves is obeyed so often; its ramp is as long

Act = tuple[str, Ask]


@dataclass
class Fader:
    """position: 0..1, where it was moved to and not obeyed yet. told: whether the log knows that it
    waits."""

    control: Control
    over: TakeOver = field(default_factory=TakeOver)
    position: float | None = None
    obeyed: int = -(1 << 62)
    told: bool = False


class Controls:
    """ports: those of the started performance, for their index; `use` takes another patch."""

    def __init__(self, patch: Patch) -> None:
        self._ports = {
            index: spec.name
            for index, spec in enumerate(port_table(patch))
            if spec.kind is PortKind.PERFORMER
        }
        self._down: set[tuple[int, Key]] = set()
        self.use(patch)

    def use(self, patch: Patch) -> None:
        """The controls of a reloaded patch; its ports are the same."""
        self._maps = {index: ControlMap.of(patch, name) for index, name in self._ports.items()}
        self._faders: dict[tuple[int, Key], Fader] = {}

    def actions(self, records: Iterable[np.void], conductor: Conductor, now: int) -> list[Act]:
        """What was pressed (on the way down only) or moved. records: layout.PRESS."""
        acts = []
        for record in records:
            port, message = int(record["port"]), record["data"][:3].tobytes()
            if message == LOST:
                self._forget(port)
            found = self._maps[port].find(message) if port in self._maps else None
            if found is None or found[1].do in SAFE_ACTIONS:
                continue
            key, control = found
            if control.do in FADERS:
                fader = self._faders.setdefault((port, key), Fader(control))
                fader.position = message[2] / 127.0
            elif self._pressed(port, key, message):
                frame = int(record["frame"])
                acts.append((control.do, Ask(frame, **control.words)))
        return acts + self._moved(conductor, now)

    def _forget(self, port: int) -> None:
        """It is gone: nothing on it is held, and its faders may stand anywhere when it is back."""
        self._down = {held for held in self._down if held[0] != port}
        self._faders = {key: fader for key, fader in self._faders.items() if key[0] != port}

    def _pressed(self, port: int, key: Key, message: bytes) -> bool:
        down = is_down(message)
        before = (port, key) in self._down
        (self._down.add if down else self._down.discard)((port, key))
        if key.kind is ControlKind.CC:
            return down and not before  # half-pedalling is no second press
        return down

    def _moved(self, conductor: Conductor, now: int) -> list[Act]:
        if conductor.line is None:
            return []
        acts = []
        for (port, key), fader in self._faders.items():
            if fader.position is None or now - fader.obeyed < FADER_S * conductor.line.rate:
                continue
            position, fader.position, fader.obeyed = fader.position, None, now
            value = in_force(conductor, fader.control)
            if value is None or fader.over.take(position, position_of(fader.control, value)):
                fader.told = False
                acts.append((fader.control.do, self._ask(fader.control, position, now)))
            elif not fader.told:
                fader.told = True
                conductor.news.append(
                    {"event": "fader_waits", "frame": now, **self._said(port, key, fader, value)}
                )
        return acts

    def _ask(self, control: Control, position: float, now: int) -> Ask:
        value = round(value_at(control, position), 2)
        said: dict[str, Any] = {"db": value}
        if control.do in ("strip", "density"):
            said = {"value": value}
        elif control.do == "control":
            said = {"values": (value,)}
        return Ask(now, **{**control.words, **said})

    def _said(self, port: int, key: Key, fader: Fader, value: float) -> dict[str, Any]:
        return {
            "control": f"{key} of {self._ports[port]}",
            "does": str(fader.control),
            "in_force": round(value, 2),
        }

    def waiting(self, conductor: Conductor) -> list[dict[str, Any]]:
        """Faders that were moved and have not passed the value in force yet, as JSON values."""
        rows = []
        for (port, key), fader in self._faders.items():
            value = in_force(conductor, fader.control)
            if fader.told and value is not None:
                rows.append(self._said(port, key, fader, value))
        return rows

"""DRY, panic and master from MIDI, on their short way to the audio process.

SafePath is pure: messages and their arrival in CLOCK_MONOTONIC nanoseconds go in, layout.SAFE
records come out. SafeSender pushes those to the audio process's ring. One thread, no I/O. Controls
toggle on the way down only; panic wants to be held.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from devices.midi.control_map import ControlMap, is_down
from devices.midi.parse import CONTROL, NOTE_OFF, NOTE_ON, PROGRAM
from devices.midi.take_over import TakeOver
from engine.layout import SAFE, SafeKind
from engine.patch_controls import MASTER, SAFE_ACTIONS, Control, ControlKind, Key
from engine.shm import Shared

HOLD_NS = 500_000_000  # panic is held this long
PRESSES = (CONTROL, NOTE_ON, NOTE_OFF, PROGRAM)
DRY_KINDS = {SafeKind.DRY_ON, SafeKind.DRY_OFF, SafeKind.DRY_TOGGLE}
# What one that waits and a toggle after it are together; None: nothing.
AFTER_TOGGLE = {
    SafeKind.DRY_ON: SafeKind.DRY_OFF,
    SafeKind.DRY_OFF: SafeKind.DRY_ON,
    SafeKind.DRY_TOGGLE: None,
}


def safe_record(kind: SafeKind, value: float = 0.0) -> np.ndarray:
    """One layout.SAFE record, shape (1,)."""
    out = np.zeros(1, SAFE)
    out["kind"] = kind
    out["value"] = value
    return out


def master_gain(value: int) -> float:
    """Linear gain of a 7-bit fader: a square law that ends at unity, so a slip is never louder."""
    return (value / 127.0) ** 2


def pad_controls(dry_pad: int, panic_button: int) -> ControlMap:
    """What is safe-critical on a grid of pads."""
    return ControlMap(
        {
            Key(ControlKind.NOTE, dry_pad): Control("dry"),
            Key(ControlKind.CC, panic_button): Control("panic"),
        }
    )


class SafeSender:
    """The producer's end of the midi_safe ring. While nobody takes its records (the audio process
    is away) what was asked for last waits: one master, one DRY, one panic, however much a fader is
    moved. Not real-time safe; one thread."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._waiting: list[np.ndarray] = []

    def send(self, record: np.ndarray) -> None:
        """One SAFE record, now or as soon as there is room."""
        self.tick()
        if self._waiting or not self._shared.push("midi_safe", record):
            self._wait(record)

    def tick(self) -> None:
        """Send what waits."""
        while self._waiting and self._shared.push("midi_safe", self._waiting[0]):
            del self._waiting[0]

    def _wait(self, record: np.ndarray) -> None:
        kind = SafeKind(int(record["kind"][0]))
        same = DRY_KINDS if kind in DRY_KINDS else {kind}
        before = [r for r in self._waiting if SafeKind(int(r["kind"][0])) in same]
        self._waiting = [r for r in self._waiting if SafeKind(int(r["kind"][0])) not in same]
        if kind is SafeKind.DRY_TOGGLE and before:
            turned = AFTER_TOGGLE[SafeKind(int(before[0]["kind"][0]))]
            if turned is None:
                return
            record = safe_record(turned)
        self._waiting.append(record)


@dataclass
class SafePath:
    """The safe controls of one port."""

    map: ControlMap
    _down: set[Key] = field(default_factory=set)
    _panic: dict[Key, int] = field(default_factory=dict)  # since when, ns
    _faders: dict[Key, TakeOver] = field(default_factory=dict)

    def hear(
        self, message: bytes, now_ns: int, master: Callable[[], float] = lambda: 1.0
    ) -> np.ndarray | None:
        """Take one channel message; return a SAFE record when it asks for something. master: tells
        the linear gain in force."""
        if len(message) < 2 or message[0] & 0xF0 not in PRESSES:
            return None
        found = self.map.find(message)
        if found is None or found[1].do not in SAFE_ACTIONS:
            return None
        key, control = found
        if control.do == MASTER:
            fader = self._faders.setdefault(key, TakeOver(quieter=True))
            if fader.take(message[2] / 127.0, math.sqrt(min(max(master(), 0.0), 1.0))):
                return safe_record(SafeKind.MASTER, master_gain(message[2]))
            return None
        rises = self._rises(key, is_down(message))
        if control.do == "panic":
            if rises:
                self._panic[key] = now_ns
            elif key not in self._down:
                self._panic.pop(key, None)
            return None
        return safe_record(SafeKind.DRY_TOGGLE) if rises else None

    def tick(self, now_ns: int) -> np.ndarray | None:
        """Return panic once, when its control has been held long enough."""
        due = [key for key, since in self._panic.items() if now_ns - since >= HOLD_NS]
        for key in due:
            del self._panic[key]
        return safe_record(SafeKind.PANIC) if due else None

    def lost(self) -> None:
        """The port is gone: nothing on it is held any more."""
        self._down.clear()
        self._panic.clear()
        self._faders.clear()

    def _rises(self, key: Key, down: bool) -> bool:
        before = key in self._down
        (self._down.add if down else self._down.discard)(key)
        if key.kind is ControlKind.CC:
            return down and not before  # half-pedalling is no second press
        return down  # each is one; a note's end that got lost must not swallow the next

"""DRY, panic and master from MIDI, on their short way to the audio process.

Pure: messages and their arrival in CLOCK_MONOTONIC nanoseconds go in, layout.SAFE records come out.
One thread, no I/O. A controller counts as pressed from value 64 up, and toggles on the way up only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from devices.midi.parse import CONTROL, NOTE_ON
from engine.layout import SAFE, SafeKind

PRESSED = 64
HOLD_NS = 500_000_000  # Stop Clip held this long is panic


def safe_record(kind: SafeKind, value: float = 0.0) -> np.ndarray:
    """One layout.SAFE record, shape (1,)."""
    out = np.zeros(1, SAFE)
    out["kind"] = kind
    out["value"] = value
    return out


def master_gain(value: int) -> float:
    """Linear gain of a 7-bit fader: a square law that ends at unity, so a slip is never louder."""
    return (value / 127.0) ** 2


@dataclass(frozen=True)
class SafeMap:
    """What on a port is safe-critical. dry_note: a pad's note; the rest are controllers."""

    dry_cc: int | None = None
    master_cc: int | None = None
    panic_cc: int | None = None
    dry_note: int | None = None
    channel: int | None = None  # 0-15, None: all


@dataclass
class SafePath:
    """The safe controls of one port. Controllers it owns are not for the voice."""

    map: SafeMap
    _down: dict[tuple[int, int], bool] = field(default_factory=dict)
    _panic_since: int | None = None

    def owns(self, message: bytes) -> bool:
        """True for a controller that this path uses up."""
        m = self.map
        return (
            self._hears(message)
            and message[0] & 0xF0 == CONTROL
            and message[1] in (m.dry_cc, m.master_cc, m.panic_cc)
        )

    def hear(self, message: bytes, now_ns: int) -> np.ndarray | None:
        """Take one channel message; return a SAFE record when it asks for something."""
        if not self._hears(message) or len(message) < 3:
            return None
        status, number, value = message[0] & 0xF0, message[1], message[2]
        m = self.map
        if status == NOTE_ON and number == m.dry_note and value > 0:
            return safe_record(SafeKind.DRY_TOGGLE)
        if status != CONTROL:
            return None
        if number == m.master_cc:
            return safe_record(SafeKind.MASTER, master_gain(value))
        if number == m.dry_cc and self._rises(message):
            return safe_record(SafeKind.DRY_TOGGLE)
        if number == m.panic_cc:
            self._panic_since = now_ns if value >= PRESSED else None
        return None

    def tick(self, now_ns: int) -> np.ndarray | None:
        """Return panic once, when its button has been held long enough."""
        if self._panic_since is None or now_ns - self._panic_since < HOLD_NS:
            return None
        self._panic_since = None
        return safe_record(SafeKind.PANIC)

    def lost(self) -> None:
        """The port is gone: nothing on it is held any more."""
        self._down.clear()
        self._panic_since = None

    def _hears(self, message: bytes) -> bool:
        return self.map.channel is None or message[0] & 0x0F == self.map.channel

    def _rises(self, message: bytes) -> bool:
        key = (message[0] & 0x0F, message[1])
        before = self._down.get(key, False)
        self._down[key] = now = message[2] >= PRESSED
        return now and not before

"""The midi process's side of a Launchpad: mode, life signs, and news for the conductor.

Pure: messages to send are returned, time is passed in (CLOCK_MONOTONIC nanoseconds). One thread.
After a replug the device is in a mode of its own and says nothing, so its greeting is sent again
and again; an inquiry goes with it, and a device that answered once and stops is taken for
unplugged. A held button may be one whose release went with the cable: before that counts as panic,
the device must have shown that it is still there. One that answers as something else is a stranger:
what it sends is no press, and it is sent nothing but inquiries.

What is pressed is lit here, whatever the conductor is busy with: it paints the same a moment later,
and what the cell shows after that.
"""

from __future__ import annotations

from typing import Final

from devices.launchpad.mk3 import HURRY_NS, INQUIRY
from devices.launchpad.units import MK3, Unit, identity
from devices.midi.parse import CONTROL, NOTE_ON
from engine.surface import WHITE

LIFE_NS: Final = 1_000_000_000
SILENT_NS: Final = 3 * LIFE_NS + LIFE_NS // 2
ASK_NS: Final = 50_000_000  # how often a held panic button's device is asked whether it is there
FINGERS: Final = 10  # what is pressed at once by hands; a babbling unit is not answered beyond it
GOODBYE_AGAIN_S: Final = 0.02  # more than a period of any JACK server


class SurfacePort:
    """One surface. version: its firmware, once it has answered. stranger: what answered instead of
    the unit. owed: it did not take a message, so it may show anything, and must be painted anew
    once it takes some again."""

    def __init__(self, unit: Unit = MK3) -> None:
        self.unit = unit
        self.version: str | None = None
        self.stranger: str | None = None
        self.owed = False
        self._answered_ns: int | None = None
        self._sent_ns: int | None = None
        self._held_ns: int | None = None
        self._asked_ns = 0
        self._pressed: list[int] = []
        self._lit_ns = -HURRY_NS

    def opened(self, now_ns: int) -> tuple[bytes, ...]:
        """Its output has been (re)opened."""
        self.lost()
        self._sent_ns = now_ns
        return self.unit.hello

    def sent(self, taken: bool) -> bool:
        """Note whether it took a message; True when it is to be painted anew now."""
        again = taken and self.owed
        self.owed = not taken
        return again

    def lost(self) -> None:
        self.owed = False
        self._pressed.clear()
        self.version = self.stranger = None
        self._sent_ns = self._answered_ns = self._held_ns = None

    def tick(self, now_ns: int) -> tuple[bytes, ...]:
        """Messages due now."""
        if self._sent_ns is None or now_ns - self._sent_ns < LIFE_NS:
            return ()
        self._sent_ns = now_ns
        return self.unit.hello if self.stranger is None else (INQUIRY,)

    def held(self, now_ns: int) -> bool:
        """Something was held long enough: True when that counts at once, as of a device that never
        answers nothing can be asked. Otherwise ask() and still_there() decide."""
        if self._answered_ns is not None:
            self._held_ns = now_ns
        return self._answered_ns is None

    def let_go(self) -> None:
        """Nothing is held any more."""
        self._held_ns = None

    def ask(self, now_ns: int) -> tuple[bytes, ...]:
        """Messages due while it is to be known whether the device is there."""
        if self._held_ns is None or now_ns - self._asked_ns < ASK_NS:
            return ()
        self._asked_ns = now_ns
        return (INQUIRY,)

    def still_there(self) -> bool:
        """Call at any message; True, once, when it shows that what was held() is held by a hand."""
        there, self._held_ns = self._held_ns is not None, None
        return there

    def touched(self, message: bytes) -> None:
        """A short message; a press is to be answered."""
        down = len(message) > 2 and message[0] & 0xF0 in (NOTE_ON, CONTROL) and message[2] > 0
        if down and message[1] in self.unit.cells and len(self._pressed) < FINGERS:
            self._pressed.append(message[1])

    def answer(self, now_ns: int) -> tuple[bytes, ...]:
        """The light of what was pressed, one message each HURRY_NS at most."""
        if not self._pressed or now_ns - self._lit_ns < HURRY_NS:
            return ()
        pressed, self._pressed, self._lit_ns = self._pressed, [], now_ns
        return (self.unit.light(dict.fromkeys(pressed, WHITE)),)

    def hear(self, message: bytes, now_ns: int) -> bool:
        """Take any message; True when the answer is news: the unit's first, or a stranger's."""
        told = identity(message)
        if told is None:
            return False
        if not told.novation or told.family != self.unit.family:
            news = self.stranger != told.name
            self.stranger, self._answered_ns = told.name, None
            return news
        news = self._answered_ns is None
        self.version, self.stranger, self._answered_ns = told.version, None, now_ns
        return news

    def silent(self, now_ns: int) -> bool:
        """It answered before, and does not any more."""
        return self._answered_ns is not None and now_ns - self._answered_ns > SILENT_NS

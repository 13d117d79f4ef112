"""The midi process's side of a Launchpad: mode, life signs, and news for the conductor.

Pure: messages to send are returned, time is passed in (CLOCK_MONOTONIC nanoseconds). One thread.
After a replug the device is in Live mode and says nothing, so Programmer mode is sent again and
again; an inquiry goes with it, and a device that answered once and stops is taken for unplugged.
"""

from __future__ import annotations

from typing import Final

from devices.launchpad.mk3 import INQUIRY, LIVE_MODE, PROGRAMMER_MODE, inquiry_answer

LIFE_NS: Final = 2_000_000_000
SILENT_NS: Final = 3 * LIFE_NS + LIFE_NS // 2

HELLO: Final = (INQUIRY, PROGRAMMER_MODE)
GOODBYE: Final = (LIVE_MODE,)
GOODBYE_AGAIN_S: Final = 0.02  # more than a period of any JACK server


class SurfacePort:
    """One surface. version: its firmware, once it has answered. owed: it did not take a message,
    so it may show anything, and must be painted anew once it takes some again."""

    def __init__(self) -> None:
        self.version: str | None = None
        self.owed = False
        self._sent_ns: int | None = None
        self._answered_ns: int | None = None

    def opened(self, now_ns: int) -> tuple[bytes, ...]:
        """Its output has been (re)opened."""
        self.lost()
        self._sent_ns = now_ns
        return HELLO

    def sent(self, taken: bool) -> bool:
        """Note whether it took a message; True when it is to be painted anew now."""
        again = taken and self.owed
        self.owed = not taken
        return again

    def lost(self) -> None:
        self.owed = False
        self.version = self._sent_ns = self._answered_ns = None

    def tick(self, now_ns: int) -> tuple[bytes, ...]:
        """Messages due now."""
        if self._sent_ns is None or now_ns - self._sent_ns < LIFE_NS:
            return ()
        self._sent_ns = now_ns
        return HELLO

    def hear(self, message: bytes, now_ns: int) -> bool:
        """Take any message; True when the device has just shown itself for the first time."""
        version = inquiry_answer(message)
        if version is None:
            return False
        first = self._answered_ns is None
        self.version, self._answered_ns = version, now_ns
        return first

    def silent(self, now_ns: int) -> bool:
        """It answered before, and does not any more."""
        return self._answered_ns is not None and now_ns - self._answered_ns > SILENT_NS

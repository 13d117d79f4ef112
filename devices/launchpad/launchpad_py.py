"""The surface through launchpad-py's own LaunchpadProMk3, with its faults mended.

launchpad-py 0.9.1 takes its MIDI transport from a module global and imports pygame for nothing
else; Wire stands in for the one and two empty modules for the other, so no SDL is loaded. What is
mended, each in the method that has it: buttons 101-108 (and rows 9 and 10 in XY) can be lit, colour
has 7 bits, LedSetLayout has this device's header, LedAllOn is one message that reaches every cell,
LedCtrlString does not wait, polyphonic pressure is read, LedSetMode does not sleep, Close closes.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections import deque
from typing import Any

from devices.launchpad import mk3
from devices.launchpad.mk3 import BULK, CELLS, HEADER, NOTICE, PADS, PALETTE, Changes
from devices.midi.parse import CHANNEL_PRESSURE, CONTROL, NOTE_OFF, NOTE_ON, POLY_PRESSURE
from engine.surface import Cells, Press, PressKind

ROW_UPPER, ROW_LOWER = 9, 10  # y of the two bottom rows of buttons
STATIC, FLASHING, PULSING = 0, 1, 2  # MIDI channels of palette messages
PRESSURE = 255  # ButtonStateRaw's "button" for pressure
CLASSIC_STEP = 42  # a 0-3 intensity in 7 bits


def _without_pygame() -> Any:
    """Import launchpad_py.launchpad with stand-ins for pygame, and leave no trace of them."""
    pygame, midi, clock = (types.ModuleType(n) for n in ("pygame", "pygame.midi", "pygame.time"))
    pygame.midi, pygame.time = midi, clock  # type: ignore[attr-defined]
    clock.wait = lambda milliseconds: None  # type: ignore[attr-defined]
    stand_ins = {"pygame": pygame, "pygame.midi": midi, "pygame.time": clock}
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its sources use escapes that warn when compiled
            import launchpad_py.launchpad as module
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old
    return module


class Wire:
    """launchpad_py.launchpad.Midi on our transport: collects what is sent, reads what is fed."""

    def __init__(self) -> None:
        self.devIn: object | None = None
        self.devOut: object | None = None
        self.sent: list[bytes] = []
        self._arrived: deque[bytes] = deque(maxlen=1024)

    def take(self) -> list[bytes]:
        """What was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent

    def feed(self, message: bytes) -> None:
        """A message from the device."""
        self._arrived.append(message)

    def SearchDevices(
        self, name: str, output: bool = True, input: bool = True, quiet: bool = True
    ) -> list[int]:
        return [0]

    def SearchDevice(
        self, name: str, output: bool = True, input: bool = True, number: int = 0
    ) -> int | None:
        return 0 if number == 0 else None

    def OpenInput(self, midi_id: int, bufferSize: int | None = None) -> bool:
        self.devIn = self
        return True

    def OpenOutput(self, midi_id: int) -> bool:
        self.devOut = self
        return True

    def CloseInput(self) -> None:
        self.devIn = None

    def CloseOutput(self) -> None:
        self.devOut = None

    def ReadCheck(self) -> bool:
        return bool(self._arrived)

    def ReadRaw(self) -> list[list[Any]]:
        """As pygame gives it: [[[status, data1, data2, data3], time]], or []."""
        if not self._arrived:
            return []
        return [[[*self._arrived.popleft()[:4].ljust(4, b"\0")], 0]]

    def RawWrite(self, stat: int, dat1: int, dat2: int) -> None:
        self.sent.append(bytes((stat, dat1, dat2)))

    def RawWriteMulti(self, lstMessages: list[list[Any]]) -> None:
        self.sent += [bytes(data) for data, _ in lstMessages]

    def RawWriteSysEx(self, lstMessage: list[int], timeStamp: int = 0) -> None:
        self.sent.append(bytes((0xF0, *lstMessage, 0xF7)))


_module = _without_pygame()
_module.Midi = Wire  # before any device is made
_Original: Any = _module.LaunchpadProMk3


class ProMk3(_Original):
    """LaunchpadProMk3 with its faults mended. Its names and arguments stay launchpad-py's."""

    def LedSetLayout(self, mode: int, page: int = 0) -> None:
        """Select a layout; 17 is Programmer."""
        self._sysex(bytes((0x00, mode & 0x7F, page & 0x7F, 0x00)))

    def LedCtrlRaw(self, number: int, red: int, green: int, blue: int | None = None) -> None:
        """Light a cell, 1-108. With blue: 0-127 each. Without: the classic 0-3 red and green."""
        if number not in CELLS:
            return
        if blue is None:
            red, green, blue = red * CLASSIC_STEP, green * CLASSIC_STEP, 0
        r, g, b = (max(0, min(127, c)) for c in (red, green, blue))
        self.LedCells({number: (r, g, b)})

    def LedCells(self, cells: Cells) -> None:
        """Light many cells with one message; not in launchpad-py."""
        self._sysex(mk3.bulk(cells)[len(HEADER) : -1])

    def LedCtrlRawByCode(self, number: int, colorcode: int | None = None) -> None:
        self._by_code(STATIC, number, colorcode)

    def LedCtrlFlashByCode(self, number: int, colorcode: int | None = None) -> None:
        self._by_code(FLASHING, number, colorcode)

    def LedCtrlPulseByCode(self, number: int, colorcode: int | None = None) -> None:
        self._by_code(PULSING, number, colorcode)

    def LedCtrlXY(
        self, x: int, y: int, red: int, green: int, blue: int | None = None, mode: str = "classic"
    ) -> None:
        self.LedCtrlRaw(_cell(x, y, mode), red, green, blue)

    def LedCtrlXYByRGB(self, x: int, y: int, lstColor: list[int], mode: str = "classic") -> None:
        if isinstance(lstColor, list) and len(lstColor) >= 3:
            self.LedCtrlRaw(_cell(x, y, mode), *lstColor[:3])

    def LedCtrlXYByCode(self, x: int, y: int, colorcode: int, mode: str = "classic") -> None:
        self.LedCtrlRawByCode(_cell(x, y, mode), colorcode)

    def LedCtrlFlashXYByCode(self, x: int, y: int, colorcode: int, mode: str = "classic") -> None:
        self.LedCtrlFlashByCode(_cell(x, y, mode), colorcode)

    def LedCtrlPulseXYByCode(self, x: int, y: int, colorcode: int, mode: str = "classic") -> None:
        self.LedCtrlPulseByCode(_cell(x, y, mode), colorcode)

    def LedAllOn(self, colorcode: int | None = None) -> None:
        """Every cell in one palette colour, in one message."""
        code = _code(colorcode)
        self._sysex(bytes((BULK, *(b for cell in CELLS for b in (PALETTE, cell, code)))))

    def LedCtrlString(
        self,
        text: str,
        red: int,
        green: int,
        blue: int | None = None,
        direction: int | None = None,
        waitms: int = 150,
    ) -> None:
        """Show the first character. This device scrolls no text, and scrolling here would wait;
        who wants it calls LedCtrlChar with offsx, frame by frame."""
        if text:
            self.LedCtrlChar(text[0], red, green, blue)

    def ButtonStateRaw(self, returnPressure: bool = False) -> list[int]:
        """[button, value], [] for nothing; pressure is [255, value] or [255, value, button]."""
        while self.midi.ReadCheck():
            status, data1, data2, _ = self.midi.ReadRaw()[0][0]
            kind = status & 0xF0
            if kind in (NOTE_ON, CONTROL):
                return [data1, data2]
            if kind == NOTE_OFF:
                return [data1, 0]
            if returnPressure and kind == CHANNEL_PRESSURE:
                return [PRESSURE, data1]
            if returnPressure and kind == POLY_PRESSURE:
                return [PRESSURE, data2, data1]
        return []

    def ButtonStateXY(self, mode: str = "classic", returnPressure: bool = False) -> list[int]:
        """[x, y, value], [] for nothing; pressure is [255, 255, value]."""
        state = self.ButtonStateRaw(returnPressure)
        if not state:
            return []
        if state[0] == PRESSURE:
            return [PRESSURE, PRESSURE, state[1]]
        number, value = state
        x = number % 10 if mode.lower() == "pro" else (number - 1) % 10
        if number > 100:
            return [x, ROW_UPPER, value]
        return [x, ROW_LOWER if number < 10 else (99 - number) // 10, value]

    def Close(self) -> None:
        """Give the device back in Live mode and let go of the ports."""
        if self.midi.devOut is not None:
            self.LedSetMode(0)
        self.midi.CloseInput()
        self.midi.CloseOutput()

    def _by_code(self, channel: int, number: int, colorcode: int | None) -> None:
        if number in CELLS:
            status = NOTE_ON if number in PADS else CONTROL
            self.midi.RawWrite(status | channel, number, _code(colorcode))

    def _sysex(self, body: bytes) -> None:
        self.midi.RawWriteSysEx([*HEADER[1:], *body])


def _code(colorcode: int | None) -> int:
    white = int(_module.LaunchpadPro.COLORS["white"])
    return white if colorcode is None else max(0, min(127, colorcode))


def _cell(x: int, y: int, mode: str) -> int:
    """The cell at launchpad-py's coordinates, or 0, which no cell is."""
    if not (0 <= x <= 9 and 0 <= y <= ROW_LOWER):
        return 0
    column = x if mode.lower() == "pro" else (x + 1) % 10
    if y < ROW_UPPER:
        return 90 - 10 * y + column
    return (100 if y == ROW_UPPER else 0) + column if 1 <= column <= 8 else 0


class LaunchpadPy:
    """mk3.Driver by way of launchpad-py."""

    def __init__(self) -> None:
        self.device = ProMk3()
        self.device.Open()
        self.device.midi.take()  # the midi process sets the mode, whatever the driver
        self._changes = Changes()

    def render(self, cells: Cells, now_ns: int) -> list[bytes]:
        changed = self._changes.take(cells, now_ns)
        if changed:
            self.device.LedCells(changed)
        return list(self.device.midi.take())

    def read(self, message: bytes) -> Press | None:
        if message[:1] == bytes((NOTICE,)):
            return mk3.heard(mk3.read(message), self._changes)
        self.device.midi.feed(message)
        state = self.device.ButtonStateRaw(returnPressure=True)
        if not state:
            return None
        if state[0] == PRESSURE and len(state) == 2:
            return Press(PressKind.PRESSURE, 0, state[1])
        if state[-1 if state[0] == PRESSURE else 0] not in CELLS:
            return None
        if state[0] == PRESSURE:
            return Press(PressKind.PRESSURE, state[2], state[1])
        kind = PressKind.DOWN if state[1] > 0 else PressKind.UP
        return mk3.heard(Press(kind, state[0], state[1]), self._changes)

    def forget(self) -> None:
        self._changes.forget()

"""Risk: the emulator is a device that only our own drivers believe in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devices.launchpad.emulated import LedMotion, Mode
from devices.launchpad.emulator import Emulator
from devices.launchpad.mk3 import CELLS, PADS
from devices.launchpad.palette import COLOURS
from engine.bench.jackd import JackServer, wait_until
from engine.surface import OFF

pytestmark = pytest.mark.jack
SECONDS = 10.0


class LaunchpadPy:
    """The unchanged class, in a process of its own."""

    def __init__(self, server: JackServer) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.launchpad_py_unchanged"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=server.env,
            cwd=Path(__file__).parents[1],
            text=True,
        )

    def __call__(self, expression: str) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(expression + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())

    def end(self) -> None:
        self._child.communicate(timeout=SECONDS)


def soon(true: Callable[[], bool]) -> None:
    assert wait_until(true, SECONDS)


def test_launchpad_py_unchanged_drives_and_reads_the_emulator(server: JackServer) -> None:
    with Emulator() as unit:
        pads = LaunchpadPy(server)
        assert pads("pads.Check()") is True
        assert pads("pads.Open()") is True
        soon(lambda: unit.mode is Mode.PROGRAMMER)
        said = {
            "pads.LedCtrlRaw(11, 63, 10, 1)": (11, (126, 20, 2), LedMotion.STATIC),
            "pads.LedCtrlRawByCode(88, 21)": (88, COLOURS[21], LedMotion.STATIC),
            "pads.LedCtrlPulseByCode(45, 53)": (45, COLOURS[53], LedMotion.PULSE),
            "pads.LedCtrlXYByCode(0, 0, 13)": (91, COLOURS[13], LedMotion.STATIC),
            "pads.LedCtrlXY(9, 8, 0, 0, 63)": (10, (0, 0, 126), LedMotion.STATIC),
        }
        for expression, (index, colour, motion) in said.items():

            def shown(cell: int = index, to: Any = (colour, motion), say: str = expression) -> bool:
                pads(say)  # again: JACK loses what falls into a cycle it misses
                led = unit.leds()[cell]
                return (led.colour, led.motion) == to

            soon(shown)
        soon(lambda: pads("pads.LedCtrlFlashByCode(88, 5)") or _flashes(unit, 88))
        soon(lambda: pads("pads.LedAllOn(9)") or _all(unit, range(11, 100), COLOURS[9]))
        soon(lambda: pads("pads.Reset()") or _all(unit, PADS, OFF))
        assert {unit.colours()[index] for index in range(101, 109)} == {OFF}

        heard: list[Any] = []

        def tapped(index: int, value: int) -> bool:
            unit.press(index, 99)
            unit.release(index)
            while state := pads("pads.ButtonStateRaw()"):
                heard.append(state)
            return [index, value] in heard and [index, 0] in heard

        soon(lambda: tapped(11, 99))
        soon(lambda: tapped(108, 127))  # a button

        def pressed() -> bool:
            unit.press(22)
            unit.pressure(22, 0)
            unit.pressure(22, 64)
            unit.release(22)
            while state := pads("pads.ButtonStateXY('classic', True)"):
                heard.append(state)
            return [255, 255, 64] in heard and [1, 7, 0] in heard

        soon(pressed)
        pads("pads.Close()")
        soon(lambda: unit.mode is Mode.LIVE)
        pads.end()


def _flashes(unit: Emulator, index: int) -> bool:
    led = unit.leds()[index]
    return (led.motion, led.colour, led.other) == (LedMotion.FLASH, COLOURS[21], COLOURS[5])


def _all(unit: Emulator, cells: Any, colour: tuple[int, int, int]) -> bool:
    return {unit.leds()[index].colour for index in cells if index in CELLS and index % 10} == {
        colour
    }

"""Risk: the older Launchpad Pro is sent what only the MK3 knows, or has cells that never light."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.launchpad import mk3, open_driver
from devices.launchpad.layout import DRY_PAD, PANIC_BUTTON
from devices.launchpad.mk3 import CELLS, FRAME_NS, SHIFT, UPPER_BOTTOM, notice
from devices.launchpad.pro import (
    CELLS_TO_UNIT,
    ENTRIES_MAX,
    FLASH,
    PULSE,
    UNIT_CELLS,
    Pro,
    decode,
    light,
    moving,
)
from engine.surface import OFF, Cells, Press, PressKind

rgb = st.tuples(*[st.integers(0, 127)] * 3)
some_cells = st.dictionaries(st.sampled_from(CELLS), rgb, max_size=106)


def test_the_unit_has_97_lights_and_each_is_one_cell_at_most() -> None:
    assert len(UNIT_CELLS) == 97
    assert set(CELLS_TO_UNIT.values()) <= UNIT_CELLS
    assert len(set(CELLS_TO_UNIT.values())) == len(CELLS_TO_UNIT)
    without = set(CELLS) - set(CELLS_TO_UNIT)
    assert without == {*UPPER_BOTTOM, 5, 6}
    # The safe path reads the unit's own numbers.
    assert CELLS_TO_UNIT[DRY_PAD] == DRY_PAD
    assert CELLS_TO_UNIT[PANIC_BUTTON] == PANIC_BUTTON
    assert CELLS_TO_UNIT[SHIFT] == 80  # where Shift is printed


@given(st.lists(some_cells, min_size=1, max_size=5))
def test_two_frames_after_a_picture_stands_still_all_of_it_is_there(frames: list[Cells]) -> None:
    driver, shown, now = Pro(), dict.fromkeys(UNIT_CELLS, (1, 2, 3)), 0
    for cells in frames:
        for _ in range(2):
            now += FRAME_NS
            sent = driver.render(cells, now)
            assert len(sent) <= 1
            for message in sent:
                lit = decode(message)
                assert lit is not None
                assert len(lit) <= ENTRIES_MAX
                assert all(0 <= part <= 63 for colour in lit.values() for part in colour)
                shown.update(lit)
        for cell, unit in CELLS_TO_UNIT.items():
            wanted = cells.get(cell, OFF)
            assert shown[unit] == tuple(max(1, part >> 1) if part else 0 for part in wanted)


def test_no_cell_starves_when_all_of_them_move() -> None:
    driver, turns = Pro(), dict.fromkeys(UNIT_CELLS, 0)
    for frame in range(40):
        cells = dict.fromkeys(CELLS, (2 * (frame % 50) + 2, 0, 0))
        for message in driver.render(cells, frame * FRAME_NS):
            for unit in decode(message) or {}:
                turns[unit] += 1
    moving_cells = [turns[unit] for unit in CELLS_TO_UNIT.values()]
    assert min(moving_cells) >= max(moving_cells) - 1
    assert min(moving_cells) >= 40 * ENTRIES_MAX // len(CELLS_TO_UNIT) - 1


@given(st.sampled_from(sorted(CELLS_TO_UNIT)), st.integers(1, 127))
def test_a_press_is_the_cell_that_lights_there(cell: int, value: int) -> None:
    driver = open_driver("pro")
    unit = CELLS_TO_UNIT[cell]
    status = 0x90 if unit in mk3.PADS else 0xB0
    assert driver.read(bytes((status, unit, value))) == Press(PressKind.DOWN, cell, value)
    assert driver.read(bytes((status, unit, 0))) == Press(PressKind.UP, cell)
    assert driver.read(bytes((0xA0, unit, value))) == Press(PressKind.PRESSURE, cell, value)
    assert driver.read(bytes((0xD0, value))) == Press(PressKind.PRESSURE, 0, value)


def test_what_the_unit_does_not_have_is_not_pressed() -> None:
    driver = Pro()
    assert driver.read(b"\xb0\x65\x7f") is None  # 101
    assert driver.read(b"\xb0\x46\x7f") is None  # 70, which no cell is
    assert driver.read(notice(PressKind.HELD, PANIC_BUTTON)) == Press(PressKind.HELD, PANIC_BUTTON)


def test_a_reconnected_unit_is_painted_whole() -> None:
    driver = Pro()
    for frame in range(2):
        driver.render({}, frame * FRAME_NS)
    assert driver.render({}, 2 * FRAME_NS) == []
    assert driver.read(notice(PressKind.CONNECTED)) == Press(PressKind.CONNECTED)
    painted: Cells = {}
    for frame in range(3, 5):
        for message in driver.render({}, frame * FRAME_NS):
            painted.update(decode(message) or {})
    assert set(painted) == set(CELLS_TO_UNIT.values())


def test_its_bytes_are_those_of_the_reference() -> None:
    header = b"\xf0\x00\x20\x29\x02\x10"
    assert light({11: (127, 1, 0)}) == header + b"\x0b\x0b\x3f\x01\x00\xf7"
    assert moving(FLASH, 11, 5) == header + b"\x23\x0b\x05\xf7"
    assert moving(PULSE, 99, 45) == header + b"\x28\x63\x2d\xf7"
    open_driver("launchpad-py")  # loads the package, with a wire of lists
    theirs = sys.modules["launchpad_py.launchpad"].LaunchpadPro()
    theirs.midi.OpenOutput(0)
    theirs.LedCtrlRaw(11, 63, 1, 0)
    theirs.LedCtrlFlashByCode(11, 5)
    theirs.LedCtrlPulseByCode(99, 45)
    ours = [light({11: (126, 2, 0)}), moving(FLASH, 11, 5), moving(PULSE, 99, 45)]
    assert theirs.midi.take() == ours
    with pytest.raises(ValueError, match="79 cells in one message, 78 at most"):
        light(dict.fromkeys(sorted(UNIT_CELLS)[:79], OFF))
    with pytest.raises(ValueError, match="cell 90 does not exist"):
        light({90: OFF})

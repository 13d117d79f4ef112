"""Risk: the emulator answers, lights or forgives what the unit does not, and hides a fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from devices.launchpad.drawing import draw, place
from devices.launchpad.emulated import (
    BEAT_NS,
    IDENTITY,
    SYSEX_MAX,
    Aftertouch,
    EmulatedMk3,
    LedMotion,
    Mode,
)
from devices.launchpad.mk3 import (
    BUTTONS,
    CELLS,
    END,
    HEADER,
    INQUIRY,
    LIVE_MODE,
    LOGO,
    PADS,
    PROGRAMMER_MODE,
    bulk,
    read,
)
from devices.launchpad.palette import COLOURS
from devices.launchpad.units import MK3, identity
from engine.surface import OFF, Cells, Press, PressKind

RED = (127, 0, 0)
rgb = st.tuples(*[st.integers(0, 127)] * 3)


def unit(**kind: Aftertouch | bool) -> EmulatedMk3:
    """In Programmer mode."""
    made = EmulatedMk3(**kind)  # type: ignore[arg-type]
    assert made.hear(PROGRAMMER_MODE, 0) == []
    return made


def test_it_says_who_it_is_in_any_mode() -> None:
    pads = EmulatedMk3()
    assert pads.hear(INQUIRY, 0) == [IDENTITY]
    pads.hear(PROGRAMMER_MODE, 0)
    assert pads.hear(INQUIRY + INQUIRY, 0) == [IDENTITY, IDENTITY]
    told = identity(IDENTITY)
    assert told is not None
    assert (told.name, told.family, told.novation) == (MK3.name, MK3.family, True)


def test_modes_and_layouts_are_set_and_told() -> None:
    pads = EmulatedMk3()
    mode, layout = HEADER + b"\x0e" + END, HEADER + b"\x00" + END
    assert pads.hear(mode, 0) == [LIVE_MODE]
    assert pads.hear(PROGRAMMER_MODE, 0) == []
    assert pads.hear(mode, 0) == [PROGRAMMER_MODE]
    assert pads.hear(layout, 0) == [HEADER + b"\x00\x11\x00\x00" + END]
    for ignored in (0, 4, 5):
        pads.hear(HEADER + bytes((0, ignored, 0, 0)) + END, 0)
        assert pads.mode is Mode.PROGRAMMER
    pads.hear(LIVE_MODE, 0)
    pads.hear(HEADER + b"\x00\x11\x00\x00" + END, 0)
    assert pads.mode is Mode.PROGRAMMER
    assert pads.heard.ignored == {"layout": 3}


@given(st.dictionaries(st.sampled_from(CELLS), rgb, max_size=106))
def test_what_a_bulk_message_says_is_seen(cells: Cells) -> None:
    pads = unit()
    pads.hear(bulk(cells), 5)
    assert pads.colours(9) == {**dict.fromkeys(CELLS, OFF), **cells}
    assert {pads.leds[i].changed_ns for i, colour in cells.items() if colour != OFF} <= {5}


def test_every_type_of_entry_and_every_channel_lights_alike() -> None:
    bulked, spoken = unit(), unit()
    spoken.hear(bytes((0x90, 13, 21)), 0)
    bulked.hear(HEADER + bytes((3, 0, 11, 5, 1, 12, 9, 13, 2, 101, 45)) + END, 0)
    spoken.hear(bytes((0x90, 11, 5, 0x90, 12, 13, 0x91, 12, 9, 0xB2, 101, 45)), 0)
    for index, motion in ((11, LedMotion.STATIC), (12, LedMotion.FLASH), (101, LedMotion.PULSE)):
        assert bulked.leds[index] == spoken.leds[index]
        assert bulked.leds[index].motion is motion
    assert bulked.leds[12].colour == COLOURS[13]  # B first, then A
    assert bulked.leds[12].other == COLOURS[9]
    flashes = {bulked.colours(BEAT_NS * i // 4)[12] for i in range(8)}
    assert flashes == {COLOURS[9], COLOURS[13]}
    pulses = [sum(bulked.colours(BEAT_NS * i // 8)[101]) for i in range(9)]
    assert pulses == sorted(pulses, reverse=True)
    assert 0 < pulses[-1] < pulses[0] / 2


def test_a_full_frame_is_taken_and_one_more_entry_is_not() -> None:
    pads = unit()
    full = bulk(dict.fromkeys(CELLS, RED))
    assert len(full) == SYSEX_MAX
    pads.hear(full, 0)
    assert set(pads.colours(0).values()) == {RED}
    pads.hear(full[:-1] + b"\x03\x0b\x00\x00\x00" + END, 0)
    pads.hear(HEADER + b"\x03" + bytes((0, 11, 21)) * 107 + END, 0)
    assert set(pads.colours(0).values()) == {RED}
    assert pads.heard.ignored == {"over-long SysEx": 2}
    pads.hear(bulk({11: OFF}), 0)  # too long is not malformed: the next is heard
    assert pads.colours(0)[11] == OFF


@pytest.mark.parametrize(
    "malformed",
    [
        HEADER + b"\x03\x03\x0b\x00" + END,  # half an entry
        HEADER + b"\x03\x07\x0b\x00" + END,  # no such type
        HEADER + b"\x0e\x05" + END,  # no such mode
        HEADER + b"\x03\x03",  # cut off
    ],
)
def test_a_malformed_sysex_eats_the_next_message_and_no_more(malformed: bytes) -> None:
    pads = unit()
    pads.hear(malformed, 0)
    pads.hear(bulk({11: RED}), 0)
    assert pads.colours(0)[11] == OFF
    pads.hear(bulk({11: RED}), 0)
    assert pads.colours(0)[11] == RED
    assert pads.heard.ignored["eaten"] == 1


def test_clock_strangers_and_cells_that_are_not_there_change_nothing() -> None:
    pads = unit()
    before = pads.colours(0)
    for message in (
        b"\xf8",
        b"\xfa",
        b"\x80\x0b\x40",
        b"\x93\x0b\x05",
        b"\xe0\x00\x40",
        b"\x90\x64\x05",
        b"\xf0\x00\x20\x29\x02\x10\x0e\x05\xf7",  # the older Pro's: all on
        HEADER + b"\x10\x01" + END,  # DAW mode is for another port
        b"\xf7\x0b\x05",
    ):
        assert pads.hear(message, 0) == []
    assert pads.colours(0) == before
    assert pads.heard.ignored["realtime"] == 2
    pads.hear(b"\x90\x0b\xf8\x05", 0)  # a clock may stand inside a message
    assert pads.colours(0)[11] == COLOURS[5]


def test_in_live_mode_it_is_dark_takes_no_light_and_floods() -> None:
    pads = unit(floods=True)
    pads.hear(bulk({11: RED}), 0)
    assert pads.tick(BEAT_NS) == []
    pads.hear(LIVE_MODE, 0)
    assert pads.press(11) == []
    assert set(pads.colours(0).values()) == {OFF}
    pads.hear(bulk({12: RED}), 0)
    assert len(pads.tick(2 * BEAT_NS)) == 24
    assert set(pads.tick(3 * BEAT_NS)) == {b"\xf8"}
    pads.hear(PROGRAMMER_MODE, 0)
    assert pads.colours(0)[11] == RED  # what was lit before is kept
    assert pads.colours(0)[12] == OFF
    pads.power_cycle()
    assert pads.mode is Mode.LIVE
    pads.hear(PROGRAMMER_MODE, 0)
    assert pads.colours(0)[11] == OFF


def test_every_cell_but_the_logo_is_pressed_and_read() -> None:
    pads = unit()
    assert pads.press(LOGO) == []
    for index in (*PADS, *BUTTONS):
        (down,) = pads.press(index, 99)
        assert pads.press(index) == []  # a finger is there
        (up,) = pads.release(index)
        assert pads.release(index) == []
        assert read(down) == Press(PressKind.DOWN, index, 99 if index in PADS else 127)
        assert read(up) == Press(PressKind.UP, index)


def test_pressure_is_told_as_the_unit_is_set() -> None:
    poly, channel, off = (unit(aftertouch=kind) for kind in (Aftertouch.POLY, *_others()))
    for pads in (poly, channel, off):
        pads.press(11)
        pads.press(12)
        pads.press(1)
        assert pads.pressure(1, 50) == []  # a button
        assert pads.pressure(13, 50) == []  # not held
    assert poly.pressure(11, 50) == [b"\xa0\x0b\x32"]
    assert channel.pressure(11, 50) == [b"\xd0\x32"]
    assert channel.pressure(12, 40) == []  # the strongest counts
    assert channel.pressure(11, 30) == [b"\xd0\x28"]
    assert off.pressure(11, 50) == []


def _others() -> tuple[Aftertouch, Aftertouch]:
    return Aftertouch.CHANNEL, Aftertouch.OFF


@given(st.lists(st.binary(max_size=600), max_size=8))
def test_no_bytes_raise_and_a_whole_message_gets_through_again(arrivals: list[bytes]) -> None:
    pads = EmulatedMk3()
    for data in arrivals:
        pads.hear(data, 0)
    pads.hear(b"\x90\x0b\x05", 0)  # at most this one is eaten
    pads.hear(b"\x90\x0b\x05", 0)
    assert pads.hear(INQUIRY, 0) == [IDENTITY]


def test_the_picture_shows_each_cell_where_it_is(tmp_path: Path) -> None:
    assert len({place(index) for index in CELLS}) == len(CELLS)
    file = tmp_path / "pads.png"
    for index in (11, 88, 90, 108, 8, LOGO):
        draw({index: RED}, file, labels={index: ""})
        with Image.open(file) as picture:
            column, row = place(index)
            assert picture.getpixel((16 + 64 * column + 32, 16 + 64 * row + 32)) == (255, 0, 0)
            reds = sum(n for n, colour in picture.getcolors(1 << 20) or () if colour == (255, 0, 0))
            assert reds < 64 * 64  # and nowhere else

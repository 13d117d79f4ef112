"""Risk: a device gets bytes it does not know, too many of them, or is left painted wrongly."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.launchpad import mk3, open_driver, pro
from devices.launchpad.launchpad_py import LaunchpadPy, ProMk3
from devices.launchpad.layout import PageState
from devices.launchpad.mk3 import CELLS, FRAME_NS, HURRY_NS, PADS, Mk3, bulk, decode, notice, read
from devices.launchpad.pages import paint
from devices.launchpad.pro import CELLS_TO_UNIT
from devices.launchpad.units import MK3, identity
from engine.layout import MIDI_BYTES_MAX
from engine.surface import OFF, Cells, Press, PressKind, difference

DRIVERS = ("mk3", "launchpad-py")
rgb = st.tuples(*[st.integers(0, 127)] * 3)
some_cells = st.dictionaries(st.sampled_from(CELLS), rgb, max_size=106)


def device() -> ProMk3:
    pads = LaunchpadPy().device
    pads.midi.take()
    return pads


def test_the_cells_are_those_of_the_guide() -> None:
    assert len(CELLS) == len(set(CELLS)) == mk3.ENTRIES_MAX
    assert set(range(1, 109)) - set(CELLS) == {9, 100}
    assert 109 not in CELLS


@pytest.mark.parametrize("name", DRIVERS)
@given(frames=st.lists(some_cells, min_size=1, max_size=8))
def test_what_was_sent_adds_up_to_what_should_show(name: str, frames: list[Cells]) -> None:
    driver, shown = open_driver(name), dict.fromkeys(CELLS, (1, 2, 3))
    for i, cells in enumerate(frames):
        sent = driver.render(cells, i * FRAME_NS)
        assert len(sent) <= 1
        for message in sent:
            assert len(message) <= MIDI_BYTES_MAX
            lit = decode(message)
            assert lit is not None
            assert lit == difference(lit, shown) or i == 0  # nothing but what changed
            shown.update(lit)
        assert shown == {index: cells.get(index, OFF) for index in CELLS}
        assert driver.render(cells, i * FRAME_NS + FRAME_NS - 1) == []


@pytest.mark.parametrize("name", DRIVERS)
def test_frames_come_no_faster_than_forty_a_second_and_lose_nothing(name: str) -> None:
    driver = open_driver(name)
    sent = []
    for ms in range(1000):
        cells = paint(PageState(roles={"drums": []}), ms / 500)
        sent += driver.render({**cells, 11: (ms % 128, 0, 0)}, ms * 1_000_000)
    assert 39 <= len(sent) <= 41
    last = {11: ((999) % 128, 0, 0)}
    (message,) = driver.render({**paint(PageState(roles={"drums": []}), 2.0), **last}, 10**10)
    assert (decode(message) or {})[11] == (103, 0, 0)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_reconnected_device_is_painted_whole(name: str) -> None:
    driver = open_driver(name)
    assert len(decode(driver.render({}, 0)[0]) or {}) == len(CELLS)
    assert driver.render({}, FRAME_NS) == []
    told = driver.read(notice(PressKind.CONNECTED))
    assert told == Press(PressKind.CONNECTED)
    assert len(decode(driver.render({}, FRAME_NS + 1)[0]) or {}) == len(CELLS)


@given(st.lists(some_cells, max_size=6))
def test_both_drivers_send_the_same_bytes(frames: list[Cells]) -> None:
    ours, theirs = Mk3(), LaunchpadPy()
    for i, cells in enumerate(frames):
        assert ours.render(cells, i * FRAME_NS) == theirs.render(cells, i * FRAME_NS)


@given(
    st.binary(min_size=3, max_size=3).map(lambda b: bytes((b[0] | 0x80, b[1] & 0x7F, b[2] & 0x7F)))
)
def test_both_drivers_read_the_same_presses(message: bytes) -> None:
    if message[0] < 0xF0:
        assert Mk3().read(message) == LaunchpadPy().read(message)


@given(st.binary(max_size=8))
def test_no_bytes_from_a_device_raise(message: bytes) -> None:
    press = read(message)
    if press is not None and message[0] != mk3.NOTICE:
        assert press.index in CELLS or (press.kind is PressKind.PRESSURE and press.index == 0)
        assert 0 <= press.value <= 255


@pytest.mark.parametrize("cells", [{9: OFF}, {100: OFF}, {109: OFF}, {0: OFF}, {200: OFF}])
def test_a_cell_that_does_not_exist_is_refused(cells: Cells) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        bulk(cells)


# launchpad-py's own class, unmended, is what it says of itself; the bytes where ours must agree.


def original() -> ProMk3:
    pads = ProMk3.__mro__[1]()
    pads.midi.OpenOutput(0)
    pads.midi.OpenInput(0)
    return pads


def test_modes_and_palette_messages_are_byte_for_byte_launchpad_pys() -> None:
    theirs, mended = original(), device()
    for pads in (theirs, mended):
        pads.LedSetMode(1)
        pads.LedSetMode(0)
        for number in PADS:
            pads.LedCtrlRawByCode(number, 21)
            pads.LedCtrlFlashByCode(number, 5)
            pads.LedCtrlPulseByCode(number, 45)
        pads.LedCtrlXYByCode(3, 4, 13)
        pads.LedCtrlXYByCode(3, 4, 13, "pro")
    expected = theirs.midi.take()
    assert mended.midi.take() == expected
    assert expected[:2] == [mk3.PROGRAMMER_MODE, mk3.LIVE_MODE]
    assert expected[2] == bytes((0x90, 11, 21))


@pytest.mark.parametrize("number", [n for n in CELLS if n <= 99])
def test_true_colour_of_one_cell_is_byte_for_byte_launchpad_pys(number: int) -> None:
    theirs, mended = original(), device()
    theirs.LedCtrlRaw(number, 63, 10, 1)
    mended.LedCtrlRaw(number, 126, 20, 2)  # six bits there, seven here
    assert mended.midi.take() == theirs.midi.take() == [bulk({number: (126, 20, 2)})]


def test_the_faults_are_there_and_mended() -> None:
    theirs, mended = original(), device()
    for pads in (theirs, mended):
        pads.LedCtrlRaw(105, 10, 10, 10)
    assert theirs.midi.take() == []
    assert mended.midi.take() == [bulk({105: (10, 10, 10)})]
    theirs.LedSetLayout(1)
    assert b"\x02\x10" in theirs.midi.take()[0]  # the old Pro's header
    mended.LedSetLayout(17)
    assert mended.midi.take() == [mk3.HEADER + b"\x00\x11\x00\x00\xf7"]
    theirs.LedAllOn(3)
    assert len(theirs.midi.take()) == 81
    mended.LedAllOn(3)
    (message,) = mended.midi.take()
    assert [message[i + 1] for i in range(7, len(message) - 1, 3)] == list(CELLS)
    theirs.midi.feed(b"\xa0\x0b\x40")
    assert theirs.ButtonStateRaw(returnPressure=True) == []
    mended.midi.feed(b"\xa0\x0b\x40")
    assert mended.ButtonStateRaw(returnPressure=True) == [255, 0x40, 11]
    theirs.Close()
    assert theirs.midi.devIn is not None
    mended.Close()
    assert mended.midi.take() == [mk3.LIVE_MODE]
    assert mended.midi.devIn is mended.midi.devOut is None


def test_rows_nine_and_ten_are_read_and_lit_where_they_are() -> None:
    pads = device()
    for number in (101, 108, 1, 8):
        pads.midi.feed(bytes((0xB0, number, 127)))
        x, y, value = pads.ButtonStateXY()
        assert value == 127
        pads.LedCtrlXY(x, y, 9, 9, 9)
        assert pads.midi.take() == [bulk({number: (9, 9, 9)})]


def test_a_string_shows_its_first_character_and_does_not_wait() -> None:
    shown, single = device(), device()
    shown.LedCtrlString("A!", 60, 60, 60, shown.SCROLL_LEFT)
    single.LedCtrlChar("A", 60, 60, 60)
    assert shown.midi.take() == single.midi.take() != []


def test_pygame_was_not_needed_and_no_stand_in_stays() -> None:
    assert "pygame" not in sys.modules
    assert "pygame.midi" not in sys.modules


def test_the_inquiry_answer_gives_the_version() -> None:
    answer = bytes((0xF0, 0x7E, 0, 6, 2, 0, 0x20, 0x29, 0x23, 1, 0, 0, 0, 4, 5, 1, 0xF7))
    told = identity(answer)
    assert told is not None
    assert (told.name, told.version, told.family) == ("Launchpad Pro MK3", "0451", MK3.family)
    assert identity(answer[:-1]) is None
    mini = identity(answer.replace(b"\x23", b"\x13"))
    assert mini is not None
    assert mini.name == "Launchpad Mini MK3"


def test_an_unknown_driver_is_named() -> None:
    with pytest.raises(ValueError, match="'mk2', expected mk3, launchpad-py or pro"):
        open_driver("mk2")


@pytest.mark.parametrize("name", ["mk3", "launchpad-py", "pro"])
def test_a_press_is_answered_between_two_frames(name: str) -> None:
    driver, now = open_driver(name), 0
    assert driver.render({11: (9, 9, 9)}, now)
    now += FRAME_NS // 5
    assert not driver.render({11: (1, 2, 3)}, now)
    press = driver.read(bytes((0x90, 11, 100)))
    assert press is not None
    assert press.kind is PressKind.DOWN
    assert driver.render({11: (1, 2, 3)}, now)
    assert not driver.render({11: (3, 2, 1)}, now)  # once a press
    assert driver.render({11: (3, 2, 1)}, FRAME_NS)  # the frames go on where they were


@pytest.mark.parametrize("name", ["mk3", "launchpad-py", "pro"])
def test_what_a_press_has_lit_is_painted_again_though_it_was_over_by_then(name: str) -> None:
    driver, cells = open_driver(name), {11: (9, 9, 9), 80: (5, 5, 5)}
    unit = CELLS_TO_UNIT[80] if name == "pro" else 80
    for frame in range(3):
        driver.render(cells, frame * FRAME_NS)
    assert driver.render(cells, 3 * FRAME_NS) == []
    driver.read(bytes((0xB0, unit, 127)))  # lit by now, by the midi process
    driver.read(bytes((0xB0, unit, 0)))
    (message,) = driver.render(cells, 4 * FRAME_NS)
    painted = pro.decode(message) if name == "pro" else decode(message)
    assert painted == {unit: (2, 2, 2) if name == "pro" else (5, 5, 5)}


def test_a_flood_of_presses_is_no_flood_of_light() -> None:
    driver, sent = Mk3(), 0
    for millisecond in range(1000):
        driver.read(bytes((0x90, 11, 1 + millisecond % 2 * 99)))
        sent += len(driver.render({11: (millisecond % 128, 0, 0)}, millisecond * 1_000_000))
    assert sent <= 1000 // (HURRY_NS // 1_000_000) + 41


@given(st.lists(st.integers(1, 12), min_size=300, max_size=300))
def test_who_looks_late_still_shows_forty_frames_a_second(steps: list[int]) -> None:
    driver, now, sent = Mk3(), 0, 0
    for k, milliseconds in enumerate(steps):
        sent += len(driver.render({11: (k % 128, 0, 0)}, now))
        now += milliseconds * 1_000_000
    assert abs(sent - now / FRAME_NS) <= 1.5

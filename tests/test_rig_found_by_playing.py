"""Risk: `segue rig` takes the wrong channel or port, or writes over what somebody wrote."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.patch import Cv, Input, MidiIn, Output, Patch, Surface, Voice
from engine.rig import Rig, RigAudio, RigCv, RigInput, RigMidi, RigOutput, RigPort
from engine.rig_dialogue import BURST_DB, RigDialogue, burst, port_pattern
from engine.rig_find import (
    FLOOR_DB,
    ChannelFinder,
    PortFinder,
    is_press,
    levels_db,
    parse_choice,
)
from engine.rig_load import load_rig
from engine.rig_write import save, to_yaml

RATE = 48_000
ROOT = Path(__file__).parents[1]
FLOOR = np.full(4, -80.0)


# ---- decisions


def heard(finder: ChannelFinder, *levels: float, times: int = 6) -> int | None:
    for _ in range(times):
        channel = finder.feed(np.array(levels))
        if channel is not None:
            return channel
    return None


def test_the_channel_that_is_played_is_found_and_one_knock_is_not_enough() -> None:
    assert heard(ChannelFinder(FLOOR), -80, -79, -30, -78) == 2
    knocked = ChannelFinder(FLOOR)
    assert heard(knocked, -80, -20, -80, -80, times=3) is None
    assert heard(knocked, -80, -80, -30, -80) == 2


def test_bleed_noise_and_others_channels_are_not_taken() -> None:
    assert heard(ChannelFinder(FLOOR), -40, -30, -80, -80) == 1  # bleed, 10 dB down
    hum = ChannelFinder(np.array([-30.0, -80.0, -80.0, -80.0]))
    assert heard(hum, -28, -40, -80, -80) == 1  # louder, but it always was
    assert heard(ChannelFinder(FLOOR, frozenset({1})), -50, -20, -80, -80) == 0
    assert heard(ChannelFinder(np.full(4, -130.0)), -80, -100, -100, -100) is None


def test_two_alike_are_asked_about() -> None:
    finder = ChannelFinder(FLOOR)
    assert heard(finder, -80, -30, -31, -80, times=20) is None
    assert sorted(finder.alike) == [1, 2]


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-140, 20), min_size=3, max_size=3), max_size=40))
def test_whatever_is_heard_a_found_channel_was_ahead(windows: list[list[float]]) -> None:
    finder = ChannelFinder(np.full(3, -80.0), frozenset({0}))
    for window in windows:
        channel = finder.feed(np.array(window))
        if channel is not None:
            assert channel in (1, 2)


def test_levels() -> None:
    x = np.zeros((RATE, 3), np.float32)
    x[:, 1] = 0.5
    x[5, 2] = np.nan
    np.testing.assert_allclose(levels_db(x), [FLOOR_DB, 20 * np.log10(0.5), FLOOR_DB], atol=1e-6)


def test_only_presses_count_and_the_port_with_most_of_them_wins() -> None:
    assert is_press(b"\x90\x24\x40")
    for data in (b"\xf8", b"\xfe", b"\x90\x24\x00", b"\x80\x24\x40", b"\xb0\x07\x00", b""):
        assert not is_press(data)
    finder = PortFinder()
    assert finder.feed([("clock", b"\xf8")] * 90) is None
    presses = [("daw", b"\xb0\x01\x01"), ("midi", b"\x90\x24\x40"), ("midi", b"\xa0\x24\x44")]
    assert finder.feed(presses) == "midi"
    assert PortFinder(frozenset({"midi"})).feed(presses) == "daw"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1", 0), (" 3. ", 2), ("0", None), ("4", None), ("-1", None), ("", None), ("²", None)],
)
def test_answers_of_a_person(text: str, wanted: int | None) -> None:
    assert parse_choice(text, 3) == wanted


@pytest.mark.parametrize(
    "port",
    [
        "Launchpad Pro MK3:Launchpad Pro MK3 LPProMK3 MIDI 28:0",
        "a2j:Nord (20) [capture]: x/y 🎺",
        "system:midi_capture_1",
    ],
)
def test_a_port_is_found_again_under_another_number(port: str) -> None:
    pattern = port_pattern(port)
    assert re.search(pattern, port)
    assert re.search(pattern, re.sub(r" \d+:\d+$", " 131:2", port))
    assert not re.search(pattern, "another " + port)


def test_the_hiss_is_quiet_and_starts_and_ends_in_silence() -> None:
    x = burst(RATE, BURST_DB)
    assert x[0] == 0.0
    assert abs(x[-1]) < 1e-4
    assert np.abs(x).max() < 10 ** ((BURST_DB + 10) / 20)
    assert 20 * np.log10(np.std(x[RATE // 4 : -RATE // 4])) == pytest.approx(BURST_DB, abs=0.5)


# ---- the conversation, with a room made of numbers


class Room:
    """An interface: `sounding` is the input that is played now."""

    name, rate = "Box (4/4) 🎺", RATE
    inputs = tuple(f"in {i}" for i in range(4))  # type: ignore[assignment]
    outputs = tuple(f"out {i}" for i in range(6))  # type: ignore[assignment]

    def __init__(self) -> None:
        self.sounding: int | None = None
        self.played: list[tuple[int, float]] = []

    def run(self, play: np.ndarray) -> np.ndarray:
        for channel in np.flatnonzero(play.any(axis=0)):
            self.played.append((int(channel), float(np.abs(play).max())))
        x = np.random.default_rng(1).normal(0.0, 1e-4, (len(play), 4)).astype(np.float32)
        if self.sounding is not None:
            x[:, self.sounding] *= 1000.0
        return x


class Person:
    """Answers questions in order; `on` says what happens when something is said."""

    def __init__(self, answers: list[str], on: Callable[[str], None]) -> None:
        self.answers, self.on = answers, on
        self.said: list[str] = []
        self.skips: set[str] = set()
        self._skip = False

    def say(self, text: str) -> None:
        self.said.append(text)
        self._skip = any(word in text for word in self.skips)
        self.on(text)

    def ask(self, text: str) -> str:
        self.said.append(text)
        return self.answers.pop(0) if self.answers else ""

    @contextmanager
    def until_enter(self) -> Iterator[Callable[[], bool]]:
        yield lambda: self._skip


class Pads:
    def __init__(self) -> None:
        self.waiting: list[tuple[str, bytes]] = []

    def poll(self) -> list[tuple[str, bytes]]:
        out, self.waiting = self.waiting, []
        return out


PATCH = Patch(
    inputs={"horn": Input(), "voice": Input(), "demo": Input(stream="performer")},
    voices={"piano": Voice()},
    midi={"keys": MidiIn(), "foot": MidiIn()},
    surfaces={"grid": Surface()},
    outputs={"main": Output(channels=(1, 2)), "monitor1": Output(channels=(3,))},
    cv={"pitch": Cv(source="piano")},
)


def converse(answers: list[str], skips: set[str] = frozenset()) -> tuple[Rig, Person, Room]:  # type: ignore[assignment]
    room, pads = Room(), Pads()

    def on(text: str) -> None:
        if text.startswith("Play "):
            room.sounding = {"horn": 2, "voice": 0}[text.split()[1]]
        if text.startswith("Press a key of keys"):
            pads.waiting = [("Nord Stage 20:0", b"\x90\x24\x40")]
        if text.startswith("Press any pad of grid"):
            pads.waiting = [("Nord Stage 20:0", b"\x90\x24\x40"), ("LPX", b"\x90\x24\x40")]

    person = Person(answers, on)
    person.skips = set(skips)
    clock = iter(range(10**9))
    talk = RigDialogue(PATCH, room, pads, person, lambda s: None, lambda: float(next(clock)))
    return talk.find("hall"), person, room


def test_a_whole_conversation() -> None:
    # main left is on output 2, nothing on 1, main right on 3 after a repeat and a louder one,
    # nothing on 4, the monitor on 5; a voltage is kept off a speaker
    rig, person, room = converse(["", "1", "r", "+", "x", "2", "", "3", "2", "9", "6"])
    assert rig == Rig(
        name="hall",
        audio=RigAudio(device=re.escape(Room.name).replace(r"\ ", " ") + "$", rate=RATE),
        inputs={"horn": RigInput(channel=3), "voice": RigInput(channel=1)},
        outputs={"main": RigOutput(channels=(2, 3)), "monitor1": RigOutput(channels=(5,))},
        midi={"keys": RigMidi("^Nord Stage")},
        surfaces={"grid": RigPort("^LPX$")},
        cv={"pitch": RigCv(channel=6)},
    )
    assert "  foot: not found; waited for by the patch's own pattern, if any" in person.said
    assert any("destroy" in text for text in person.said)
    loud = [level for channel, level in room.played if channel == 2]
    assert len(loud) == 4
    assert loud[1] == loud[0] < loud[2] == loud[3]


def test_whatever_is_skipped_is_left_out_and_said() -> None:
    rig, person, _ = converse(["q"], {"Play horn"})
    assert rig.inputs == {"voice": RigInput(channel=1)}
    assert rig.outputs == {}
    assert rig.cv == {}
    assert "  horn: not found; it will be missing" in person.said


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rig, _, _ = converse(["", "1", "2", "3", "6"])
    rig = replace(rig, tuning_hz=441.25, name="Zur Eule: 'Saal' #2 🎺")
    path = tmp_path / "new folder" / "rig one.yaml"
    save(path, to_yaml(rig))
    assert load_rig(path).rig == rig

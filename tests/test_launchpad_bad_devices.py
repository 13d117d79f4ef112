"""Risk: a Launchpad that is pulled, doubled, mistaken or babbling leaves something held or lost."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from midi_fakes import Clock, Pipe, Server

from devices.launchpad.emulated import IDENTITY
from devices.launchpad.hand import Hand
from devices.launchpad.layout import DRY_PAD, PANIC_BUTTON, PageState
from devices.launchpad.mk3 import (
    CELLS,
    HURRY_NS,
    INQUIRY,
    PROGRAMMER_MODE,
    bulk,
    notice,
    read,
)
from devices.launchpad.pro import NOTE_LAYOUT, STANDALONE, light
from devices.launchpad.units import MK3
from devices.midi.ports import Ports, PortState, port_table
from devices.midi.process import MidiProcess
from devices.midi.surface_port import FINGERS, SILENT_NS
from devices.midi.touches import PRESSURE_NS
from engine.layout import MIDI_OUT, SafeKind
from engine.patch import Patch, Surface
from engine.shm import Shared
from engine.surface import WHITE, PressKind

ONE = Patch(surfaces={"grid": Surface()})
TWO = Patch(surfaces={"left": Surface(), "right": Surface()})
A, B = "Launchpad Pro MK3 A LPProMK3 MIDI 24:0", "Launchpad Pro MK3 B LPProMK3 MIDI 28:0"
LAUNCHPAD_X = IDENTITY.replace(MK3.family, b"\x03\x01")
THERE = (PortState.OPEN, PortState.VIRTUAL)
HELD = bytes((0xB0, PANIC_BUTTON, 127))
LET_GO = bytes((0xB0, PANIC_BUTTON, 0))


class Stage:
    """A midi process and the cables of its Launchpads; answering: they answer inquiries."""

    def __init__(self, patch: Patch = ONE, *plugged: str, answering: bool = True) -> None:
        self.clock, self.server = Clock(), Server()
        self.server.plug(*plugged)
        self.shared = Shared.private(patch)
        self.process = MidiProcess(self.shared, Ports(port_table(patch), [self.server.system()]))
        self.rows = [row.name for row in port_table(patch)]
        self.identity = IDENTITY if answering else None
        self._asked: dict[int, int] = {}
        self.told: list[bytes] = []
        self.safe: list[SafeKind] = []

    def pipe(self, reads: bool, label: str = "grid") -> Pipe:
        return self.server.pipe(label, reads)

    def turn(self, seconds: float = 0.002) -> None:
        """Two milliseconds a step, and the units' answers in between."""
        for _ in range(max(1, round(seconds / 0.002))):
            self.process.step(self.clock.forward(0.002))
            for label in self.shared.patch.surfaces:
                if self.process.ports.state(self.rows.index(label), False) not in THERE:
                    continue
                out = self.pipe(False, label)
                asked = out.sent.count(INQUIRY)
                if asked > self._asked.get(id(out), 0) and out.port and self.identity:
                    self.pipe(True, label).arrived.append(self.identity)
                self._asked[id(out)] = asked
            self.told += [r["data"].tobytes() for r in self.shared.ring("presses").pop(4096)]
            self.safe += [SafeKind(r["kind"]) for r in self.shared.ring("midi_safe").pop()]

    def send(self, *messages: bytes, label: str = "grid") -> None:
        self.pipe(True, label).arrived += messages
        self.turn()

    def kinds(self) -> list[PressKind]:
        """What the conductor was told since the last time."""
        found, self.told = [read(m) for m in self.told], []
        return [press.kind for press in found if press is not None]


def test_panic_wants_a_hand_that_is_still_there() -> None:
    stage = Stage(ONE, A)
    stage.turn(0.1)
    stage.send(HELD)
    stage.turn(0.49)
    assert stage.safe == []
    stage.turn(0.02)  # held long enough, asked, answered
    assert stage.safe == [SafeKind.PANIC]
    stage.turn(2.0)
    stage.send(LET_GO)
    assert stage.safe == [SafeKind.PANIC]  # once


def test_a_release_just_after_the_hold_shows_the_hand_too() -> None:
    stage = Stage(ONE, A)
    stage.turn(0.1)
    stage.identity = None  # its answers get lost
    stage.send(HELD)
    stage.turn(0.55)
    assert stage.safe == []
    stage.send(LET_GO)
    assert stage.safe == [SafeKind.PANIC]


def test_a_unit_that_never_answers_may_panic_as_well() -> None:
    stage = Stage(ONE, A, answering=False)
    stage.turn(0.1)
    stage.send(HELD)
    stage.turn(0.502)
    assert stage.safe == [SafeKind.PANIC]


@pytest.mark.parametrize("pulled_after", [0.01, 0.25, 0.49])
def test_a_cable_pulled_in_the_middle_of_a_hold_is_no_panic(pulled_after: float) -> None:
    stage = Stage(ONE, A)
    stage.turn(0.1)
    stage.send(HELD, b"\x90\x0b\x64")
    stage.turn(pulled_after)
    stage.server.unplug(A)
    stage.identity = None
    stage.turn(3.0)
    assert stage.safe == []
    assert PressKind.LOST in stage.kinds()
    stage.server.plug(A)
    stage.identity = IDENTITY
    stage.turn(3.0)
    assert stage.safe == []
    assert stage.kinds()[-1] is PressKind.CONNECTED
    stage.send(HELD)
    stage.turn(0.6)
    assert stage.safe == [SafeKind.PANIC]  # and the button works again


def test_a_replug_between_two_looks_is_noticed_by_silence() -> None:
    stage = Stage(ONE, A)
    stage.turn(0.1)
    stage.send(HELD)
    before = stage.pipe(False)
    stage.identity = None  # the port is listed again, but nobody is connected to it
    stage.turn(SILENT_NS / 1e9 + 2.0)
    assert stage.safe == []
    assert stage.kinds().count(PressKind.LOST) >= 1
    after = stage.pipe(False)
    assert before.closed
    assert after.sent[:2] == [INQUIRY, PROGRAMMER_MODE]


def test_something_else_that_answers_is_named_and_not_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(ONE, A)
    stage.identity = LAUNCHPAD_X
    with caplog.at_level(logging.WARNING):
        stage.turn(0.1)
    assert f"grid: {A} is Launchpad X, expected Launchpad Pro MK3: not used." in caplog.text
    assert stage.kinds()[-1] is PressKind.LOST
    lights = bulk({11: (1, 2, 3)})
    record = np.zeros(1, MIDI_OUT)
    record["size"] = len(lights)
    record["data"][0, : len(lights)] = np.frombuffer(lights, np.uint8)
    stage.shared.push("midi_out", record)
    sent = len(stage.pipe(False).sent)
    stage.send(bytes((0x90, DRY_PAD, 100)), HELD, b"\x90\x0b\x64", b"\xd0\x40")
    stage.turn(3.0)
    assert stage.safe == []
    assert stage.told == []
    assert set(stage.pipe(False).sent[sent:]) == {INQUIRY}  # it may be exchanged
    assert caplog.text.count("not used") == 1
    stage.identity = IDENTITY  # the right one is at the same port now
    stage.turn(1.1)
    assert stage.kinds() == [PressKind.CONNECTED]
    stage.send(bytes((0x90, DRY_PAD, 100)))
    assert stage.safe == [SafeKind.DRY_TOGGLE]


def test_of_two_units_one_is_used_both_ways_and_the_other_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.server.plugged_in += [A, B]
    stage.server.plugged_out += [B, A]  # systems list them in any order
    with caplog.at_level(logging.WARNING):
        stage.turn(1.1)
    assert (stage.pipe(True).port, stage.pipe(False).port) == (A, A)
    assert f"2 ports match '{MK3.port}'; using {A}, not {B}. Name one with `port`" in caplog.text
    assert caplog.text.count("ports match") == 1
    stage.server.unplug(A)
    stage.turn(1.1)
    assert (stage.pipe(True).port, stage.pipe(False).port) == (B, B)
    stage.server.plugged_in.insert(0, A)
    stage.server.plugged_out.append(A)
    stage.turn(1.1)
    assert (stage.pipe(True).port, stage.pipe(False).port) == (B, B)  # no hand is interrupted


def test_two_surfaces_have_a_unit_each() -> None:
    stage = Stage(TWO, A, B)
    stage.turn(1.1)
    assert {stage.pipe(True, name).port for name in TWO.surfaces} == {A, B}
    for name in TWO.surfaces:
        assert stage.pipe(True, name).port == stage.pipe(False, name).port
    assert stage.process.ports.rivals() == []
    stage.server.unplug(A)
    stage.turn(1.1)
    states = {stage.process.ports.state(i, True) for i in range(2)}
    assert states == {PortState.OPEN, PortState.VIRTUAL}


def test_a_flood_of_pressure_is_thinned_counted_and_holds_nothing_up() -> None:
    stage = Stage(ONE, A)
    stage.turn(0.1)
    stage.told.clear()
    for i in range(500):  # a second, 64 pads, every two milliseconds
        flood = [bytes((0xA0, 10 * row + column, i % 128)) for row in range(1, 9)
                 for column in range(1, 9)]  # fmt: skip
        if i == 250:
            flood.insert(32, bytes((0x90, DRY_PAD, 100)))
        stage.send(*flood)
    told, pressure = len(stage.told), [m for m in stage.told if m[0] == 0xA0]
    assert stage.safe == [SafeKind.DRY_TOGGLE]
    assert told - len(pressure) == 1
    seconds = 1.0
    assert len(pressure) <= 64 * (seconds / (PRESSURE_NS / 1e9) + 1)
    assert stage.process.touches.thinned + len(pressure) + 64 >= 500 * 64
    stage.turn(0.02)
    last = {m[1]: m[2] for m in stage.told if m[0] == 0xA0}
    assert set(last.values()) == {499 % 128}  # and the last is what it is


def test_pressure_does_not_outlive_its_press_or_its_unit() -> None:
    stage = Stage(ONE, A)
    stage.turn(0.1)
    stage.send(b"\x90\x0b\x64", b"\xa0\x0b\x10")
    stage.told.clear()
    stage.send(b"\xa0\x0b\x7f", b"\x90\x0b\x00")
    stage.turn(0.1)
    assert [m[:3] for m in stage.told] == [b"\x90\x0b\x00"]
    stage.told.clear()
    stage.send(b"\x90\x0c\x64", b"\xa0\x0c\x10")
    stage.send(b"\xa0\x0c\x7f")
    stage.server.unplug(A)
    stage.identity = None
    for _ in range(300):
        stage.turn()
    lost = [m[:3] for m in stage.told].index(notice(PressKind.LOST))
    assert all(m[0] != 0xA0 for m in stage.told[lost:])


def lights(stage: Stage, since: int) -> list[bytes]:
    sent = stage.pipe(False).sent[since:]
    return [m for m in sent if m not in (INQUIRY, PROGRAMMER_MODE)]


def test_a_press_is_lit_at_once_though_the_conductor_stands_still() -> None:
    stage = Stage(ONE, A)
    stage.turn(0.1)
    begun = len(stage.pipe(False).sent)
    stage.send(b"\x90\x0b\x64", b"\xb0\x5d\x7f")
    assert lights(stage, begun) == [bulk({11: WHITE, 93: WHITE})]
    stage.turn(0.01)
    stage.send(b"\x90\x0b\x00", b"\x80\x0c\x40", b"\xb0\x5d\x00", b"\xa0\x0b\x7f", b"\xd0\x7f")
    stage.send(b"\x90\x7f\x64")  # no such cell
    assert len(lights(stage, begun)) == 1
    for i in range(500):  # a second of a unit that babbles
        stage.send(*(bytes((0x90, 11 + (i + n) % 8, 100)) for n in range(40)))
    answers = lights(stage, begun)[1:]
    assert 150 < len(answers) <= 1e9 / HURRY_NS + 1
    assert max(len(m) for m in answers) <= len(bulk(dict.fromkeys(CELLS[:FINGERS], WHITE)))


def test_what_is_no_launchpad_is_not_lit_and_the_older_pro_in_its_own_words() -> None:
    other = Stage(ONE, A)
    other.identity = LAUNCHPAD_X
    other.turn(0.1)
    begun = len(other.pipe(False).sent)
    other.send(b"\x90\x0b\x64")
    assert lights(other, begun) == []
    patch = Patch(surfaces={"grid": Surface(driver="pro", port="older")})
    older = Stage(patch, "older", answering=False)
    older.turn(0.1)
    begun = len(older.pipe(False).sent)
    older.send(b"\xb0\x46\x7f", b"\xb0\x5b\x7f")  # 70 is no cell of ours, 91 is "up"
    assert lights(older, begun) == [light({91: WHITE})]


def test_presses_that_find_no_room_leave_nothing_held_and_are_counted() -> None:
    stage = Stage(ONE, A)
    stage.turn(0.1)
    ring = stage.shared.ring("presses")
    stage.pipe(True).arrived.append(b"\x90\x0b\x64")
    while not stage.process.touches.refused:  # nobody reads
        assert len(ring) < ring.capacity
        stage.pipe(True).arrived += [b"\x90\x0c\x64", b"\x90\x0c\x00"]
        stage.process.step(stage.clock.forward(0.002))
    stage.pipe(True).arrived.append(b"\x90\x0b\x00")  # the end of the first one is lost
    stage.process.step(stage.clock.forward(0.002))
    assert 2 <= stage.process.touches.refused <= 3
    stage.turn(0.01)
    hand = Hand()
    for message in stage.told:
        press = read(message)
        assert press is not None
        hand.press(press, PageState(), 0)
    assert not hand.held
    assert stage.told[-1][:3] == notice(PressKind.LOST)
    stage.send(b"\x90\x0b\x64")
    assert stage.told[-1][:3] == b"\x90\x0b\x64"


def test_malformed_sysex_from_a_unit_is_told_and_the_next_press_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(ONE, A)
    stage.turn(0.1)
    stage.told.clear()
    stage.send(b"\xf0\x7e\x00\x06\x02", b"\xf7", b"\xf0" + b"\x01" * 5000 + b"\xf7", b"\x90")
    stage.send(b"\xf0\x00\x20\x29\x02\x0e\x03\x90\x0b\x64", b"\x90\x0c\x64")
    assert [m[:3] for m in stage.told] == [b"\x90\x0c\x64"]
    assert "grid: 5002 bytes of malformed MIDI" in caplog.text


def test_the_older_pro_is_found_greeted_and_given_back() -> None:
    port = "Launchpad Pro:Launchpad Pro Standalone Port 20:1"
    stage = Stage(Patch(surfaces={"grid": Surface(driver="pro")}))
    stage.identity = IDENTITY.replace(MK3.family, b"\x51\x00")
    stage.server.plug(A, "Launchpad Pro:Launchpad Pro Live Port 20:0", port)
    stage.turn(0.1)
    out = stage.pipe(False)
    assert out.port == port
    assert STANDALONE in out.sent
    assert PressKind.CONNECTED in stage.kinds()
    stage.process.close()
    assert out.sent[-1] == NOTE_LAYOUT

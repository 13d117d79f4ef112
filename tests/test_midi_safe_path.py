"""Risk: DRY, panic or master needs the conductor, fires twice, or fires by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from midi_fakes import Clock, Server

from devices.launchpad.layout import DRY_PAD, PANIC_BUTTON
from devices.launchpad.mk3 import INQUIRY, LIVE_MODE, PROGRAMMER_MODE, read
from devices.midi.ports import Ports, port_table
from devices.midi.process import MidiProcess
from devices.midi.safe import (
    HOLD_NS,
    SafePath,
    SafeSender,
    master_gain,
    pad_controls,
    safe_record,
)
from engine.layout import MIDI_OUT, NoteKind, SafeKind
from engine.patch import MidiIn, Patch, Surface, Voice
from engine.shm import Shared
from engine.surface import PressKind

PATCH = Patch(
    midi={"keys": MidiIn(port="Keys", voice="piano", channel=1, master_cc=7)},
    voices={"piano": Voice()},
    surfaces={"grid": Surface()},
)
ANSWER = bytes((0xF0, 0x7E, 0, 6, 2, 0, 0x20, 0x29, 0x23, 1, 0, 0, 0, 4, 5, 1, 0xF7))


class Stage:
    """A running midi process with a keyboard and a Launchpad, no conductor."""

    def __init__(self) -> None:
        self.clock, self.server = Clock(), Server()
        self.server.plug("Keys", "LPProMK3 MIDI")
        self.shared = Shared.private(PATCH)
        self.process = MidiProcess(self.shared, Ports(port_table(PATCH), [self.server.system()]))
        self.turn()

    def turn(self, seconds: float = 0.001) -> None:
        self.process.step(self.clock.forward(seconds))

    def send(self, label: str, *messages: bytes) -> None:
        self.server.pipe(label, reads=True).arrived += messages
        self.turn()

    def asked(self) -> list[tuple[SafeKind, float]]:
        records = self.shared.ring("midi_safe").pop()
        return [(SafeKind(r["kind"]), float(r["value"])) for r in records]

    def presses(self) -> list[bytes]:
        return [r["data"].tobytes() for r in self.shared.ring("presses").pop(1024)]


def test_the_foot_switch_toggles_dry_on_the_way_down_only() -> None:
    stage = Stage()
    stage.send("keys", b"\xb0\x43\x7f", b"\xb0\x43\x7f", b"\xb0\x43\x00", b"\xb0\x43\x40")
    assert stage.asked() == [(SafeKind.DRY_TOGGLE, 0.0)] * 2
    stage.send("keys", b"\xb1\x43\x00", b"\xb1\x43\x7f")  # another channel's pedal
    assert stage.asked() == []


def test_nothing_is_lost_while_the_audio_process_is_away() -> None:
    """A fader that is moved meanwhile fills the ring; what was asked for last holds."""
    stage = Stage()
    ring = stage.shared.ring("midi_safe")
    down = [bytes((0xB0, 7, v)) for v in range(127, -1, -1)]
    stage.send("keys", *down)
    assert len(ring) == ring.capacity
    stage.send("keys", b"\xb0\x43\x7f", b"\xb0\x43\x00", bytes((0xB0, 7, 1)))
    stage.send("grid", bytes((0xB0, PANIC_BUTTON, 127)))
    stage.turn(HOLD_NS / 1e9 + 0.01)
    taken = []
    for _ in range(8):
        records = ring.pop(16)
        taken += [(SafeKind(r["kind"]), float(r["value"])) for r in records]
        stage.turn()
    kinds = [kind for kind, _ in taken[ring.capacity :]]
    assert sorted(kinds) == sorted((SafeKind.MASTER, SafeKind.DRY_TOGGLE, SafeKind.PANIC))
    assert [v for k, v in taken if k is SafeKind.MASTER][-1] == pytest.approx(master_gain(1))


@given(st.lists(st.sampled_from([SafeKind.DRY_ON, SafeKind.DRY_OFF, SafeKind.DRY_TOGGLE])))
def test_dry_that_waited_is_as_if_every_press_had_been_heard(presses: list[SafeKind]) -> None:
    shared = Shared.private(PATCH)
    ring, sender = shared.ring("midi_safe"), SafeSender(shared)
    ring.push(np.repeat(safe_record(SafeKind.MASTER, 1.0), ring.capacity))
    for kind in presses:
        sender.send(safe_record(kind))
    ring.clear()
    sender.tick()
    heard = [SafeKind(int(r["kind"])) for r in ring.pop()]
    assert len(heard) <= 1
    for before in (False, True):
        assert after(before, heard) == after(before, presses)


def after(dry: bool, presses: list[SafeKind]) -> bool:
    for kind in presses:
        dry = not dry if kind is SafeKind.DRY_TOGGLE else kind is SafeKind.DRY_ON
    return dry


def test_what_the_safe_path_uses_is_not_for_the_voice() -> None:
    stage = Stage()
    stage.shared.ring("midi_notes").clear()
    stage.send("keys", b"\xb0\x43\x7f", b"\xb0\x07\x50", b"\xb0\x01\x22")
    heard = stage.shared.ring("midi_notes").pop()
    assert [(int(r["kind"]), int(r["key"]), int(r["value"])) for r in heard] == [
        (NoteKind.CC, 1, 0x22),
    ]


def test_the_master_fader_ends_at_unity() -> None:
    stage = Stage()
    stage.send("keys", b"\xb0\x07\x7f", b"\xb0\x07\x00")
    assert stage.asked() == [(SafeKind.MASTER, 1.0), (SafeKind.MASTER, 0.0)]
    gains = [master_gain(v) for v in range(128)]
    assert gains == sorted(gains)


def test_the_dry_pad_and_a_held_stop_clip_need_no_conductor() -> None:
    stage = Stage()
    stage.send("grid", bytes((0x90, DRY_PAD, 90)), bytes((0x90, DRY_PAD, 0)))
    assert stage.asked() == [(SafeKind.DRY_TOGGLE, 0.0)]
    stage.send("keys", b"\x90\x3c\x40")
    stage.send("grid", bytes((0xB0, PANIC_BUTTON, 127)))
    stage.turn(0.499)
    assert stage.asked() == []
    stage.turn(0.002)
    assert stage.asked() == [(SafeKind.PANIC, 0.0)]
    assert not len(stage.process.ledger)
    stage.turn(5.0)
    assert stage.asked() == []  # once a hold
    assert PressKind.HELD in [p.kind for m in stage.presses() if (p := read(m))]


def test_a_stop_clip_let_go_or_unplugged_in_time_is_no_panic() -> None:
    stage = Stage()
    stage.send("grid", bytes((0xB0, PANIC_BUTTON, 127)))
    stage.turn(0.4)
    stage.send("grid", bytes((0xB0, PANIC_BUTTON, 0)))
    stage.turn(1.0)
    stage.send("grid", bytes((0xB0, PANIC_BUTTON, 127)))
    stage.server.unplug("LPProMK3 MIDI")
    stage.turn(0.51)  # the scan sees it gone before half a second of holding is over
    assert stage.asked() == []


@given(st.lists(st.tuples(st.integers(0, 127), st.integers(0, 400)), max_size=30))
def test_panic_comes_exactly_when_one_hold_lasted(steps: list[tuple[int, int]]) -> None:
    path, now, down, since = SafePath(pad_controls(88, 8)), 0, False, None
    for value, milliseconds in steps:
        path.hear(bytes((0xB0, 8, value)), now)
        if value < 64:
            since = None
        elif not down:
            since = now
        down = value >= 64
        now += milliseconds * 1_000_000
        due = since is not None and now - since >= HOLD_NS
        assert (path.tick(now) is not None) == due
        since = None if due else since


def test_the_launchpad_gets_its_mode_life_signs_and_its_freedom_back() -> None:
    stage = Stage()
    pipe = stage.server.pipe("grid", reads=False)
    assert pipe.sent == [INQUIRY, PROGRAMMER_MODE]
    stage.turn(2.0)
    assert pipe.sent[2:] == [INQUIRY, PROGRAMMER_MODE]
    stage.process.close()
    assert pipe.sent[-1] == LIVE_MODE
    assert pipe.closed


def test_every_connection_is_told_to_the_conductor_so_it_paints() -> None:
    stage = Stage()
    assert [read(m).kind for m in stage.presses()] == [PressKind.CONNECTED]  # type: ignore[union-attr]
    stage.send("grid", ANSWER)
    assert [read(m).kind for m in stage.presses()] == [PressKind.CONNECTED]  # type: ignore[union-attr]
    stage.server.unplug("LPProMK3 MIDI")
    stage.turn(0.6)
    told = [read(m).kind for m in stage.presses()]  # type: ignore[union-attr]
    # lost, in and out, then a port offered instead
    assert told == [PressKind.LOST, PressKind.LOST, PressKind.CONNECTED]


def test_a_launchpad_that_answered_and_stops_is_opened_anew() -> None:
    stage = Stage()
    stage.send("grid", ANSWER)
    first = stage.server.pipe("grid", reads=False)
    for _ in range(90):
        stage.turn(0.1)
    assert first.closed
    assert stage.server.pipe("grid", reads=False).port == "LPProMK3 MIDI"


def test_a_launchpad_that_took_no_lights_is_painted_anew_when_it_does() -> None:
    stage = Stage()
    stage.presses()
    pipe = stage.server.pipe("grid", reads=False)
    record = np.zeros(1, MIDI_OUT)
    record["port"], record["size"] = 1, 3
    for full, told in ((True, []), (True, []), (False, [PressKind.CONNECTED]), (False, [])):
        pipe.full = full
        stage.shared.ring("midi_out").push(record)
        stage.turn()
        assert [read(m).kind for m in stage.presses()] == told  # type: ignore[union-attr]


def test_presses_reach_the_conductor_and_pressure_is_thinned() -> None:
    stage = Stage()
    stage.presses()
    flood = [bytes((0xD0, v)) for v in range(100)] + [bytes((0xA0, 11, v)) for v in range(100)]
    stage.send("grid", bytes((0x90, 11, 5)), *flood, bytes((0x90, 11, 0)))
    assert stage.presses() == [
        bytes((0x90, 11, 5, 0, 0, 0)),
        bytes((0x90, 11, 0, 0, 0, 0)),
        bytes((0xD0, 99, 0, 0, 0, 0)),  # the pad's own pressure ended with its press
    ]


@pytest.mark.parametrize("size", [1, 530, 1016])
def test_led_bytes_go_out_as_they_are_and_nonsense_is_ignored(size: int) -> None:
    stage = Stage()
    pipe = stage.server.pipe("grid", reads=False)
    pipe.sent.clear()
    records = np.zeros(3, MIDI_OUT)
    records["port"] = [1, 77, 1]
    records["size"] = [size, 3, 2000]  # no such port; a size that cannot be
    records["data"][0, :size] = 7
    stage.shared.ring("midi_out").push(records)
    stage.turn()
    assert pipe.sent == [bytes([7]) * size]

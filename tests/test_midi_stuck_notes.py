"""Risk: a note hangs, whatever is played, pulled, garbled or asked for in between."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_fakes import Clock, Server

from devices.midi.answers import Answers
from devices.midi.ports import Ports, port_table
from devices.midi.process import ALL_PORTS, MidiProcess
from engine.layout import MIDI_OUT, NOTE, NoteKind
from engine.patch import MidiIn, Patch, Player, Surface, Voice
from engine.shm import Shared

PATCH = Patch(
    midi={
        "keys": MidiIn(port="Keys", voice="piano", transpose=3),
        "pads": MidiIn(port="Pads", voice="piano", channel=2),
    },
    voices={"piano": Voice()},
    players={"echo": Player(model="notochord", listens="keys", voice="piano", midi_out="Synth")},
    surfaces={"grid": Surface()},
)
KEYS, PADS, GRID, ECHO = range(4)


class Rig:
    """A midi process on a fake server, and what its consumers would hear."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = Server()
        self.server.plug("Keys", "Pads", "Synth", "LPProMK3 MIDI")
        self.shared = Shared.private(PATCH)
        ports = Ports(port_table(PATCH), [self.server.system()])
        self.process = MidiProcess(self.shared, ports)
        self.sounding: dict[str, dict[int, np.void]] = {"midi_notes": {}, "notes.echo": {}}
        self.turn()

    def turn(self, seconds: float = 0.001) -> None:
        self.process.step(self.clock.forward(seconds))
        self.listen()

    def listen(self) -> None:
        for ring, sounding in self.sounding.items():
            for record in self.shared.ring(ring).pop(4096):
                if record["kind"] == NoteKind.ON:
                    assert record["id"] not in sounding, "one id, two notes"
                    sounding[int(record["id"])] = record
                elif record["kind"] == NoteKind.OFF:
                    on = sounding.pop(int(record["id"]))  # an off without its on is an error too
                    assert on["key"] == record["key"]
                elif record["kind"] == NoteKind.ALL_OFF:
                    sounding.clear()

    def play(self, label: str, data: bytes) -> None:
        if label.capitalize() in self.server.plugged_in and self.server.up:
            self.server.pipe(label, reads=True).arrived.append(data)

    def close(self) -> None:
        self.process.close()
        self.listen()


message = st.one_of(
    st.tuples(st.integers(0x80, 0x9F), st.integers(57, 63), st.integers(0, 127)).map(bytes),
    st.tuples(
        st.integers(0xB0, 0xB2), st.sampled_from([64, 67, 120, 123]), st.integers(0, 127)
    ).map(
        bytes,
    ),
    st.tuples(st.integers(0xE0, 0xE1), st.integers(0, 127), st.integers(0, 127)).map(bytes),
    st.binary(max_size=6),
    st.binary(max_size=4).map(lambda b: b"\xf0" + b),
)
happening = st.one_of(
    st.tuples(st.just("play"), st.sampled_from(["keys", "pads"]), message),
    st.tuples(st.sampled_from(["unplug", "plug"]), st.sampled_from(["Keys", "Pads"]), st.none()),
    st.tuples(st.sampled_from(["die", "start", "panic"]), st.none(), st.none()),
    st.tuples(st.just("transpose"), st.integers(-12, 12), st.none()),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(happening, max_size=40))
def test_every_note_that_came_in_is_ended_by_the_close(happenings: list[Any]) -> None:
    rig = Rig()
    for what, name, data in happenings:
        if what == "play":
            rig.play(name, data)
        elif what == "unplug" and name in rig.server.plugged_in:
            rig.server.unplug(name)
            rig.turn(0.6)
        elif what == "plug" and name not in rig.server.plugged_in:
            rig.server.plug(name)
            rig.turn(0.6)
        elif what == "die":
            rig.server.die()
            rig.turn(0.2)
        elif what == "start":
            rig.server.up = True
            rig.turn(3.0)
        elif what == "panic":
            record = np.zeros(1, MIDI_OUT)
            record["port"] = ALL_PORTS
            rig.shared.ring("midi_out").push(record)
        elif what == "transpose":
            rig.process._performers[KEYS].transpose = name
        rig.turn()
        if what == "panic":
            assert not len(rig.process.ledger)
    rig.close()
    assert rig.sounding == {"midi_notes": {}, "notes.echo": {}}
    assert not len(rig.process.ledger)


def test_unplugging_ends_only_what_that_port_played() -> None:
    rig = Rig()
    rig.play("keys", b"\x90\x3c\x40")
    rig.play("pads", b"\x91\x3d\x40")
    rig.turn()
    assert {int(r["key"]) for r in rig.sounding["midi_notes"].values()} == {0x3C + 3, 0x3D}
    rig.server.unplug("Keys")
    rig.turn(0.6)
    assert [int(r["key"]) for r in rig.sounding["midi_notes"].values()] == [0x3D]


def test_an_off_finds_the_key_that_was_emitted_before_the_transposition_changed() -> None:
    rig = Rig()
    rig.play("keys", b"\x90\x3c\x40")
    rig.turn()
    rig.process._performers[KEYS].transpose = -12
    rig.play("keys", b"\x90\x3c\x00")  # velocity 0 is an off
    rig.turn()
    assert rig.sounding["midi_notes"] == {}


def test_a_cut_off_sysex_releases_the_port() -> None:
    rig = Rig()
    rig.play("keys", b"\x90\x3c\x40")
    rig.turn()
    rig.play("keys", b"\xf0\x01\x80\x3c\x00\xf7")
    rig.turn()
    assert rig.sounding["midi_notes"] == {}


def test_a_full_ring_is_made_good_by_silence() -> None:
    rig = Rig()
    for i in range(200):  # ten messages a step, and nobody reads
        for j in range(10):
            rig.play("keys", bytes((0x90, (i + j) % 100, 64)))
        rig.process.step(rig.clock.forward(0.001))
    assert rig.process._thru.dropped > 0
    rig.shared.ring("midi_notes").clear()
    rig.process.step(rig.clock.forward(0.001))
    kinds = [int(r["kind"]) for r in rig.shared.ring("midi_notes").pop()]
    assert kinds == [NoteKind.ALL_OFF]


def test_a_restarted_process_carries_another_epoch_and_says_it_at_once() -> None:
    rig = Rig()
    rig.play("keys", b"\x90\x3c\x40")
    rig.turn()
    epoch = {int(r["epoch"]) for r in rig.sounding["midi_notes"].values()}
    MidiProcess(rig.shared, Ports(port_table(PATCH), [rig.server.system()]))  # its successor
    first = rig.shared.ring("midi_notes").pop()
    assert [int(r["kind"]) for r in first] == [NoteKind.ALL_OFF]
    assert int(first[0]["epoch"]) not in epoch


class Synth:
    """What a synthesizer at the other end of the cable has on."""

    def __init__(self) -> None:
        self.on: set[tuple[int, int]] = set()

    def hear(self, messages: list[bytes]) -> None:
        for m in messages:
            key = (m[0] & 0x0F, m[1])
            if m[0] & 0xF0 == 0x90 and m[2] > 0:
                assert key not in self.on, "struck again without an off"
                self.on.add(key)
            elif m[0] & 0xF0 in (0x80, 0x90):
                self.on.remove(key)  # an off for what is not on is an error


answer = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([int(k) for k in NoteKind]),
        "frame": st.integers(0, 2000),
        "id": st.integers(0, 5),
        "key": st.integers(60, 63),
        "velocity": st.integers(0, 127),
        "channel": st.integers(0, 1),
        "epoch": st.integers(1, 2),
    },
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(answer, max_size=8), max_size=8))
def test_answers_at_a_port_pair_up_and_end(batches: list[list[dict[str, int]]]) -> None:
    answers, synth = Answers(), Synth()
    for turn, batch in enumerate(batches):
        records = np.zeros(len(batch), NOTE)
        for record, fields in zip(records, batch, strict=True):
            for name, value in fields.items():
                record[name] = value
        synth.hear(answers.take(records))
        synth.hear(answers.due(turn * 256))
        assert answers.sounding == len(synth.on)
    synth.hear([m for m in answers.panic() if m[0] & 0xF0 == 0x80])
    assert synth.on == set()


def test_answers_leave_at_their_frame_and_what_follows_an_all_off_stays() -> None:
    records = np.zeros(3, NOTE)
    records["kind"] = [NoteKind.ON, NoteKind.ALL_OFF, NoteKind.ON]
    records["frame"] = [1000, 2000, 3000]
    records["key"] = [60, 0, 62]
    records["velocity"] = 50
    answers = Answers()
    assert answers.take(records) == []
    assert answers.due(999) == []
    assert answers.due(1000) == [b"\x90\x3c\x32"]
    assert answers.due(2999) == [b"\x80\x3c\x00"]
    assert answers.due(3000) == [b"\x90\x3e\x32"]


def test_the_players_port_is_silenced_on_the_way_out() -> None:
    rig = Rig()
    records = np.zeros(1, NOTE)
    records["kind"], records["key"], records["velocity"] = NoteKind.ON, 60, 64
    rig.shared.ring("answers_midi.echo").push(records)
    rig.turn()
    pipe = rig.server.pipe("echo", reads=False)
    assert pipe.sent == [b"\x90\x3c\x40"]
    rig.close()
    assert pipe.sent[1] == b"\x80\x3c\x00"
    assert pipe.sent[2:5] == [b"\xb0\x40\x00", b"\xb0\x7b\x00", b"\xb0\x78\x00"]
    assert pipe.closed

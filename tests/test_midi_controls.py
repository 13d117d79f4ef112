"""Risk: a foot-switch or a learned control acts twice, from the wrong port, not at all, or takes a
pianist's sustain away; a reload or a lost port leaves something held."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conductor_desk import SLOT_FRAMES
from hypothesis import given
from hypothesis import strategies as st
from midi_fakes import Clock, Server

from devices.midi.control_map import ControlMap
from devices.midi.controls import Controls
from devices.midi.ports import Ports, port_table
from devices.midi.process import CONTROLS_CHANGED, MidiProcess
from devices.midi.touches import LOST
from engine.conductor import Conductor
from engine.layout import MIDI_OUT, PRESS, NoteKind, SafeKind
from engine.patch import MidiIn, Output, Patch, Player, Voice
from engine.patch_controls import Control, Key, controls_of, key_of
from engine.patch_now import NOW
from engine.shm import Shared

PATCH = Patch(
    midi={
        "keys": MidiIn(port="keys", voice="piano", pedals={"next_song": 80, "standby": 81}),
        "feet": MidiIn(port="feet", channel=2, pedals={"end": 80}),
        "drum": MidiIn(
            port="drum",
            foot_switches=False,
            dry_cc=None,
            controls={
                "note36-ch10": Control("tap"),
                "program5": Control("scene", what="dark"),
                "cc67": Control("click"),
            },
        ),
    },
    voices={"piano": Voice()},
    outputs={"main": Output((1, 2))},
)
CONDUCTOR = Conductor(PATCH, 8, SLOT_FRAMES)


def press(port: int, *data: int) -> np.ndarray:
    record = np.zeros(1, PRESS)
    record["port"], record["frame"] = port, 4800
    record["data"][0, : len(data)] = data
    return record


def asked(controls: Controls, record: np.ndarray) -> list[tuple[str, dict[str, Any]]]:
    acts = controls.actions(record, CONDUCTOR, 5000)
    assert all(ask.now == 4800 for _, ask in acts)
    return [(name, {w: v for w, v in ask.words().items() if v is not None}) for name, ask in acts]


def names(controls: Controls, record: np.ndarray) -> list[str]:
    return [name for name, _ in asked(controls, record)]


def test_a_pedal_acts_once_on_the_way_down() -> None:
    controls = Controls(PATCH)
    down, up = press(0, 0xB0, 80, 127), press(0, 0xB0, 80, 0)
    assert names(controls, down) == ["next_song"]
    assert names(controls, press(0, 0xB0, 80, 90)) == []
    assert names(controls, up) == []
    assert names(controls, down) == ["next_song"]


def test_a_pedal_pulled_while_it_is_down_acts_when_it_is_back() -> None:
    controls = Controls(PATCH)
    down = press(0, 0xB0, 80, 127)
    assert names(controls, down) == ["next_song"]
    assert names(controls, press(2, *LOST)) == []  # another's cable
    assert names(controls, down) == []
    assert names(controls, press(0, *LOST)) == []
    assert names(controls, down) == ["next_song"]


def test_the_conductor_hears_of_a_performers_cable() -> None:
    clock, server = Clock(), Server()
    server.plug("keys")
    shared = Shared.private(PATCH)
    midi = MidiProcess(shared, Ports(port_table(PATCH), [server.system()]))
    for _ in range(300):
        midi.step(clock.forward(0.002))
    shared.ring("presses").pop(4096)
    server.unplug("keys")
    for _ in range(300):
        midi.step(clock.forward(0.002))
    told = [(r["port"], r["data"][:3].tobytes()) for r in shared.ring("presses").pop(4096)]
    assert told == [(0, LOST)]


def test_only_its_own_port_channel_and_controller() -> None:
    controls = Controls(PATCH)
    assert names(controls, press(1, 0xB1, 80, 127)) == ["end"]
    for other in (
        press(1, 0xB0, 80, 127),  # another channel
        press(9, 0xB0, 80, 127),  # another port
        press(0, 0xB0, 82, 127),
        press(0, 0x90, 81, 127),  # a note
        press(0, 0xC0, 81),
        press(0, 0xFF, 1, 81),  # a notice of the midi process
    ):
        assert names(controls, other) == []


def test_foot_switches_mean_something_by_themselves_where_no_voice_plays() -> None:
    controls = Controls(PATCH)
    assert names(controls, press(1, 0xB1, 64, 127)) == ["this_is_one"]
    assert names(controls, press(1, 0xB1, 66, 127)) == ["next_scene"]
    assert names(controls, press(1, 0xB1, 67, 127)) == []  # DRY: the midi process has sent it
    for port in (0, 2):  # a keyboard; a port that says it has none
        assert names(controls, press(port, 0xB0, 64, 127)) == []
        assert names(controls, press(port, 0xB0, 66, 127)) == []


def test_a_player_that_listens_keeps_the_sustain_too() -> None:
    listened = Patch(
        midi={"feet": MidiIn()},
        players={"duo": Player(model="notochord", listens="feet")},
        outputs={"main": Output((1, 2))},
    )
    assert set(map(str, controls_of(listened, "feet"))) == {"cc67"}


def test_notes_programs_and_words() -> None:
    controls = Controls(PATCH)
    assert asked(controls, press(2, 0x99, 36, 100)) == [("tap", {})]
    assert asked(controls, press(2, 0x89, 36, 0)) == []
    assert asked(controls, press(2, 0x90, 36, 100)) == []  # another channel
    assert asked(controls, press(2, 0xC3, 5)) == [("scene", {"what": "dark"})]
    assert asked(controls, press(2, 0xC3, 5)) == [("scene", {"what": "dark"})]
    assert asked(controls, press(2, 0xB0, 67, 127)) == [("click", {})]


def test_a_reloaded_patch_brings_its_own_controls() -> None:
    controls = Controls(PATCH)
    keys = replace(PATCH.midi["keys"], pedals={"tap": 80})
    controls.use(replace(PATCH, midi={**PATCH.midi, "keys": keys}))
    assert names(controls, press(0, 0xB0, 80, 127)) == ["tap"]
    assert names(controls, press(0, 0xB0, 81, 127)) == []


@pytest.mark.parametrize("key", ["cc0", "cc119-ch16", "note127", "program0-ch1"])
def test_keys_read_back(key: str) -> None:
    assert str(key_of(key)) == key


@pytest.mark.parametrize("key", ["cc120", "note128", "cc1-ch0", "cc1-ch17", "cc", "CC1", "cc01"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        key_of(key)


@given(st.binary(min_size=1, max_size=3))
def test_any_bytes_find_at_most_one_control(data: bytes) -> None:
    for name in PATCH.midi:
        found = ControlMap.of(PATCH, name).find(data)
        assert found is None or found[1] in controls_of(PATCH, name).values()


# ---- in the midi process


class Stage:
    """The midi process, with the patch's three ports."""

    def __init__(self, shared: Shared) -> None:
        self.clock, self.server, self.shared = Clock(), Server(), shared
        self.server.plug("keys", "feet", "drum")
        table = port_table(PATCH)
        self.process = MidiProcess(shared, Ports(table, [self.server.system()]))
        self.send("keys")
        shared.ring("midi_notes").clear()

    def send(self, label: str, *messages: bytes) -> None:
        if messages:
            self.server.pipe(label, reads=True).arrived += messages
        self.process.step(self.clock.forward(0.001))

    def heard(self) -> list[tuple[int, int, int]]:
        records = self.shared.ring("midi_notes").pop()
        return [(int(r["kind"]), int(r["key"]), int(r["value"])) for r in records]

    def pressed(self) -> list[tuple[int, bytes]]:
        records = self.shared.ring("presses").pop(1024)
        return [(int(r["port"]), r["data"][:3].tobytes()) for r in records]

    def asked(self) -> list[SafeKind]:
        return [SafeKind(int(r["kind"])) for r in self.shared.ring("midi_safe").pop()]


def test_what_is_a_control_is_not_for_the_voice_and_sustain_is() -> None:
    stage = Stage(Shared.private(PATCH))
    stage.send("keys", b"\xb0\x50\x7f", b"\xb0\x40\x7f")
    assert stage.heard() == [(NoteKind.CC, 64, 127)]
    assert stage.pressed() == [(0, b"\xb0\x50\x7f"), (0, b"\xb0\x40\x7f")]
    stage.send("drum", b"\x99\x24\x40", b"\x89\x24\x00", b"\x99\x25\x40")
    assert stage.pressed() == [(2, b"\x99\x24\x40"), (2, b"\x89\x24\x00")]  # 37 is no control
    stage.send("feet", b"\xb1\x43\x7f")
    assert stage.asked() == [SafeKind.DRY_TOGGLE]


def test_controls_that_are_learned_while_it_plays(tmp_path: Any) -> None:
    shared = Shared.create(tmp_path / "shared", PATCH)
    stage = Stage(shared)
    stage.send("keys", b"\x90\x3c\x40", b"\x90\x15\x40")  # a chord is held meanwhile
    learned = {
        "note21": Control("panic"),
        "cc70": Control("dry"),
        "cc71": Control("master"),
    }
    keys = replace(PATCH.midi["keys"], dry_cc=None, controls=learned)
    patch = replace(PATCH, midi={**PATCH.midi, "keys": keys})
    (tmp_path / "shared" / NOW).write_text(patch.to_json())
    record = np.zeros(1, MIDI_OUT)
    record["port"] = CONTROLS_CHANGED
    shared.ring("midi_out").push(record)
    stage.send("keys")
    kinds = [kind for kind, _, _ in stage.heard()]
    assert sorted(kinds) == [NoteKind.OFF] * 2 + [NoteKind.ON] * 2  # none stays on
    stage.send("keys", b"\xb0\x43\x7f")
    assert stage.asked() == []
    stage.send("keys", b"\xb0\x46\x7f", b"\xb0\x47\x7f", b"\x90\x15\x40")
    assert stage.asked() == [SafeKind.DRY_TOGGLE, SafeKind.MASTER]
    stage.clock.forward(0.5)
    stage.send("keys")
    assert stage.asked() == [SafeKind.PANIC]
    again = Stage(shared)  # a process that is started again knows them too
    again.send("keys", b"\xb0\x46\x7f")
    assert again.asked() == [SafeKind.DRY_TOGGLE]


def test_a_key_that_is_let_go_or_pulled_in_time_is_no_panic() -> None:
    keys = replace(PATCH.midi["keys"], controls={"note21": Control("panic")})
    shared = Shared.private(replace(PATCH, midi={**PATCH.midi, "keys": keys}))
    stage = Stage(shared)
    stage.send("keys", b"\x90\x15\x40")
    stage.clock.forward(0.3)
    stage.send("keys", b"\x80\x15\x00")
    stage.clock.forward(0.6)
    stage.send("keys", b"\x90\x15\x40")
    stage.server.unplug("keys")
    stage.clock.forward(0.6)
    stage.send("feet")
    assert stage.asked() == []


def test_a_note_that_is_dry_works_again_though_its_end_was_lost() -> None:
    keys = replace(PATCH.midi["keys"], controls={"note21": Control("dry")})
    stage = Stage(Shared.private(replace(PATCH, midi={**PATCH.midi, "keys": keys})))
    stage.send("keys", b"\x90\x15\x40", b"\x90\x15\x40")
    assert stage.asked() == [SafeKind.DRY_TOGGLE] * 2


def test_the_same_number_on_another_channel_is_another_control() -> None:
    controls = {key_of("cc7-ch1"): Control("tap"), key_of("cc7"): Control("click")}
    mapped = ControlMap(controls)
    found = [mapped.find(bytes((0xB0 | channel, 7, 1))) for channel in (0, 1)]
    assert [f and f[1].do for f in found] == ["tap", "click"]
    assert found[0] is not None
    assert found[0][0] == Key(key_of("cc7").kind, 7, 1)

"""Risk: a rig puts something elsewhere than it says, loses what the patch says, or ends a
performance because of what is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from devices.audio.interface import map_channels
from engine.bench.jackd import JackServer
from engine.bench.native import Witness
from engine.patch import Audio, Cv, Input, MidiIn, Output, Patch, Surface, Voice
from engine.rig import Rig, RigAudio, RigCv, RigInput, RigMidi, RigOutput, RigPort
from engine.rig_place import place, unplaced, unused

PATCH = Patch(
    audio=Audio(device="home"),
    inputs={
        "horn": Input(to={"main": -3.0}),
        "voice": Input(channel=2, trim_db=-6.0),
        "keys": Input(stream="performer"),
    },
    voices={"piano": Voice()},
    midi={"keys": MidiIn(), "pads": MidiIn(port="Akai")},
    outputs={"main": Output(channels=(1, 2), limit=True), "cue": Output()},
    cv={"pitch": Cv(source="piano"), "gate": Cv(channel=8, source="piano", kind="gate")},
    surfaces={"grid": Surface()},
)
RIG = Rig(
    tuning_hz=442.0,
    audio=RigAudio(device="Hall", round_trip_ms=7.5),
    inputs={
        "horn": RigInput(channel=5, trim_db=4.0, dry="jack", noise_db=-70.0),
        "keys": RigInput(channel=9, trim_db=-1.0),
        "tuba": RigInput(channel=3),
    },
    outputs={"main": RigOutput(channels=(3, 4))},
    midi={"keys": RigMidi("Nord Stage")},
    surfaces={"grid": RigPort("LPX")},
    cv={"pitch": RigCv(channel=7, offset_volts=0.02)},
)


def test_the_rig_says_where_and_the_patch_what() -> None:
    here = place(PATCH, RIG)
    assert here.audio == Audio(device="Hall", round_trip_ms=7.5)
    assert here.tuning_hz == 442.0
    assert here.inputs["horn"] == Input(channel=5, trim_db=4.0, dry="jack", to={"main": -3.0})
    assert here.inputs["voice"] == PATCH.inputs["voice"]
    assert here.inputs["keys"] == Input(stream="performer", trim_db=-1.0)
    assert here.outputs["main"] == Output(channels=(3, 4), limit=True)
    assert here.midi == {"keys": MidiIn(port="Nord Stage"), "pads": MidiIn(port="Akai")}
    assert here.surfaces["grid"] == Surface(port="LPX")
    assert here.cv["pitch"] == Cv(channel=7, source="piano", offset_volts=0.02)
    assert Patch.from_json(here.to_json()) == here


def test_an_empty_rig_changes_nothing() -> None:
    assert place(PATCH, Rig()) == PATCH


def test_what_has_no_place_is_named_and_what_is_not_used_too() -> None:
    assert unplaced(place(PATCH, RIG)) == ["output cue: no channels"]
    assert unplaced(PATCH) == [
        "input horn: no channel",
        "output cue: no channels",
        "cv pitch: no channel",
        "midi keys: no port",
    ]
    assert unused(PATCH, RIG) == ["inputs.tuba"]


def test_a_missing_place_is_silent_and_said() -> None:
    found, missing = map_channels(PATCH, 4, 4, [], [])
    assert found.inputs == {"voice": 1}
    assert found.outputs == {"main": (0, 1)}
    assert found.cv == {}
    assert missing == [
        "input horn: no channel, in patch or rig",
        "output cue: no channel, in patch or rig",
        "cv pitch: no channel, in patch or rig",
        "cv gate: channel 8 of 4",
    ]


def test_a_voltage_whose_pattern_finds_a_speaker_stays_off() -> None:
    names = ["box:left", "box:right", "box:dc 1"]
    cv = {
        "pitch": Cv(channel="right", source="piano"),
        "gate": Cv(channel="dc", source="piano"),
        "again": Cv(channel=3, source="piano"),
    }
    found, missing = map_channels(replace(PATCH, inputs={}, cv=cv), 0, 3, [], names)
    assert found.cv == {"gate": 2}
    assert "cv pitch: right is channel 2, where output main is" in missing
    assert "cv again: 3 is channel 3, taken already" in missing


@pytest.mark.jack
def test_port_names_with_spaces_and_emoji_stay_whole() -> None:
    name = "Box 2 (in / out) 🎺"
    with JackServer() as server:
        with Witness(server, name=name, inputs=["-"], outputs=["-", "-"]):
            code = (
                "import json, sys\n"
                "from devices.audio.jack_clock import JackClock\n"
                f"sys.stdout.write(json.dumps(JackClock().ports({name!r})))\n"
            )
            said = subprocess.run(
                [sys.executable, "-c", code],
                env=server.env,
                capture_output=True,
                text=True,
                check=True,
                cwd=Path(__file__).parents[1],
            ).stdout
        captures, playbacks = json.loads(said)
        assert [names[0] for names in captures] == [f"{name}:out_1", f"{name}:out_2"]
        assert [names[0] for names in playbacks] == [f"{name}:in_1"]

"""Risk: a foot-switch changes the song twice, from the wrong port, or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from devices.midi.pedals import Pedals
from engine.layout import PRESS
from engine.patch import MidiIn, Output, Patch

PATCH = Patch(
    midi={
        "keys": MidiIn(port="keys", pedals={"next_song": 80, "standby": 81}),
        "feet": MidiIn(port="feet", channel=2, pedals={"end": 80}),
    },
    outputs={"main": Output((1, 2))},
)


def press(port: int, *data: int) -> np.ndarray:
    record = np.zeros(1, PRESS)
    record["port"], record["frame"] = port, 4800
    record["data"][0, : len(data)] = data
    return record


def test_a_pedal_acts_once_on_the_way_down() -> None:
    pedals = Pedals(PATCH)
    down, up = press(0, 0xB0, 80, 127), press(0, 0xB0, 80, 0)
    assert pedals.actions(down) == [("next_song", 4800)]
    assert pedals.actions(press(0, 0xB0, 80, 90)) == []
    assert pedals.actions(up) == []
    assert pedals.actions(down) == [("next_song", 4800)]


def test_only_its_own_port_channel_and_controller() -> None:
    pedals = Pedals(PATCH)
    assert pedals.actions(press(1, 0xB1, 80, 127)) == [("end", 4800)]
    for other in (
        press(1, 0xB0, 80, 127),  # another channel
        press(2, 0xB0, 80, 127),  # another port
        press(0, 0xB0, 82, 127),
        press(0, 0x90, 81, 127),  # a note
        press(0, 0xC0, 81),
    ):
        assert pedals.actions(other) == []


def test_a_reloaded_patch_brings_its_own_pedals() -> None:
    pedals = Pedals(PATCH)
    keys = replace(PATCH.midi["keys"], pedals={"tap": 80})
    pedals.use(replace(PATCH, midi={**PATCH.midi, "keys": keys}))
    assert pedals.actions(press(0, 0xB0, 80, 127)) == [("tap", 4800)]
    assert pedals.actions(press(0, 0xB0, 81, 127)) == []

"""Risk: `segue rig` takes the wrong channel or port of a real interface, or writes over a file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_hand import Hand

from engine.bench.jackd import JackServer
from engine.bench.native import Witness
from engine.rig import RigInput, RigOutput
from engine.rig_load import load_rig

RATE = 48_000
PLAIN = """
audio: {device: "^JACK.*: stage$"}
inputs: {horn: {to: {main: 0}}, quiet: {to: {main: 0}}}
midi: {keys: {voice: piano}}
voices: {piano: {to: {main: 0}}}
outputs: {main: {channels: [1, 2]}}
"""
KEYBOARD = """
import rtmidi, sys
out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="Key/station 🎹")
out.open_virtual_port("MIDI 1")
for line in sys.stdin:
    out.send_message([0x90, 60, 90])
"""


@pytest.mark.jack
def test_the_real_thing_over_jack(tmp_path: Path) -> None:
    patch, out = tmp_path / "a patch 🎺.yaml", tmp_path / "rig.yaml"
    patch.write_text(PLAIN)
    out.write_text("name: mine\n")
    play = np.zeros((RATE, 3), np.float32)
    play[:, 1] = 0.2 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)
    play[RATE // 2 :, 1] = 0.0  # played in bursts: quiet for half a second of each
    with (
        JackServer() as server,
        Witness(
            server, name="stage", inputs=["-"] * 3, outputs=["-"] * 3, play=play, loop=True
        ) as stage,
        subprocess.Popen(
            [sys.executable, "-c", KEYBOARD], env=server.env, stdin=subprocess.PIPE, bufsize=0
        ) as keyboard,
    ):
        assert keyboard.stdin is not None
        server.wait_ports("Key/station 🎹:MIDI 1")
        hand = Hand(["rig", str(patch), "--out", str(out)], server.env)
        hand.wait_for("Play horn now")
        hand.wait_for("horn: channel 2 (stage:out_2)")
        hand.wait_for("Play quiet now")
        hand.type("")
        hand.wait_for("Press a key of keys")
        keyboard.stdin.write(b"\n")
        hand.wait_for("keys: Key/station")
        for answer in ("2", "", "1"):
            hand.wait_for("Output ")
            hand.type(answer)
        hand.wait_for("Replace it?")
        hand.type("")
        hand.wait_for("Another file?")
        other = tmp_path / "other rig.yaml"
        hand.type(str(other))
        code, said = hand.end()
        keyboard.kill()
        stage.stop()
        heard_bursts = stage.recording().audio
    assert code == 0
    assert out.read_text() == "name: mine\n"
    rig = load_rig(other).rig
    assert said == other.read_text()
    assert rig.inputs == {"horn": RigInput(channel=2)}
    assert rig.outputs == {"main": RigOutput(channels=(3, 1))}
    assert re.search(str(rig.midi["keys"].port), "Key/station 🎹:MIDI 1")
    assert [round(20 * np.log10(np.abs(c).max())) < -35 for c in heard_bursts.T] == [True] * 3
    assert all(np.abs(c).max() > 0 for c in heard_bursts.T)

"""Risk: what is learned at the terminal is not what the performance then does, or a hand's mishap
(a cable pulled while something is held, a flood, a page that has just turned) takes it along."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rtmidi
from stage import RATE, SECONDS, Stage, interface, music, soon

from devices.launchpad.emulated import Mode
from devices.launchpad.emulator import Emulator
from devices.launchpad.layout import PAGE_BUTTONS, PANIC_BUTTON
from engine.bench.jackd import JackServer

pytestmark = [pytest.mark.jack, pytest.mark.slow]

PATCH = """
name: learned
audio: {{device: "{device}"}}
clock: {{bpm: 120, beats_per_bar: 4, bars_per_phrase: 1}}
inputs:
  line: {{channel: 1, dry: segue, to: {{main: 0}}}}
midi:
  feet: {{port: "Stage Feet"}}
roles:
  drums: {{maker: rules, bars: 1, to: {{cue: 0}}}}
outputs:
  main: {{channels: [1, 2]}}
  cue: {{channels: [3, 4], limit: false}}
surfaces:
  pads: {{}}
"""
FLOOD = 3000


@contextlib.contextmanager
def feet() -> Iterator[rtmidi.MidiOut]:
    out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="Stage Feet")
    out.open_virtual_port("out")
    yield out
    out.delete()


class Terminal:
    """`segue learn` at a terminal."""

    def __init__(self, server: JackServer, stage: Stage, rig: Path, *words: str) -> None:
        command = [sys.executable, "-m", "engine.cli", "learn", *words, "--rig", str(rig)]
        self.process = subprocess.Popen(
            [*command, "--name", stage.name],
            env=server.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def asks(self) -> None:
        """Wait until it asks for a control."""
        assert self.process.stderr is not None
        while "Move" not in (line := self.process.stderr.readline()):
            assert line, "it ended without a question"

    def says(self) -> tuple[int, str]:
        out, error = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out + error


def test_what_is_learned_holds_at_once(server: JackServer, tmp_path: Path) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text("# tonight\nmidi: {feet: {port: Stage Feet}}\n")
    with (
        feet() as pedal,
        interface(server, music(4), captures=4),
        Stage(server, tmp_path, patch=PATCH, options=("--rig", str(rig))) as stage,
    ):
        stage.wait_sound()
        stage.let_in()
        terminal = Terminal(server, stage, rig, "click")
        terminal.asks()
        move(pedal, 90, 127, 0)
        code, said = terminal.says()
        assert code == 0, said
        assert "cc90-ch1 of feet" in said
        assert "reloaded" in said
        pressed = stage.frame()
        soon(lambda: clicked(stage, pressed) or move(pedal, 90, 127, 0), "a click by foot")
        # DRY by a pedal of its own: the midi process knows it too, without a restart.
        terminal = Terminal(server, stage, rig, "dry")
        terminal.asks()
        move(pedal, 91, 127, 0)
        code, said = terminal.says()
        assert code == 0, said
        soon(lambda: dry(stage) or move(pedal, 91, 127, 0), "DRY by another pedal")
        # What is DRY is not given away.
        terminal = Terminal(server, stage, rig, "tap")
        terminal.asks()
        move(pedal, 91, 127, 0)
        code, said = terminal.says()
        assert code == 1
        assert "cc91-ch1 of feet is dry" in said
    assert "# tonight" in rig.read_text()
    assert 'cc91-ch1: {do: "dry"}' in rig.read_text()


def move(pedal: rtmidi.MidiOut, controller: int, *values: int) -> None:
    for value in values:
        pedal.send_message([0xB0, controller, value])


def clicked(stage: Stage, after: int) -> bool:
    return any(e["name"] == "click" and e["frame"] > after for e in stage.events("act"))


def dry(stage: Stage) -> bool:
    clock = stage.shared.clock()
    return clock is not None and clock.dry


def test_mishaps_of_hands_take_nothing_along(server: JackServer, tmp_path: Path) -> None:
    with Emulator() as pads, feet() as pedal, interface(server, music(4), captures=4):
        with Stage(server, tmp_path, patch=PATCH) as stage:
            stage.wait_sound()
            stage.let_in()
            soon(lambda: pads.mode is Mode.PROGRAMMER, "Programmer mode")
            pids = [stage.pid(m) for m in ("devices.midi.process", "engine.conductor_process")]
            # Pulled while Stop Clip and a page's button are held: no panic, nothing stays held.
            mix = next(index for index, page in PAGE_BUTTONS.items() if page == "mix")
            pads.press(mix)
            pads.press(PANIC_BUTTON)
            pads.pull()
            pulled = stage.frame()
            soon(lambda: stage.frame() > pulled + RATE, "a second")
            pads.plug()
            soon(lambda: pads.mode is Mode.PROGRAMMER, "Programmer mode again")
            soon(lambda: any(c != (0, 0, 0) for c in pads.colours().values()), "lights again")
            assert not stage.events("panic")
            assert stage.stems("playing", "retiring", "queued")
            # A flood from a pedal and from the pads, notes of pages that turn meanwhile.
            for k in range(FLOOD):
                move(pedal, 11, k % 128)
                if k % 10 == 0:
                    page = list(PAGE_BUTTONS)[k // 10 % len(PAGE_BUTTONS)]
                    pads.press(page)
                    pads.release(page)
                    pads.send(bytes((0x90, 55, 100)), bytes((0x90, 55, 0)), bytes((0xD0, k % 128)))
            pads.send(b"\xf0\x00\x20", b"\x90\x0b", b"\xf7\xf7")
            flooded = stage.frame()
            soon(lambda: stage.frame() > flooded + RATE, "a second")
            # All is there, and hears.
            soon(lambda: dry(stage) or move(pedal, 67, 127, 0), "DRY")
            soon(lambda: not dry(stage) or move(pedal, 67, 127, 0), "DRY off")
            now = [stage.pid(m) for m in ("devices.midi.process", "engine.conductor_process")]
            assert now == pids
            clock = stage.shared.clock()
            assert clock is not None
            assert stage.sounds()
        assert not stage.events("panic")

"""What `segue bench hands` plays on: a patch of its own, a foot-switch, and `segue run` itself.

Everything is started and ended by its process id. Not real-time safe; one thread.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rtmidi
import soundfile

from engine.bench.jackd import JackServer, wait_until
from engine.shm import Shared
from engine.shm_folder import running
from engine.shm_records import AudioPhase

RATE = 48_000
READY_S, STOP_S = 60.0, 12.0
FEET = "Bench Feet"
CUE, MONITOR = 2, 4  # of the captured channels: the loop alone, the one-shot alone
CAPTURES = 6
HIT_CC = 20
LOOP_FRAMES = RATE  # four bars of one beat each, at 240 BPM
PATCH = """
name: hands
audio: {{device: stage}}
clock: {{bpm: 240, beats_per_bar: 1, bars_per_phrase: 4}}
inputs:
  line: {{channel: 1, dry: segue, to: {{main: 0}}}}
midi:
  feet:
    port: {feet}
    controls: {{cc20: {{do: pick, role: hit, variation: 1}}}}
roles:
  noise: {{maker: files, folder: {folder}/noise, bars: 4, enter: bar, ahead: 1, to: {{cue: 0}}}}
  hit: {{maker: files, folder: {folder}/hit, bars: 1, play: once, enter: now, ahead: 1,
        to: {{monitor1: 0}}}}
outputs:
  main: {{channels: [1, 2]}}
  cue: {{channels: [3, 4], limit: false}}
  monitor1: {{channels: [5, 6], limit: false}}
surfaces:
  pads: {{}}
"""


class HandsError(RuntimeError):
    """It cannot be measured here; says why."""


def write_patch(folder: Path) -> Path:
    """The patch, with its two stems: noise without a pause, so that a change is seen in the very
    frame in which it happens."""
    rng = np.random.default_rng(5)
    for name, frames in (("noise", LOOP_FRAMES), ("hit", LOOP_FRAMES // 4)):
        (folder / name).mkdir()
        sound = rng.uniform(0.05, 0.25, (frames, 2)) * rng.choice([-1.0, 1.0], (frames, 2))
        soundfile.write(folder / name / f"{name}_240bpm.wav", sound.astype(np.float32), RATE)
    path = folder / "hands.yaml"
    path.write_text(PATCH.format(folder=folder, feet=FEET))
    return path


class Feet:
    """A foot-switch on JACK."""

    def __init__(self) -> None:
        try:
            self._out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=FEET)
            self._out.open_virtual_port("out")
        except (rtmidi.RtMidiError, TypeError) as error:
            raise HandsError(f"no MIDI through JACK: {error}") from error

    def press(self, controller: int) -> None:
        self._out.send_message([0xB0, controller, 127])
        self._out.send_message([0xB0, controller, 0])

    def close(self) -> None:
        self._out.delete()


class Playing:
    """One `segue run`."""

    def __init__(self, name: str, said: Path) -> None:
        self.name, self._said = name, said
        self._shared: Shared | None = None

    @property
    def shared(self) -> Shared:
        if self._shared is None:
            self.wait(lambda: any((f / "ledger").exists() for f in running(self.name)), "start")
            self._shared = Shared.open(running(self.name)[0])
        return self._shared

    def plays(self) -> bool:
        clock = self.shared.clock()
        return clock is not None and clock.phase is AudioPhase.RUNNING and clock.callbacks > 8

    def ask(self, **message: object) -> dict[str, Any]:
        """One line to the conductor; {} while it is away."""
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5.0)
            s.connect(str(self.shared.file("control.sock")))
            s.sendall(json.dumps(message).encode() + b"\n")
            with s.makefile() as lines:
                answer: dict[str, Any] = json.loads(lines.readline() or "{}")
                return answer
        return {}

    def stem(self, role: str, *states: str) -> bool:
        stems = self.ask(do="status").get("stems", [])
        return any(s["role"] == role and s["state"] in states for s in stems)

    def wait(self, true: Any, what: str) -> None:
        """Raises HandsError after READY_S."""
        if not wait_until(lambda: bool(true()), READY_S):
            tail = " | ".join(self._said.read_text(errors="replace").splitlines()[-6:])
            raise HandsError(f"no {what} within {READY_S:g} s; segue said: {tail}")


@contextlib.contextmanager
def playing(server: JackServer, folder: Path) -> Iterator[Playing]:
    """The patch, performed on a server, with its noise let in; ended at the end."""
    patch, said = write_patch(folder), folder / "segue.txt"
    name = f"{server.name}-hands"
    with said.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.cli", "run", str(patch), "--no-rig", "--name", name],
            env=server.env,
            stdin=subprocess.DEVNULL,
            stderr=out,
        )
    try:
        stage = Playing(name, said)
        stage.wait(stage.plays, "sound")
        stage.wait(lambda: stage.stem("noise", "ready") and stage.stem("hit", "ready"), "stems")
        for act in ("this_is_one", "let_in"):
            stage.ask(do="act", name=act)
        stage.ask(do="act", name="enter", role="noise")
        stage.wait(lambda: stage.stem("noise", "playing"), "playing stem")
        yield stage
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

"""A performance on a real JACK server, with a native client as its audio interface, for tests.

    with JackServer() as server, interface(server, music(10), captures=8), Stage(server, ...) as s:
        s.wait_sound()
        killed = s.kill("devices.audio.process")

The interface is a Witness named "stage": it plays a loop into segue's first input, captures segue's
outputs, and hears the dry bypass too, because the patch names it as its device. Frames of its
recording, of the session log and of `Stage.frame()` are all the JACK server's own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.bench.child import end_process
from engine.bench.jackd import JackServer, wait_until
from engine.bench.native import LATE, Recording, Witness
from engine.control_socket import ask_conductor
from engine.shm import Shared
from engine.shm_folder import complete, running
from engine.shm_records import AudioPhase
from engine.sources import source_names

BLOCK = 128
RATE = 48_000
SECONDS = 120.0  # to wait for anything; a stalled machine takes its time
ANSWER_S = 5.0
OUTPUTS = 8
EASE = 64
MAIN, CUE, ANSWERS, TEXTURE = slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)

# Dry alone on main, stems alone on cue, what is played and answered on monitor1, texture on
# monitor2; all at unity and without limiters but for main.
PATCH = """
name: shown
audio: {{device: "{device}"}}
clock: {{bpm: 120, beats_per_bar: 4, bars_per_phrase: 1}}
inputs:
  line: {{channel: 1, dry: segue, to: {{main: 0}}}}
midi:
  keys: {{port: "Keystation", voice: keys}}
voices:
  keys: {{program: 0, to: {{monitor1: -6}}}}
  answer: {{program: 11, to: {{monitor1: -6}}}}
players:
  answer: {{model: notochord, listens: keys, voice: answer}}
  mist: {{model: rave, listens: line, to: {{monitor2: 0}}}}
roles:
  drums: {{maker: rules, bars: 1, to: {{cue: 0}}}}
outputs:
  main: {{channels: [1, 2]}}
  cue: {{channels: [3, 4], limit: false}}
  monitor1: {{channels: [5, 6], limit: false}}
  monitor2: {{channels: [7, 8], limit: false}}
"""

# A keyboard on the JACK server: a note every quarter of a second of the server's own clock, up and
# down a scale.
_KEYBOARD = """
import jack, os, signal
STEP = 2400  # frames: down for four, up for one
client = jack.Client("Keystation", no_start_server=True)
port = client.midi_outports.register("MIDI 1")

@client.set_process_callback
def play(frames):
    port.clear_buffer()
    first = client.last_frame_time
    for step in range(-(-first // STEP), -(-(first + frames) // STEP)):
        note, part = divmod(step, 5)
        if part in (0, 4):
            key = (60, 62, 64, 65, 67, 65, 64, 62)[note % 8]
            event = (0x90, key, 90) if part == 0 else (0x80, key, 0)
            port.write_midi_event(step * STEP - first, event)

client.set_shutdown_callback(lambda *_: os._exit(0))
with client:
    signal.pause()
"""


def music(seconds: float, peak: float = 0.4) -> np.ndarray:
    """Struck chords over breath, no two blocks alike: float32 (frames, 1), never a run of zeros."""
    rng = np.random.default_rng(11)
    t = np.arange(round(seconds * RATE)) / RATE
    chord = np.floor(t / 0.5).astype(int) % 4
    roots = 110.0 * 2.0 ** (np.array([0, 5, 7, 3]) / 12)[chord]
    tones = sum(np.sin(2 * np.pi * np.cumsum(k * roots) / RATE) / k for k in (1, 2.5, 3, 4.2, 6))
    mono = tones * np.exp(-3 * (t % 0.5)) + 0.05 * rng.standard_normal(len(t))
    mono = (mono * (peak / np.abs(mono).max())).astype(np.float32)[:, None]
    mono[mono == 0] = np.float32(1e-5)
    return np.ascontiguousarray(mono, np.float32)


def interface(server: JackServer, play: np.ndarray, captures: int = OUTPUTS) -> Witness:
    """The native client that stands in for an audio interface; loops `play` from its start on."""
    return Witness(
        server, name="stage", inputs=["-"] * captures, outputs=["-"], play=play, loop=True
    )


def keyboard(server: JackServer) -> subprocess.Popen[bytes]:
    """Somebody who plays; ends with its server or by its process id."""
    return subprocess.Popen(
        [sys.executable, "-c", _KEYBOARD], env=server.env, stderr=subprocess.DEVNULL
    )


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def soon(true: Callable[[], object], what: str) -> None:
    """Wait until it holds; how long is no part of the claim."""
    assert wait_until(lambda: bool(true()), SECONDS), f"not within {SECONDS:g} s: {what}"


@dataclass(frozen=True)
class Killed:
    """frame, mono_ns: when. pid: whose."""

    frame: int
    mono_ns: int
    pid: int


class Stage:
    """`segue run` with a session folder and more options. Not thread-safe."""

    def __init__(
        self,
        server: JackServer,
        folder: Path,
        device: str = "stage",
        patch: str = PATCH,
        options: tuple[str, ...] = (),
    ) -> None:
        self.server, self.options = server, options
        self.session = folder / "session"
        self.said = folder / "stderr.txt"
        self.patch = folder / "shown.yaml"
        self.patch.write_text(patch.format(device=device))
        self.name = server.name
        self.process: subprocess.Popen[bytes] | None = None
        self.launched_ns = 0
        self._shared: Shared | None = None

    def __enter__(self) -> Stage:
        command = [sys.executable, "-m", "engine.cli", "run", str(self.patch)]
        with self.said.open("wb") as said:
            self.launched_ns = time.monotonic_ns()
            self.process = subprocess.Popen(
                [*command, *self.options, "--name", self.name, "--session", str(self.session)],
                env=self.server.env,
                stdin=subprocess.DEVNULL,
                stderr=said,
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self._shared = None
        end_process(self.process, SECONDS)

    # ---- looking

    @property
    def shared(self) -> Shared:
        """The performance's shared folder, once there is one."""
        if self._shared is None:
            soon(lambda: any(map(complete, running(self.name))), "shared folder")
            self._shared = Shared.open(running(self.name)[0])
        return self._shared

    def frame(self) -> int:
        return self.shared.now()

    def sounds(self) -> bool:
        """Whether the audio process of this moment has been called since this moment's last."""
        clock = self.shared.clock()
        return clock is not None and clock.phase is AudioPhase.RUNNING and clock.callbacks > 8

    def wait_sound(self) -> None:
        soon(self.sounds, f"sound; it said {self.said.read_text()[-2000:]}")

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """The session log so far, of these kinds."""
        path = self.session / "log.jsonl"
        if not path.exists():
            return []
        lines = path.read_text().split("\n")[:-1]
        return [e for e in map(json.loads, lines) if not kinds or e["event"] in kinds]

    def pid(self, module: str, *args: str) -> int | None:
        """The process that runs a module for this performance, None while there is none."""
        wanted = ["-m", module, str(self.shared.folder), *args]
        for pid, command in _commands():
            if command[1 : 1 + len(wanted)] == wanted:
                return pid
        return None

    def worker(self) -> int | None:
        """A worker of the pool."""
        pool = self.pid("engine.pool_host")
        for pid, command in _commands():
            if "engine.worker" in command and str(pool) in command:
                return pid
        return None

    # ---- acting

    def ask(self, **message: object) -> dict[str, Any]:
        """One line to the conductor; {} while it is away."""
        assert self.shared.folder is not None
        return ask_conductor(self.shared.folder, message, ANSWER_S) or {}

    def act(self, name: str, **more: object) -> None:
        soon(lambda: "said" in self.ask(do="act", name=name, **more), f"the conductor, for {name}")

    def level(self, source: str) -> float:
        """Peak of a source as the mixer measures it, linear; 0 before the first block."""
        record = self.shared.sections["levels"].read()
        index = source_names(self.shared.patch).index(source)
        return 0.0 if record is None else float(record[0]["sources"][index])

    def stems(self, *states: str) -> list[dict[str, Any]]:
        rows = self.ask(do="status").get("stems", [])
        return [s for s in rows if s["state"] in states]

    def let_in(self) -> None:
        """Everything that is generated: players, and drums from the next phrase on."""
        soon(lambda: self.stems("ready", "queued", "playing"), "a stem that is ready")
        self.act("this_is_one")
        self.act("let_in")
        self.act("enter", role="drums")
        soon(lambda: self.stems("playing"), "a stem that plays")

    def kill(self, module: str, *args: str) -> Killed:
        """SIGKILL to one process, that is there."""
        soon(lambda: self.pid(module, *args), module)
        pid = self.pid(module, *args)
        assert pid is not None
        return self.kill_pid(pid)

    def kill_pid(self, pid: int) -> Killed:
        frame, mono_ns = self.frame(), time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        return Killed(frame, mono_ns, pid)

    def heard_from(self, process: str, since_ns: int) -> bool:
        """Whether a process has given a life sign since. One that loads promises it for later."""
        return int(self.shared.heartbeats[self.shared.names.index(process)]) > since_ns

    def written(self, ring: str) -> int:
        """How many records its producers have ever put into a ring."""
        return int(self.shared.ring(ring).pointer.write)

    def loop_of(self, stem: dict[str, Any]) -> np.ndarray:
        """What a stem of the status sounds like: float32 (frames, 2), from the arena."""
        frames, base = int(stem["frames"]), int(stem["slot"]) * self.shared.slot_frames * 2
        return self.shared.arena[base : base + 2 * frames].reshape(2, frames).T.copy()


def _commands() -> Iterable[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                yield int(entry.name), command[:-1]
            except OSError:
                continue


# ---- judging captures

XRUN_FRAMES = 4 * BLOCK  # the news of it takes a few cycles


def lost(recording: Recording, events: list[dict[str, Any]]) -> np.ndarray:
    """Which captured frames (bool) nobody answers for: those of gaps, of hand-overs (the sum of two
    fades is exact to rounding only) and of late cycles, as segue logged them or the witness had
    them itself, and two cycles around each, for what hung in JACK's buffers. And the cycles before
    an xrun that the server announced: who was late, and when, it does not say.
    """
    mask = np.zeros(len(recording.audio), bool)

    def strike(first: int, frames: int) -> None:
        a = first - recording.start
        mask[max(0, a - 2 * BLOCK) : max(0, a + frames + 2 * BLOCK)] = True

    for e in events:
        if e["event"] in ("gap", "handover"):
            strike(e["frame"], e["a"])
        elif e["event"] == "missed":
            strike(e["frame"], BLOCK + round(e["a"] * RATE / 1e6))
        elif e["event"] == "xrun":
            strike(e["frame"] - XRUN_FRAMES, XRUN_FRAMES)
    for first, frames in recording.gaps():
        strike(first, frames)
    for cycle in recording.cycles[(recording.cycles["flags"] & LATE) != 0]:
        strike(int(cycle["frame"]), int(cycle["frames"]))
    return mask


def looped(loop: np.ndarray, start: int, first: int, last: int) -> np.ndarray:
    """Frames [first, last) of what is repeated from frame `start` on."""
    return loop[(np.arange(first, last) - start) % len(loop)]


def entered(loop: np.ndarray, start: int, ended: int) -> np.ndarray:
    """The same from its start on, as a stem enters: the offset that its first sample would leap by
    comes in over EASE frames (engine/stems.c)."""
    out = looped(loop, start, start, ended)
    easing = min(EASE, len(out))
    gains = np.float32(1.0 - (np.arange(easing) + 1) / (EASE + 1))
    out[:easing] -= gains[:, None] * loop[0]
    return out


def delay_of(heard: np.ndarray, played: Callable[[int], np.ndarray]) -> int | None:
    """Frames after which `heard` is what played(delay) says, among whole and half periods."""
    for delay in range(0, 4 * BLOCK + 1, BLOCK // 2):
        if np.array_equal(heard, played(delay)):
            return delay
    return None


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """(first, frames) of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def first_run(equal: np.ndarray, length: int) -> int | None:
    """Where the first stretch of True of at least `length` begins."""
    return next((first for first, frames in runs(equal) if frames >= length), None)


def wrong(equal: np.ndarray, free: np.ndarray, first: int) -> list[str]:
    """Every stretch that is not equal and that somebody answers for; arrays from `first` on."""
    return [f"{first + at}: {n} frames differ" for at, n in runs(~equal & free)]

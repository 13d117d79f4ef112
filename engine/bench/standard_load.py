"""The standard load: what `segue bench forward` has the audio process play.

4 live inputs with full strips, 16 stereo stems, 2 texture inputs, 16 sampler voices, reverb and
delay, 4 CV outputs, 4 monitor mixes, the recorder's feed. The audio process is the real one; this
process stands in for all the others: it fills the texture rings, strikes the notes again as they
die away, and empties what the others would read. Driven from one thread, with a feeder beside it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np

from engine.bench.child import end_process
from engine.bench.forward import LedgerReader
from engine.bench.jackd import JackError, JackServer, wait_until
from engine.layout import BLOCK_FRAMES, NOTE, CommandKind, NoteKind, audio_dtype, command
from engine.patch import (
    Audio,
    Clock,
    Cv,
    Input,
    MidiIn,
    Output,
    Patch,
    Player,
    Role,
    Strip,
    Voice,
)
from engine.shm import Shared
from engine.shm_folder import folder_for
from engine.shm_records import AudioPhase

RATE = 48000
STEMS = 16
NOTES = 16
LEAD_S = 0.2  # textures are handed over this long before their frame
TURN_S = 0.02
STRIKE_S = 1.5
STEM_S = 4.0
START_S = 20.0
STOP_S = 5.0
EMPTIED = ("reports", "tap.listener", "tap.recorder", "admitted", "tap.first", "tap.second")
MONITORS = ("monitor1", "monitor2", "monitor3", "monitor4")


def private_kb(pid: int) -> int:
    """Private memory of a process in kB, leaving out the shared folder (files that others share,
    but counted as private wherever nobody else has touched a page)."""
    total, counted = 0, True
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps") as file:
        for line in file:
            head = line.split(maxsplit=1)[0]
            if not head.endswith(":"):
                counted = "/dev/shm/segue-" not in line
            elif counted and head in ("Private_Dirty:", "Private_Clean:"):
                total += int(line.split()[1])
    return total


def standard_patch(block: int) -> Patch:
    """Inputs 1-4, main 1-2, monitors 3-6 (mono, as the peer's), CV 7-10."""
    strip = Strip(highpass_hz=80, gate_db=-60, low_db=2, mid_db=-2, high_db=1, compressor_db=-18)
    everywhere = {"main": -6.0, **dict.fromkeys(MONITORS, -9.0), "reverb": -18.0, "delay": -24.0}
    return Patch(
        name="standard load",
        audio=Audio(rate=RATE, block=block),
        inputs={n: Input(channel=i + 1, strip=strip, to=everywhere) for i, n in enumerate("abcd")},
        midi={"keys": MidiIn(port="", voice="keys")},
        voices={"keys": Voice(program=19, gain_db=-12, to=everywhere)},
        players={n: Player(model="rave", listens="a", to=everywhere) for n in ("first", "second")},
        roles={n: Role(ahead=2, bars=2, to=everywhere) for n in ("one", "two", "three", "four")},
        outputs={
            "main": Output((1, 2)),
            **{m: Output((3 + i,)) for i, m in enumerate(MONITORS)},
        },
        cv={
            "pitch": Cv(channel=7, source="keys", kind="pitch"),
            "gate": Cv(channel=8, source="keys", kind="gate"),
            "pitch2": Cv(channel=9, source="keys", kind="pitch", volts_full_scale=5),
            "gate2": Cv(channel=10, source="keys", kind="gate", volts_full_scale=5),
        },
        clock=Clock(bpm=120.0),
    )


class StandardLoad:
    """A bench.forward.Load."""

    def __init__(self, block: int) -> None:
        self._patch = standard_patch(block)
        self._shared: Shared | None = None
        self._process: subprocess.Popen | None = None
        self._reader: LedgerReader | None = None
        self._stop = threading.Event()
        self._feeder: threading.Thread | None = None
        self._offset = 0
        self._memory: list[dict[str, int]] = []

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, server: JackServer) -> None:
        shared = Shared.create(folder_for("bench"), self._patch, session="")  # fed, kept nowhere
        self._shared = shared
        command = [sys.executable, "-m", "devices.audio.process", str(shared.folder)]
        self._process = subprocess.Popen(command, env=server.env, stdin=subprocess.DEVNULL)
        if not wait_until(self._runs, START_S):
            self.stop()
            raise JackError(f"the audio process did not play within {START_S:g} s")
        self._load_stems(shared)
        self._feeder = threading.Thread(target=self._feed, args=(shared,), daemon=True)
        self._feeder.start()
        wait_until(lambda: bool(self._memory), START_S)
        state = shared.sections["state"].read()
        self._offset = int(state[0]["frame_offset"]) if state is not None else 0
        self._reader = LedgerReader(shared.ledger_count, shared.ledger)
        self._reader.new()

    def _runs(self) -> bool:
        assert self._shared is not None
        clock = self._shared.clock()
        return clock is not None and clock.phase is AudioPhase.RUNNING and clock.callbacks > 100

    def _load_stems(self, shared: Shared) -> None:
        """Sixteen loops of a fractional length, all sounding."""
        rng = np.random.default_rng(1)
        frames = round(STEM_S * RATE)
        now = shared.now() + RATE // 2
        for i in range(STEMS):
            offset = i * 2 * frames
            t = np.arange(frames) / RATE
            tone = 0.02 * np.sin(2 * np.pi * 55.0 * (i + 1) * t)
            for side in range(2):
                noise = rng.normal(0, 0.002, frames)
                at = offset + side * frames
                shared.arena[at : at + frames] = tone + noise
            start = command(CommandKind.STEM_PLAY, slot=i, frame=now, id=i, c=i % 4,
                            a=offset, b=frames, x=0.5, y=frames - 0.387)  # fmt: skip
            shared.ring("commands").push(start)

    def _feed(self, shared: Shared) -> None:
        """What all the other processes would do to the rings."""
        rng = np.random.default_rng(2)
        sent = shared.now()
        struck = measured = 0.0
        voice = 0
        while not self._stop.is_set():
            until = shared.now() + round(LEAD_S * RATE)
            while sent < until:
                for name in ("first", "second"):
                    record = np.zeros(1, audio_dtype(2))
                    record["frame"], record["count"] = sent, BLOCK_FRAMES
                    record["data"] = rng.normal(0, 0.01, (2, BLOCK_FRAMES))
                    shared.ring(f"texture.{name}").push(record)
                sent += BLOCK_FRAMES
            now = time.monotonic()
            if now - struck > STRIKE_S / NOTES:
                self._strike(shared, voice)
                struck, voice = now, (voice + 1) % NOTES
            if now - measured > 5.0:
                self._memory.append(self._measure())
                measured = now
            for ring in EMPTIED:
                shared.ring(ring).clear()
            self._stop.wait(TURN_S)

    def _strike(self, shared: Shared, voice: int) -> None:
        """One of the sixteen keys, released and struck again; in turn, so that all sound always."""
        notes = np.zeros(2, NOTE)
        notes["frame"] = shared.now()
        notes["epoch"] = shared.ring("midi_notes").epoch
        notes["kind"] = [NoteKind.OFF, NoteKind.ON]
        notes["key"] = 40 + 2 * voice
        notes["velocity"] = 80
        shared.ring("midi_notes").push(notes)

    def _measure(self) -> dict[str, int]:
        """Private memory (kB, without the stem arena) of the audio process, and what its Python
        says of itself."""
        found = {"private_kb": private_kb(self.pid)}
        assert self._shared is not None
        with contextlib.suppress(OSError, ValueError):
            found.update(json.loads(self._shared.file("python.json").read_text()))
        return found

    def rows(self) -> np.ndarray:
        assert self._reader is not None
        rows = self._reader.new()
        rows["frame"] -= self._offset
        return rows

    def facts(self) -> dict[str, Any]:
        """Memory at the first and the last look, for the figures."""
        if not self._memory:
            return {}
        return {"memory": {"first": self._memory[0], "last": self._memory[-1]}}

    def stop(self) -> None:
        self._stop.set()
        if self._feeder is not None:
            self._feeder.join()
        if self._process is not None:
            end_process(self._process, STOP_S)
        if self._shared is not None:
            self._shared.remove()

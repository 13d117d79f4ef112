"""cv {pitch_cents_p95, gate_frames_p95, notes}: voltages as another JACK client captures them.

`segue run` with a keyboard on a private JACK server; a native client stands in for the interface
and captures pitch and gate. What was played is read from the session log (the frames at which notes
really began). pitch_cents: how far the captured voltage is from the one that the calibration table
gives for the key, in cents of that table. gate_frames: how far the gate's rise is from its frame, a
pitch lead after the note's, beyond the whole periods that JACK itself puts between two clients.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from engine.bench.child import end_process
from engine.bench.jackd import JackServer, wait_until
from engine.bench.measures import MeasureError
from engine.bench.native import Recording, Witness
from engine.cv_out import PITCH_LEAD_S

RATE, BLOCK = 48_000, 128
NOTES = 120
START_S, END_S, NOTES_S = 60.0, 20.0, 60.0
FULL_SCALE = 10.0
GATE_V = 5.0
SETTLED = 24  # frames after a note at which its pitch is read, before its gate
LOW, HIGH = 36, 96
TRACKING = 1.03  # volts an octave of the oscillator that the table was made for
INTERFACE = "modular"
_KEYBOARD = """
import random, rtmidi, sys, time
out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="Keys")
out.open_virtual_port("MIDI 1")
sys.stdin.readline()
dice = random.Random(1)
for _ in range(int(sys.argv[1])):
    key = dice.randint(int(sys.argv[2]), int(sys.argv[3]))
    out.send_message([0x90, key, 90])
    time.sleep(0.05 + 0.05 * dice.random())
    out.send_message([0x80, key, 0])
    time.sleep(0.02 + 0.03 * dice.random())
"""


def table() -> list[tuple[int, float]]:
    """(MIDI note, volts) of an oscillator that tracks wrongly and bends."""
    octaves = [(note, (note - 60) / 12) for note in range(LOW, HIGH + 1)]
    return [(note, round(TRACKING * o + 0.004 * o * o + 0.02, 6)) for note, o in octaves]


def patch_text() -> str:
    return json.dumps(
        {
            "name": "voltages",
            "audio": {"device": INTERFACE},
            "inputs": {"line": {"channel": 1, "to": {}}},
            "midi": {"keys": {"port": "Keys", "voice": "lead"}},
            "voices": {"lead": {}},
            "outputs": {"main": {"channels": [1, 2]}},
            "cv": {
                "pitch": {"channel": 3, "source": "lead", "table": table()},
                "gate": {"channel": 4, "source": "lead", "kind": "gate", "gate_volts": GATE_V},
            },
        }
    )


def perform(folder: Path) -> tuple[Recording, list[dict[str, Any]]]:
    """What was captured, and the session log. Raises MeasureError, JackError or NativeError."""
    patch, session = folder / "voltages.yaml", folder / "session"
    patch.write_text(patch_text())
    with (
        JackServer(rate=RATE, block=BLOCK) as server,
        Witness(server, name=INTERFACE, inputs=["-"] * 4, outputs=["-"],
                play=np.zeros((RATE, 1), np.float32), loop=True) as witness,
    ):  # fmt: skip
        command = [sys.executable, "-m", "engine.cli", "run", str(patch), "--no-rig"]
        command += ["--name", server.name, "--session", str(session)]
        keyboard = [sys.executable, "-c", _KEYBOARD, str(NOTES), str(LOW), str(HIGH)]
        with (folder / "said.txt").open("wb") as said:
            segue = subprocess.Popen(command, env=server.env, stdin=subprocess.DEVNULL, stderr=said)
        keys = subprocess.Popen(
            keyboard, env=server.env, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            ready = wait_until(lambda: _joined(server, segue), START_S)
            if not ready:
                tail = (folder / "said.txt").read_text()[-500:]
                raise MeasureError(f"segue did not play within {START_S:g} s; it said {tail}")
            assert keys.stdin is not None
            keys.stdin.write(b"\n")
            keys.stdin.flush()
            keys.wait(NOTES_S)
        finally:
            keys.kill()
            keys.wait()
            if keys.stdin is not None:
                keys.stdin.close()
            end_process(segue, END_S)
        witness.stop()
        recording = witness.recording()
        lines = (session / "log.jsonl").read_text().split("\n")[:-1]
        return recording, [json.loads(line) for line in lines]


def _joined(server: JackServer, segue: subprocess.Popen[bytes]) -> bool:
    """Sound leaves, and the keyboard is heard."""
    if segue.poll() is not None:
        raise MeasureError(f"segue ended with exit code {segue.returncode}")
    ends = server.connections()
    sounds = any(a.startswith("segue:") and b.startswith(f"{INTERFACE}:") for a, b in ends)
    return sounds and any(a.startswith("Keys:") for a, _ in ends)


def judge(recording: Recording, events: list[dict[str, Any]]) -> dict[str, float]:
    """The figures; notes that stand beside a frame that anybody lost are left out."""
    volts = FULL_SCALE * np.asarray(recording.audio[:, 2:4], np.float64)
    lead = math.ceil(PITCH_LEAD_S * RATE)
    rises = 1 + np.flatnonzero(np.diff((volts[:, 1] > GATE_V / 2).astype(np.int8)) > 0)
    at = dict(table())
    notes = [(e["frame"] - recording.start, e["a"]) for e in events if e["event"] == "note_on"]
    lost = np.array(
        [f - recording.start for f, _ in recording.gaps()]
        + [e["frame"] - recording.start for e in events if e["event"] in ("gap", "missed")]
    )
    notes = [n for n in notes if not np.any(np.abs(lost - n[0]) < 4 * BLOCK)]
    if len(notes) < NOTES // 2 or not len(rises):
        raise MeasureError(f"{len(notes)} notes of {NOTES} to judge by: the machine is too busy")
    late = np.array([rises[np.argmin(np.abs(rises - f - lead))] - f - lead for f, _ in notes])
    period = BLOCK * round(float(np.median(late)) / BLOCK)
    cents = []
    for frame, key in notes:
        heard = volts[frame + period + SETTLED, 0]
        slope = at[min(key + 1, HIGH)] - at[min(key + 1, HIGH) - 1]
        cents.append(abs(heard - at[key]) / slope * 100)
    return {
        "pitch_cents_p95": round(float(np.percentile(cents, 95)), 4),
        "gate_frames_p95": float(np.percentile(np.abs(late - period), 95)),
        "notes": len(notes),
    }


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="segue-cv-") as folder:
        return {"cv": judge(*perform(Path(folder)))}

"""Risk: through a real sound server the sweep measures something else than the oscillator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.bench.jackd import JackServer
from engine.calibration import read_calibration

# An oscillator on the JACK server that follows a voltage (full scale 10 V), 3 % flat, detuned.
TRACKING, DETUNE = 0.97, 0.3
OSCILLATOR = f"""
import jack, numpy as np, threading
client = jack.Client("vco")
cv = client.inports.register("cv")
out = client.outports.register("out")
phase = 0.0

@client.set_process_callback
def process(frames):
    global phase
    volts = 10.0 * np.asarray(cv.get_array(), np.float64)
    hz = 440.0 * 2 ** ((60 - 69 + 12 * volts * {TRACKING} + {DETUNE}) / 12)
    p = phase + np.cumsum(hz / client.samplerate)
    phase = p[-1] % 1
    out.get_array()[:] = 0.3 * np.sin(2 * np.pi * p) + 0.1 * np.sin(4 * np.pi * p)

with client:
    threading.Event().wait()
"""
PATCH = """
audio: {device: vco}
voices: {lead: {}}
outputs: {main: {channels: [3, 4]}}
cv: {pitch: {channel: 1, source: lead, volts_full_scale: 10}}
"""


@pytest.mark.jack
@pytest.mark.slow
def test_an_oscillator_is_measured_through_a_real_input(tmp_path: Path) -> None:
    (tmp_path / "patch.yaml").write_text(PATCH)
    out = tmp_path / "vco.txt"
    with JackServer(block=512) as server:
        vco = subprocess.Popen([sys.executable, "-c", OSCILLATOR], env=server.env)
        try:
            server.wait_ports("vco:cv", "vco:out")
            command = [sys.executable, "-m", "engine.cli", "cv", "calibrate", "--no-rig"]
            command += [str(tmp_path / "patch.yaml"), "pitch", "--input", "1", "--out", str(out)]
            done = subprocess.run(
                [*command, "--json"], env=server.env, capture_output=True, text=True, check=False
            )
        finally:
            vco.kill()
            vco.wait()
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["notes"] == [36, 96]
    assert facts["worst_cents"] < 1.0
    table = np.array(read_calibration(out))
    sounds = 60 + 12 * 10 * table[:, 1] * TRACKING + DETUNE
    assert np.abs(sounds - table[:, 0]).max() * 100 < 1.0

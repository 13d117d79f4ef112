"""Risk: with a rig something else sounds than it says, or what is not there ends a performance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stage import RATE

from engine.bench.jackd import JackServer
from engine.bench.native import Witness
from engine.patch_schema import json_schema
from engine.rig import Rig
from engine.rig_load import load_rig
from engine.set_load import load_performance

ROOT = Path(__file__).parents[1]
BOX = "Box 2 A/B 🎺"
PATCH = """
inputs: {horn: {to: {main: 0}}, flute: {to: {main: 0}}}
midi: {keys: {voice: piano}}
voices: {piano: {to: {main: 0}}}
outputs: {main: {limit: false}, cue: {}}
cv: {pitch: {source: piano}}
"""
RIG = """
name: "Gänsemarkt"
tuning_hz: 442
audio: {device: "Box 2 A/B", rate: 44100, round_trip_ms: 5.5}
inputs: {horn: {channel: 3, trim_db: -6}, banjo: {channel: 1}}
outputs: {main: {channels: [4, 2]}}
midi: {keys: {port: "no such keyboard"}}
surfaces: {grid: {port: "no such pads"}}
cv: {pitch: {channel: 60}}
"""


def gain_db(heard: np.ndarray, loop: np.ndarray) -> float | None:
    """By how much a second of sound is a loop of a second, whenever that began; None: silence."""
    if not heard.any():
        return None
    likeness = np.fft.irfft(np.fft.rfft(heard) * np.conj(np.fft.rfft(loop)), len(loop))
    lag, power = int(np.argmax(likeness)), float(np.dot(loop, loop))
    gain = likeness[lag] / power
    np.testing.assert_allclose(heard, gain * np.roll(loop, lag), atol=1e-5)
    return float(20.0 * np.log10(gain))


@pytest.mark.slow
@pytest.mark.jack
def test_a_patch_without_places_plays_where_the_rig_says(tmp_path: Path) -> None:
    patch, rig = tmp_path / "a patch / no.yaml".replace(" / ", " ∕ "), tmp_path / "rig 🎺.yaml"
    patch.write_text(PATCH)
    rig.write_text(RIG)
    rng = np.random.default_rng(7)
    play = rng.uniform(-0.4, 0.4, (RATE, 4)).astype(np.float32)
    with (
        JackServer() as server,
        Witness(
            server, name=BOX, inputs=["-"] * 4, outputs=["-"] * 4, play=play, loop=True
        ) as stage,
    ):
        command = ["run", str(patch), "--rig", str(rig), "--seconds", "12"]
        done = subprocess.run(
            [sys.executable, "-m", "engine.cli", *command, "--name", server.name],
            cwd=ROOT,
            env=server.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        stage.stop()
        heard = stage.recording()
        assert done.returncode == 0, done.stderr
        last = len(heard.audio) - 3 * RATE
        part = heard.audio[last - RATE : last]
        gains = [gain_db(part[:, c], play[:, 2]) for c in range(4)]
        assert gains == [None, pytest.approx(-6.0, abs=1e-3), None, gains[1]]
    for said in (
        f"rig: {rig}",
        "missing: input flute: no channel, in neither patch nor rig",
        "missing: output cue: no channels, in neither patch nor rig",
        "missing: cv pitch: channel 60 of 4",
        "rate 44100 Hz: the sound server runs at 48000 Hz",
        "no port matches no such keyboard",
    ):
        assert said in done.stderr, done.stderr


RIGS = sorted((ROOT / "patches" / "rigs").glob("*.yaml"))


@pytest.mark.parametrize("path", RIGS, ids=lambda p: p.stem)
def test_a_shipped_rig_serves_the_stage(path: Path) -> None:
    rig = load_rig(path).rig
    patch = load_performance(ROOT / "patches" / "stage.yaml", path)
    for kind in ("inputs", "outputs", "midi", "surfaces", "cv"):
        placed = set(getattr(rig, kind)) | (set(rig.controllers) if kind == "midi" else set())
        assert set(getattr(patch, kind)) <= placed
    assert set(json_schema(Rig)["properties"]) >= {"inputs", "tuning_hz"}


def test_there_is_an_example() -> None:
    assert [p.stem for p in RIGS] == ["example"]


@pytest.mark.jack
def test_a_client_that_portaudio_cannot_open_is_named_with_what_to_do() -> None:
    code = (
        "import sounddevice as sd\n"
        "from devices.audio.interface import choose\n"
        "from devices.audio.jack_clock import JackClock\n"
        "from engine.patch import Audio, Patch\n"
        "choose(sd, Patch(audio=Audio(device='Scarlett')), JackClock())\n"
    )
    with (
        JackServer() as server,
        Witness(server, name="Scarlett (3rd Gen)", inputs=["-"], outputs=["-"]),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=server.env,
            capture_output=True,
            text=True,
            check=False,
        )
    assert "rename 'Scarlett (3rd Gen)'" in done.stderr

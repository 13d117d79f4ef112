"""Risk: two performances on one JACK server take each other's connections for their own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import jack
import pytest

from devices.audio.bypass import JackBypass
from devices.audio.process import tell_client
from engine.bench.jackd import JackServer
from engine.bench.native import Witness
from engine.patch import Audio, Input, Output, Patch
from engine.shm import Shared

pytestmark = pytest.mark.jack


def performance(folder: Path, device: str) -> JackBypass:
    patch = Patch(
        audio=Audio(device=f": {device}$"),
        inputs={"voice": Input(channel=1, to={"main": 0.0})},
        outputs={"main": Output((1,))},
    )
    bypass = JackBypass(patch)
    bypass.shared = Shared.create(folder, patch)
    return bypass


def audio_client(stack: ExitStack, bypass: JackBypass) -> jack.Client:
    """As PortAudio makes one."""
    client = jack.Client("segue", no_start_server=True)
    stack.callback(client.close)
    client.inports.register("in_0")
    client.outports.register("out_0")
    client.activate()
    assert bypass.shared is not None
    tell_client(bypass.shared, client.name)
    return client


def test_each_restores_its_own_connections_only(server: JackServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for name in ("east", "west"):
            stack.enter_context(Witness(server, name=name, inputs=["-"], outputs=["-"]))
        parts = [performance(tmp_path / name, name) for name in ("east", "west")]
        clients = [audio_client(stack, bypass) for bypass in parts]
        assert clients[0].name != clients[1].name
        for client, name in zip(clients, ("east", "west"), strict=True):
            server.connect(f"{name}:out_1", f"{client.name}:in_0")
            server.connect(f"{client.name}:out_0", f"{name}:in_1")
        mine = [
            {pair for pair in server.connections() if f"{client.name}:" in "".join(pair)}
            for client in clients
        ]
        for bypass in parts:
            stack.callback(bypass.close)
            bypass.audio_back()
            bypass.tend()
        parts[0].audio_lost()
        clients[0].deactivate()  # its connections go with it
        clients[0].activate()
        parts[0].audio_back()
        for client, wanted in zip(clients, mine, strict=True):
            name = f"{client.name}:"
            assert {pair for pair in server.connections() if name in "".join(pair)} == wanted


def test_portaudio_says_what_jack_calls_us(server: JackServer) -> None:
    program = (
        "from devices.audio.interface import name_client, known_as\n"
        "name_client()\n"
        "import sounddevice\n"
        "print(known_as())\n"
    )
    other = jack.Client("segue", no_start_server=True)
    done = subprocess.run(
        [sys.executable, "-c", program], env=server.env, capture_output=True, text=True, check=True
    )
    other.close()
    assert done.stdout.strip().startswith("segue-")

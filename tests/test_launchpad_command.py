"""Risk: `segue launchpad` fails where somebody without hardware, or a service, counts on it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from devices.launchpad.emulated import Mode
from devices.launchpad.emulator import Emulator
from engine.bench.jackd import JackServer, wait_until

ROOT = Path(__file__).parents[1]
SECONDS = 60.0


def command(*words: str, server: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "launchpad", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "JACK_DEFAULT_SERVER": server, "JACK_NO_START_SERVER": "1"},
        text=True,
    )


@pytest.fixture
def server() -> Iterator[JackServer]:
    with JackServer() as server:
        yield server


@pytest.mark.jack
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_is_played_at_the_address_it_prints_and_leaves_a_picture(
    server: JackServer, tmp_path: Path, how: signal.Signals
) -> None:
    png = tmp_path / "pads.png"
    words = ("emulate", "--server", server.name, "--port", "0", "--png", str(png), "--json")
    running = command(*words, server="segue-no-such-server")
    assert running.stderr is not None
    address = running.stderr.readline().split(" at ")[1].split()[0]
    with urllib.request.urlopen(address) as page:
        assert b"Launchpad Pro MK3" in page.read()
    server.wait_ports("Launchpad Pro MK3:LPProMK3 MIDI", "Launchpad Pro MK3 in:LPProMK3 MIDI")
    running.send_signal(how)
    told, errors = running.communicate(timeout=SECONDS)
    assert (running.returncode, errors) == (0, "")
    assert json.loads(told)["mode"] == "live"
    with Image.open(png) as picture:
        assert picture.size == (672, 736)


@pytest.mark.jack
def test_it_ends_with_its_server_and_says_so(server: JackServer) -> None:
    running = command("emulate", "--port", "0", server=server.name)
    assert running.stderr is not None
    assert "127.0.0.1" in running.stderr.readline()
    server.kill()
    _, errors = running.communicate(timeout=SECONDS)
    assert running.returncode == 1
    assert "the JACK server has gone" in errors


@pytest.mark.jack
def test_a_page_that_is_taken_is_named(server: JackServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        running = command("emulate", "--port", port, server=server.name)
        _, errors = running.communicate(timeout=SECONDS)
    assert running.returncode == 1
    assert f"no page on 127.0.0.1:{port}" in errors
    assert "--port" in errors


def test_without_a_server_both_commands_say_so() -> None:
    emulate = command("emulate", "--port", "0", server="segue-no-such-server")
    restore = command("restore", "--json", server="segue-no-such-server")
    _, errors = emulate.communicate(timeout=SECONDS)
    assert emulate.returncode == 1
    assert "no JACK server" in errors
    told, errors = restore.communicate(timeout=SECONDS)
    assert restore.returncode == 0  # nothing was left to restore
    assert json.loads(told) == {"restored": []}


@pytest.mark.jack
def test_restore_gives_every_stranded_unit_back(
    server: JackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    with Emulator() as one, Emulator("Launchpad Pro MK3 2") as other:
        for unit in (one, other):
            unit._unit.mode = Mode.PROGRAMMER  # as a crash left it

        def restored() -> bool:
            running = command("restore", server=server.name)
            told, _ = running.communicate(timeout=SECONDS)
            assert running.returncode == 0
            assert told.count("is in Live mode") == 2
            return one.mode is other.mode is Mode.LIVE

        assert wait_until(restored, SECONDS)

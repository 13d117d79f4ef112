"""Risk: a test server that lingers, that collides with another, or whose death is not a death."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from engine.bench.jackd import JackError, JackServer, dead_places, need_tool

pytestmark = pytest.mark.jack


def test_two_servers_live_side_by_side_and_leave_nothing() -> None:
    with JackServer(inputs=1, outputs=3) as first, JackServer(inputs=2, outputs=2) as second:
        assert first.name != second.name
        assert first.ports() == [
            "system:capture_1",
            *(f"system:playback_{n}" for n in (1, 2, 3)),
        ]
        first.connect("system:capture_1", "system:playback_3")
        first.connect("system:capture_1", "system:playback_3")
        assert ("system:capture_1", "system:playback_3") in first.connections()
        assert second.connections() == set()
        first.disconnect("system:capture_1", "system:playback_3")
        assert first.connections() == set()
        pids = [first.pid, second.pid]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_killed_server_comes_back_under_its_name() -> None:
    with JackServer() as server:
        before = server.pid
        server.kill()
        assert not server.running
        assert server.ports() == []
        with pytest.raises(JackError, match="not running"):
            _ = server.pid
        server.restart()
        assert server.pid != before
        assert "system:playback_2" in server.ports()


def registered(name: str) -> bool:
    """Whether the server's name holds a place in JACK's registry of the machine."""
    registry = Path("/dev/shm/jack-shm-registry")
    return f":{name}:".encode() in registry.read_bytes()


def test_a_killed_server_that_is_stopped_gives_its_place_back() -> None:
    with JackServer() as server:
        assert registered(server.name)
        server.kill()
        assert registered(server.name)
    assert not server.running
    assert not registered(server.name)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(JackError, match="install Debian's nothing-like-it"):
        need_tool("no-such-program", "nothing-like-it")
    with JackServer() as server:
        with pytest.raises(JackError, match="ghost:in_1"):
            server.connect("system:capture_1", "ghost:in_1")
        with pytest.raises(JackError, match="no port ghost:out_1"):
            server.wait_ports("system:capture_1", "ghost:out_1", seconds=0.0)
        with pytest.raises(JackError, match="runs already"):
            server.start()


def test_dead_servers_of_ours_are_found_in_the_registry_and_others_left_alone() -> None:
    def entry(pid: int, name: str) -> bytes:
        return pid.to_bytes(4, sys.byteorder) + f"jack-0:{name}:".encode().ljust(256, b"\0")

    alive = os.getpid()
    registry = b"".join(
        [entry(2**22 + 1, "segue-1-1"), entry(alive, "segue-2-1"), entry(2**22 + 2, "default")]
    )
    assert dead_places(registry) == ["segue-1-1"]

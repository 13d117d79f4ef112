"""Risk: the audio process's ports are seen before they are connected, and left unconnected for
ever."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from devices.audio.bypass import CLIENT_FILE, JackBypass
from engine.patch import Patch

IN, OUT = "segue:in_0", "segue:out_0"


class Server:
    """A JACK client's view of ports and connections, by hand."""

    name = "segue-dry"

    def __init__(self) -> None:
        self.pairs: set[tuple[str, str]] = set()

    def get_ports(self, is_audio: bool) -> list[SimpleNamespace]:
        assert is_audio
        return [SimpleNamespace(name=n) for n in (IN, OUT, "stage:in_1", "stage:out_1")]

    def get_port_by_name(self, name: str) -> str:
        return name

    def get_all_connections(self, port: str) -> list[SimpleNamespace]:
        peers = [b if a == port else a for a, b in self.pairs if port in (a, b)]
        return [SimpleNamespace(name=n) for n in peers]

    def connect(self, source: str, destination: str) -> None:
        self.pairs.add((source, destination))

    def disconnect(self, source: str, destination: str) -> None:
        self.pairs.discard((source, destination))


OWN = {("stage:out_1", IN), (OUT, "stage:in_1")}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def bypass(server: Server, tmp_path: Path) -> JackBypass:
    (tmp_path / CLIENT_FILE).write_text("segue")
    bypass = JackBypass(Patch())
    bypass._client = server
    bypass.shared = SimpleNamespace(file=lambda name: tmp_path / name)  # type: ignore[assignment]
    return bypass


def test_ports_that_were_seen_before_they_were_connected_stay_connected(
    server: Server, bypass: JackBypass
) -> None:
    bypass.tend()
    server.pairs |= OWN
    bypass.audio_back()
    assert server.pairs == OWN


def test_a_successor_is_connected_as_its_predecessor_was(
    server: Server, bypass: JackBypass
) -> None:
    server.pairs |= OWN
    bypass.audio_back()
    server.pairs = {(OUT, "stage:in_1"), (OUT, "amp:in")}  # by hand, the input taken out
    bypass.tend()
    bypass.audio_lost()
    server.pairs = set()
    bypass.tend()
    server.pairs = set(OWN)
    bypass.audio_back()
    assert server.pairs == {(OUT, "stage:in_1"), (OUT, "amp:in")}

"""What many tests stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.bench.jackd import JackServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JackServer]:
    """A JACK server that this process's own clients join, and any process that it starts."""
    with JackServer() as running:
        for name in ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER"):
            monkeypatch.setenv(name, running.env[name])
        yield running

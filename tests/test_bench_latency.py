"""Risk: a latency figure of nothing: uncertain readings counted, a delayed path called clean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.bench import latency
from engine.bench.jackd import JackServer
from engine.bench.latency import LatencyError, bench_latency, measure_loop, parse_readings
from engine.bench.native import Witness

SAID = """new capture latency: [0, 0]
Signal below threshold...
   128.000 frames      2.667 ms total roundtrip latency
	extra loopback latency: 127 frames
   127.998 frames      2.667 ms total roundtrip latency ??
   128.001 frames      2.667 ms total roundtrip latency Inv
  1024.250 frames     21.333 ms total roundtrip latency
"""


def test_only_certain_readings_count() -> None:
    assert parse_readings(SAID) == [128.0, 1024.25]


@contextmanager
def native_path(server: JackServer) -> Iterator[tuple[str, str]]:
    with Witness(server, name="path", inputs=["-"], outputs=["-"], through=True):
        yield "path:in_1", "path:out_1"


@pytest.mark.jack
def test_a_native_client_in_segues_place_adds_nothing() -> None:
    figures = bench_latency(native_path, block=128)
    assert figures["added_frames"] == 0
    assert figures["jack_frames"] == figures["direct_frames"] == 128


@pytest.mark.jack
def test_an_open_loop_is_an_error_and_not_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "SECONDS", 1.0)
    with (
        JackServer() as server,
        pytest.raises(LatencyError, match="no steady delay"),
    ):
        measure_loop(server, "system:playback_1", "system:capture_1")

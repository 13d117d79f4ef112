"""Risk: the sound server's counter has 32 bits and begins anew after a day at 48 kHz, and time
jumps for everybody; or an audio process, or a server, that is started again counts elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from devices.audio import callback as callback_module
from devices.audio.callback import Callback
from devices.audio.jack_clock import JackClock
from engine.channel_map import plain_map
from engine.layout import ReportKind
from engine.patch import Input, Output, Patch
from engine.performance import LivePerformance
from engine.shm import Shared

RATE, N = 48_000, 128
WRAP = 2**32
DRIFT = 5e-5
PATCH = Patch(inputs={"a": Input(channel=1, to={"main": 0.0})}, outputs={"main": Output((1, 2))})


class Server:
    """A sound server's counter and the host's clock, by hand, which drift; the library and the
    `time` that the audio process reads them with."""

    def __init__(self, frame: int) -> None:
        self.counted, self.ns = frame, 10**12

    def go_on(self, frames: int) -> None:
        self.counted += frames
        self.ns += round(frames * 1e9 / RATE * (1 + DRIFT))

    def jack_last_frame_time(self, _: object) -> int:
        return self.counted % WRAP

    def monotonic_ns(self) -> int:
        return self.ns

    def thread_time_ns(self) -> int:
        return 0

    def perf_counter_ns(self) -> int:
        return 0


class Night:
    def __init__(self, server: Server) -> None:
        self.server, self.shared = server, Shared.private(PATCH)
        self._in, self._out = np.zeros((N, 1), np.float32), np.zeros((N, 2), np.float32)
        self.start()

    def start(self) -> None:
        """Another audio process."""
        state = self.shared.sections["state"].read()
        channels = plain_map(PATCH)
        engine = LivePerformance(PATCH, self.shared, channels, RATE, None, state)
        clock = JackClock.__new__(JackClock)
        clock._lib, clock._client, clock._high, clock._last = self.server, None, 0, 0
        self._callback = Callback(self.shared, engine, clock)

    def play(self, blocks: int) -> list[int]:
        """Timestamps of the blocks."""
        frames = []
        for _ in range(blocks):
            self._callback(self._in, self._out, N, None, 0)
            assert self._callback.error is None
            now = self.shared.clock()
            assert now is not None
            frames.append(now.t)
            self.server.go_on(N)
        return frames


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(WRAP - 300 * N)
    monkeypatch.setattr(callback_module, "time", made)
    return made


def test_time_goes_on_when_the_counter_begins_anew(server: Server) -> None:
    night = Night(server)
    frames = night.play(600)
    assert (np.diff(frames) == N).all()
    reports = night.shared.ring("reports").pop(8192)["kind"].tolist()
    assert reports == [ReportKind.RESUMED]


@pytest.mark.parametrize("before", [100, 299, 400])
def test_successor_counts_on_by_the_server_whatever_its_counter_did_meanwhile(
    server: Server, before: int
) -> None:
    night = Night(server)
    last = night.play(before)[-1]
    for _ in range(3):
        server.go_on(375 * N)
        night.start()
        frames = night.play(400)
        assert frames[0] == last + N + 375 * N
        assert (np.diff(frames) == N).all()
        last = frames[-1]


def test_server_that_is_started_again_changes_nothing_for_anybody(server: Server) -> None:
    night = Night(server)
    last = night.play(400)[-1]
    for _ in range(2):
        server.go_on(RATE)
        server.counted = 0
        night.start()
        first, *rest = night.play(400)
        assert abs(first - (last + N + RATE)) <= 1 + 2 * RATE * DRIFT
        assert (np.diff([first, *rest]) == N).all()
        server.go_on(375 * N)
        night.start()  # the audio process alone
        frames = night.play(10)
        assert frames[0] == (rest[-1] + N) + 375 * N
        last = frames[-1]

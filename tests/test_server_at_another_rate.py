"""Risk: the sound server comes back at another rate, and everything is played out of tune and
beside the beat."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from devices.audio import process as process_module
from devices.audio.interface import Found
from devices.audio.process import AudioProcess
from engine.channel_map import ChannelMap
from engine.patch import Output, Patch
from engine.shm import Shared
from engine.shm_records import CLOCK, AudioPhase

PATCH = Patch(outputs={"main": Output((1, 2))})
FOUND = Found(0, "system", "JACK", ChannelMap({}, {"main": (0, 1)}, {}, 0, 2))


class Server:
    """Each client that is opened finds the next rate; the last stays."""

    def __init__(self, *rates: int) -> None:
        self.rates, self.open = list(rates), 0

    def __call__(self) -> SimpleNamespace:
        self.open += 1
        rate = self.rates.pop(0) if len(self.rates) > 1 else self.rates[0]
        return SimpleNamespace(rate=rate, close=self._close)

    def _close(self) -> None:
        self.open -= 1


def waited(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch, began: float
) -> tuple[int, AudioPhase]:
    """The rate at which the audio process opens it, and what it said meanwhile. began: the rate of
    the first block, 0: there was none."""
    shared = Shared.create(folder / "performance", PATCH)
    clock = np.zeros(1, CLOCK)
    clock["rate"], clock["callbacks"], clock["state"] = began, 1, AudioPhase.RUNNING
    shared.sections["clock"].write(clock)
    monkeypatch.setitem(sys.modules, "sounddevice", SimpleNamespace())
    for name, value in {
        "server_answers": lambda: True,
        "JackClock": server,
        "choose": lambda *_: FOUND,
        "name_client": lambda: None,
        "known_as": lambda: "segue",
        "AGAIN_S": 0.0,
    }.items():
        monkeypatch.setattr(process_module, name, value)
    process = AudioProcess.__new__(AudioProcess)
    process.shared, process._stop = shared, False
    opened = process._wait_for_device()
    assert opened is not None
    jack = opened[2]
    assert jack is not None
    now = shared.clock()
    assert now is not None
    return jack.rate, now.phase


def test_it_is_waited_for_at_the_rate_of_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(44_100, 44_100, 48_000)
    with caplog.at_level(logging.WARNING):
        rate, phase = waited(tmp_path, server, monkeypatch, began=48_000.0)
    assert (rate, phase) == (48_000, AudioPhase.WAITING)
    assert caplog.text.count("44100 Hz, this performance began at 48000 Hz") == 1
    assert server.open == 1


def test_performance_that_has_not_begun_takes_any_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate, _ = waited(tmp_path, Server(44_100), monkeypatch, began=0.0)
    assert rate == 44_100

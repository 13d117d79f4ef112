"""Risk: the sound server is away for minutes, and what hands asked for meanwhile is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np

from engine.conductor_process import ConductorProcess
from engine.layout import CommandKind
from engine.patch import Input, Output, Patch
from engine.process import Stop
from engine.shm import Shared

PATCH = Patch(inputs={"mic": Input(channel=1, to={"main": 0.0})}, outputs={"main": Output((1,))})


def test_every_command_arrives_in_order_once_somebody_takes_them(tmp_path: Path) -> None:
    shared = Shared.create(tmp_path / "performance", PATCH)
    handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    process = ConductorProcess(shared, Stop())
    for number, handler in zip((signal.SIGTERM, signal.SIGINT), handlers, strict=True):
        signal.signal(number, handler)
    ring = shared.ring("commands")
    asked = ring.capacity + 300
    for i in range(asked):
        process.conductor.command(CommandKind.GAIN, a=i)
        process.tell_audio()
    assert len(ring) == ring.capacity
    taken: list[int] = []
    while len(ring):
        taken += ring.pop(64)["a"].tolist()
        process.tell_audio()
    process.journal.close()
    assert np.array_equal(taken, np.arange(asked))

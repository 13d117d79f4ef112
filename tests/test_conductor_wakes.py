"""Risk: what a hand asks for waits for the conductor's next tick, or a bell makes it spin."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine import conductor_process
from engine.conductor_process import ConductorProcess
from engine.layout import PRESS
from engine.patch import Patch
from engine.process import Stop
from engine.shm import Shared


class Counted(ConductorProcess):
    """ticked: one for each tick."""

    def __init__(self, shared: Shared, stop: Stop) -> None:
        super().__init__(shared, stop)
        self.ticked = asyncio.Semaphore(0)
        self.ticks = 0

    def tick(self) -> None:
        super().tick()
        self.ticks += 1
        self.ticked.release()


@pytest.fixture
def stop() -> Iterator[Stop]:
    handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    yield Stop()
    for number, handler in zip((signal.SIGTERM, signal.SIGINT), handlers, strict=True):
        signal.signal(number, handler)


def test_a_press_is_looked_at_at_once(
    tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conductor_process, "TICK_S", 600.0)
    bell = os.eventfd(0)
    shared = Shared.create(tmp_path / "shared", Patch(), {"conductor": bell})

    async def play() -> None:
        process = Counted(shared, stop)
        running = asyncio.create_task(process.run())
        async with asyncio.timeout(60.0):
            await process.ticked.acquire()
            for _ in range(3):
                shared.push("presses", np.zeros(1, PRESS))
                await process.ticked.acquire()
            stop.asked = True
            shared.push("presses", np.zeros(1, PRESS))
            await running
        assert process.ticks in (4, 5)  # the first, one a press, and perhaps one to end

    try:
        asyncio.run(play())
    finally:
        os.close(bell)
        shared.remove()


def test_a_bell_that_never_stops_does_not_make_it_spin(
    tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conductor_process, "PAUSE_S", 600.0)
    shared = Shared.create(tmp_path / "shared", Patch())
    process = ConductorProcess(shared, stop)

    async def ring() -> None:
        pausing = asyncio.create_task(process._pause())
        for _ in range(100):
            await asyncio.sleep(0)
            process._awake()
        assert not pausing.done()
        pausing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pausing

    asyncio.run(ring())
    process.journal.close()
    shared.remove()

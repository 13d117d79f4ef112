"""Risk: while a device is waited for, whoever waits with it ends, or is taken for hung after it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engine import capture_host, listener_host, player_host, pool_host, recorder
from engine.bench.child import end_process
from engine.bench.jackd import wait_until
from engine.patch import Capture, Input, MidiIn, Output, Patch, Player, Voice
from engine.process import Stop, await_sound
from engine.roster import roster
from engine.shm import Shared
from engine.shm_folder import running
from engine.shm_records import CLOCK, AudioPhase

ROOT = Path(__file__).parents[1]
DEADLINE_S = 60.0
PATCH = Patch(
    inputs={"line": Input(channel=1)},
    midi={"keys": MidiIn(port="keys")},
    voices={"answer": Voice()},
    players={"duo": Player(model="notochord", listens="keys", voice="answer")},
    capture=Capture(kept=1),
    outputs={"main": Output((1, 2))},
)


class Loading(Exception):
    """What would take long has begun."""


class Looks:
    """Told to leave at the third look."""

    def __init__(self) -> None:
        self.left = 3

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left < 0


def waiting(shared: Shared) -> None:
    clock = np.zeros(1, CLOCK)
    clock["state"] = AudioPhase.WAITING  # and nobody knows the rate
    shared.sections["clock"].write(clock)


def playing(shared: Shared) -> None:
    clock = np.zeros(1, CLOCK)
    clock["state"], clock["rate"], clock["callbacks"] = AudioPhase.RUNNING, 44100.0, 1
    shared.sections["clock"].write(clock)


def promised_s(shared: Shared, name: str) -> float:
    """How long its last life sign is good for."""
    return (int(shared.heartbeats[shared.names.index(name)]) - time.monotonic_ns()) / 1e9


def hosts(stop: Stop) -> dict[str, Callable[[Shared], object]]:
    return {
        "listener": lambda s: listener_host._serve(s, stop),
        "player.duo": lambda s: player_host._serve(s, stop, "duo"),
        "capture": lambda s: capture_host.serve(s, stop),
        "recorder": lambda s: recorder._serve(s, stop, cast(Any, None)),
        "pool": lambda s: await_sound(s, stop, "pool"),
    }


@pytest.mark.parametrize("name", hosts(cast(Stop, None)))
def test_all_wait_with_it_and_leave_when_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Shared.private(PATCH)
    waiting(shared)

    def load(*_: object) -> None:
        raise AssertionError("loaded without a rate")

    for module, what in (
        (listener_host, "ListenerHost"),
        (player_host, "load_player"),
        (capture_host, "CaptureHost"),
        (recorder, "Recording"),
        (pool_host, "PoolHost"),
    ):
        monkeypatch.setattr(module, what, load)
    assert not hosts(cast(Stop, Looks()))[name](shared)
    assert promised_s(shared, name) > -1.0


@pytest.mark.parametrize("name", ["listener", "player.duo"])
def test_a_model_may_load_as_long_after_it_as_at_the_start(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Shared.private(PATCH)
    playing(shared)

    def load(*_: object) -> None:
        raise Loading

    monkeypatch.setattr(player_host, "load_player", load)
    monkeypatch.setattr(listener_host, "importlib", SimpleNamespace(import_module=load))
    with pytest.raises(Loading):
        hosts(cast(Stop, Looks()))[name](shared)
    (part,) = [p for p in roster(PATCH, False, False) if p.name == name]
    assert promised_s(shared, name) + part.silent_s >= part.load_s > 20.0


@pytest.mark.slow
def test_without_a_sound_server_one_line_says_so_and_nothing_else_is_written(
    tmp_path: Path,
) -> None:
    said = tmp_path / "stderr.txt"
    command = [sys.executable, "-m", "engine.cli", "run", str(ROOT / "patches" / "minimal.yaml")]
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--no-rig", "--name", f"waits-{os.getpid()}"],
            cwd=ROOT,
            env={**os.environ, "JACK_DEFAULT_SERVER": "nobody-is-here"},
            stderr=stderr,
        )
    try:
        assert wait_until(lambda: "waiting for sound" in said.read_text(), DEADLINE_S)
        shared = Shared.open(running(f"waits-{os.getpid()}")[0])
        clock = shared.clock()
        assert clock is not None
        assert clock.phase is AudioPhase.WAITING
        # It looks again and again: for as long as the other processes take to be there.
        assert wait_until(lambda: shared.heartbeats[shared.names.index("midi")] != 0, DEADLINE_S)
    finally:
        end_process(process, DEADLINE_S)
    lines = said.read_text().splitlines()
    assert [line for line in lines if "waiting for sound" in line] == [
        "segue audio: waiting for sound: no sound server and no interface; "
        "start JACK or PipeWire, or plug one in"
    ]
    assert all(line.startswith(("rig: ", "segue", "midi: ")) for line in lines), lines

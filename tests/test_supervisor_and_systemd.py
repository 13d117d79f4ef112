"""Risk: systemd restarts a performance that plays, leaves one that does not, or is waited for."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from supervised import Stage, made, play

from engine.notify import notify


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = made(tmp_path, monkeypatch)
    yield stage
    stage.end()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What it was told since it was asked last."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def told() -> list[str]:
            words = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    words.append(heard.recv(100).decode())
            return words

        yield told


def test_systemd_is_fed_while_the_sound_goes_on_and_not_beyond(
    stage: Stage, systemd: Callable[[], list[str]]
) -> None:
    audio, _ = stage.children(audio="waits", pool="waits")
    stage.tick()
    assert systemd() == []
    for callbacks in range(1, 400):  # four seconds
        play(stage, audio, callbacks)
        stage.beat(audio)
        stage.tick()
    assert systemd() == ["READY=1", *["WATCHDOG=1"] * 4]
    stage.tick(0.3)
    assert systemd() == []
    for _ in range(30):
        stage.tick(0.1)
    assert systemd() == []  # nor while another audio process is on its way
    for callbacks in range(1, 200):
        play(stage, audio, callbacks)
        stage.beat(audio)
        stage.tick()
    assert systemd() == ["WATCHDOG=1"] * 2


def test_a_service_manager_that_does_not_listen_is_not_waited_for(
    systemd: Callable[[], list[str]],
) -> None:
    for _ in range(5000):
        notify("WATCHDOG=1")
    assert 0 < len(systemd()) < 5000

"""Risk: a core that sleeps deeply wakes too late for a block, or is kept awake by nobody's wish."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
from stage import Stage, interface, music

from devices.audio.realtime import CPU_LATENCY, WAKE_US, keep_awake
from engine.bench.jackd import JackServer


@pytest.mark.parametrize(("driver", "us"), [("acpi_idle", WAKE_US), ("haltpoll", 0), ("", WAKE_US)])
def test_what_is_asked_for(tmp_path: Path, driver: str, us: int) -> None:
    device, named = tmp_path / "latency", tmp_path / "driver"
    device.touch()
    if driver:
        named.write_text(f"{driver}\n")
    assert keep_awake(device, named)
    assert struct.unpack("i", device.read_bytes()) == (us,)


def test_a_system_without_it_is_no_fault(tmp_path: Path) -> None:
    assert not keep_awake(tmp_path / "nothing", tmp_path / "nothing")
    (tmp_path / "full").symlink_to("/dev/full")
    assert not keep_awake(tmp_path / "full", tmp_path / "nothing")


def may_hold() -> bool:
    """Whether this machine lets us: a container may forbid what the rights allow."""
    try:
        os.close(os.open(CPU_LATENCY, os.O_WRONLY))
    except OSError:
        return False
    return True


def held(pid: int) -> bool:
    """Whether a process holds the kernel's word for it."""
    links = (os.readlink(f) for f in Path(f"/proc/{pid}/fd").iterdir())
    return str(CPU_LATENCY) in links


@pytest.mark.jack
@pytest.mark.slow
def test_it_holds_while_the_audio_process_lives(tmp_path: Path) -> None:
    with JackServer(inputs=2, outputs=2) as server, interface(server, music(1)):  # noqa: SIM117
        with Stage(server, tmp_path) as stage:
            stage.wait_sound()
            pid = stage.pid("devices.audio.process")
            assert pid is not None
            facts = json.loads(stage.shared.file("audio.json").read_text())
            assert facts["cores_awake"] == held(pid) == may_hold()

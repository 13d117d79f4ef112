"""Risk: what holds for the emulator in memory does not hold over JACK's real ports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from devices.launchpad.emulated import Mode
from devices.launchpad.emulator import Emulator, EmulatorError
from devices.launchpad.mk3 import CELLS, bulk, read
from engine.bench.jackd import JackServer, wait_until
from engine.layout import MIDI_OUT, SafeKind
from engine.patch import Patch, Surface
from engine.shm import Shared
from engine.surface import OFF, Cells, PressKind

pytestmark = pytest.mark.jack
SECONDS = 10.0


def soon(true: Callable[[], bool], act: Callable[[], object] = lambda: None) -> None:
    """JACK loses all events of a cycle that a stalled machine misses: so act again until true."""
    assert wait_until(lambda: true() or bool(act() and False), SECONDS)


@pytest.fixture
def pads(server: JackServer) -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


class Midi:
    """The midi process, and the conductor's ends of its rings."""

    def __init__(self, folder: Path) -> None:
        self.shared = Shared.create(folder, Patch(surfaces={"grid": Surface()}))
        self.presses: list[np.void] = []
        self.safe: list[SafeKind] = []
        self._log = (folder.parent / "midi.log").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devices.midi.process", str(folder)], stderr=self._log
        )

    def errors(self, about: bytes) -> list[bytes]:
        """Lines of its log that contain something."""
        log = Path(self._log.name).read_bytes()
        return [line for line in log.splitlines(keepends=True) if about in line]

    def told(self, kind: PressKind) -> list[int]:
        self.presses += list(self.shared.ring("presses").pop(4096))
        found = [read(r["data"].tobytes()) for r in self.presses]
        return [press.index for press in found if press is not None and press.kind is kind]

    def asked(self) -> list[SafeKind]:
        self.safe += [SafeKind(int(r["kind"])) for r in self.shared.ring("midi_safe").pop(64)]
        return self.safe

    def light(self, cells: Cells) -> None:
        record = np.zeros(1, MIDI_OUT)
        message = bulk(cells)
        record["size"] = len(message)
        record["data"][0, : len(message)] = np.frombuffer(message, np.uint8)
        self.shared.push("midi_out", record)

    def end(self) -> str:
        self.process.terminate()
        self.process.wait(SECONDS)
        self._log.close()
        return b"".join(self.errors(b"")).decode()


@pytest.fixture
def midi(tmp_path: Path, server: JackServer) -> Iterator[Midi]:
    running = Midi(tmp_path / "shared")
    yield running
    if running.process.poll() is None:
        running.end()


def test_it_is_found_lit_pressed_and_given_back(pads: Emulator, midi: Midi) -> None:
    soon(lambda: pads.mode is Mode.PROGRAMMER)
    cells = {index: (index, 127 - index, 1) for index in CELLS}
    soon(lambda: pads.colours() == cells, lambda: midi.light(cells))
    assert pads.heard.entries_max == len(CELLS)

    def tap(index: int) -> None:
        pads.press(index)
        pads.release(index)

    for index in (11, 58, 101, 1, 90):
        soon(lambda i=index: i in midi.told(PressKind.DOWN), lambda i=index: tap(i))  # type: ignore[misc]
    soon(lambda: SafeKind.DRY_TOGGLE in midi.asked(), lambda: tap(88))
    errors = midi.end()
    assert "grid: Launchpad Pro MK3, firmware 0465" in errors
    soon(lambda: pads.mode is Mode.LIVE)


def test_pulled_in_the_middle_of_a_hold_and_plugged_again(pads: Emulator, midi: Midi) -> None:
    soon(lambda: pads.mode is Mode.PROGRAMMER)
    lit = {11: (1, 2, 3)}
    soon(lambda: pads.colours()[11] == lit[11], lambda: midi.light(lit))
    # A press that JACK lost would not be this test's: press again until it was heard.
    soon(lambda: 8 in midi.told(PressKind.DOWN), lambda: (pads.release(8), pads.press(8)))
    pads.pull()
    soon(lambda: bool(midi.told(PressKind.LOST)))
    pads.plug()
    assert pads.mode is Mode.LIVE
    before = len(midi.told(PressKind.CONNECTED))
    soon(lambda: pads.mode is Mode.PROGRAMMER)
    soon(lambda: len(midi.told(PressKind.CONNECTED)) > before)  # the conductor paints all of it
    assert pads.colours()[11] == OFF
    soon(lambda: pads.colours()[11] == lit[11], lambda: midi.light(lit))
    assert midi.asked() == []  # no panic
    soon(lambda: SafeKind.PANIC in midi.asked(), lambda: pads.press(8))


def test_the_pads_are_given_back_when_the_supervisor_is_killed(
    pads: Emulator, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    Shared.create(folder, Patch(surfaces={"grid": Surface()}))
    code = (
        "import subprocess, sys\n"
        f"command = [sys.executable, '-m', 'devices.midi.process', {str(folder)!r}]\n"
        "subprocess.Popen(command).wait()\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    soon(lambda: pads.mode is Mode.PROGRAMMER)
    supervisor.kill()
    supervisor.wait()
    soon(lambda: pads.mode is not Mode.PROGRAMMER)
    assert pads.mode is Mode.LIVE


def test_of_two_units_one_is_played_and_the_other_named(pads: Emulator, midi: Midi) -> None:
    soon(lambda: pads.mode is Mode.PROGRAMMER)
    with Emulator("Launchpad Pro MK3 2") as other:
        soon(lambda: bool(midi.errors(b"2 ports match")))
        assert other.mode is Mode.LIVE
        pads.pull()
        soon(lambda: other.mode is Mode.PROGRAMMER)

        def tap() -> None:
            other.press(88)
            other.release(88)

        soon(lambda: SafeKind.DRY_TOGGLE in midi.asked(), tap)
        pads.plug()
        soon(lambda: len(midi.errors(b"2 ports match")) == 2)
        assert (pads.mode, other.mode) == (Mode.LIVE, Mode.PROGRAMMER)


def test_without_a_server_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "segue-no-such-server")
    with pytest.raises(EmulatorError, match="no JACK server"):
        Emulator()


def test_it_outlives_nothing_of_a_server_that_died(server: JackServer) -> None:
    code = (
        "import os, sys\n"
        "from devices.launchpad.emulator import Emulator\n"
        "pads = Emulator()\n"
        "print('ready', flush=True)\n"
        "assert pads.lost.wait(10)\n"
        "assert not pads.press(11)\n"
        "pads.close()\n"
        "print('closed', flush=True)\n"
        "os._exit(0)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[1],
        env=dict(os.environ),
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    server.kill()
    assert child.communicate(timeout=SECONDS)[0] == "closed\n"
    assert child.returncode == 0

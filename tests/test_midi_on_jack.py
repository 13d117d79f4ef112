"""Risk: what holds with lists for ports does not hold with real ports, servers and kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rtmidi

from devices.launchpad.mk3 import INQUIRY, LIVE_MODE, PROGRAMMER_MODE, bulk, read
from engine.bench.jackd import JackServer, wait_until
from engine.layout import MIDI_OUT, NoteKind, SafeKind
from engine.patch import MidiIn, Patch, Player, Surface, Voice
from engine.shm import Shared
from engine.surface import PressKind

pytestmark = pytest.mark.jack

PATCH = Patch(
    midi={"keys": MidiIn(port="Keystation", voice="piano", transpose=12)},
    voices={"drums": Voice(drums=True), "piano": Voice()},
    players={"echo": Player(model="notochord", listens="keys", voice="piano")},
    surfaces={"grid": Surface()},
)
GRID = 1  # its row in the port table
SECONDS = 10.0


class Device:
    """A MIDI device of our own: a client with an output and, if asked, an input."""

    def __init__(self, client: str, port: str, both: bool = False) -> None:
        api = rtmidi.API_UNIX_JACK
        self.name = f"{client}:{port}"
        self.out = rtmidi.MidiOut(api, name=client)
        self.out.open_virtual_port(port)
        self.inward: Any = None
        self.heard: list[bytes] = []
        if both:
            self.inward = rtmidi.MidiIn(api, name=f"{client} in")
            self.inward.ignore_types(sysex=False, timing=False, active_sense=False)
            self.inward.open_virtual_port(port)

    def send(self, *messages: bytes) -> None:
        for message in messages:
            self.out.send_message(message)

    def listen(self) -> list[bytes]:
        while self.inward is not None and (got := self.inward.get_message()):
            self.heard.append(bytes(got[0]))
        return self.heard

    def pull(self) -> None:
        """What pulling its cable looks like to everyone else."""
        self.out.delete()
        if self.inward is not None:
            self.inward.delete()


class Performance:
    """The midi process on a JACK server, and the other ends of its rings."""

    def __init__(self, folder: Path, server_name: str) -> None:
        self.shared = Shared.create(folder, PATCH)
        self.records: dict[str, list[np.void]] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devices.midi.process", str(folder)],
            env={**os.environ, "JACK_DEFAULT_SERVER": server_name, "JACK_NO_START_SERVER": "1"},
            stderr=subprocess.PIPE,
        )

    def got(self, ring: str) -> list[np.void]:
        """Everything that ever came through a ring."""
        kept = self.records.setdefault(ring, [])
        kept += list(self.shared.ring(ring).pop(4096))
        return kept

    def keys(self, kind: NoteKind, ring: str = "midi_notes") -> list[int]:
        return [int(r["key"]) for r in self.got(ring) if r["kind"] == kind]

    def beats(self) -> int:
        return int(self.shared.heartbeats[self.shared.names.index("midi")])

    def end(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors.decode()


def soon(true: Callable[[], bool]) -> None:
    assert wait_until(true, SECONDS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JackServer]:
    with JackServer() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def performance(tmp_path: Path, server: JackServer) -> Iterator[Performance]:
    playing = Performance(tmp_path / "shared", server.name)
    yield playing
    if playing.process.poll() is None:
        playing.process.kill()
        playing.process.communicate()


def connected(server: JackServer, device: Device) -> Callable[[], bool]:
    return lambda: any(a == device.name and "segue-midi" in b for a, b in server.connections())


def test_a_thousand_notes_arrive_and_a_pulled_cable_leaves_none_sounding(
    server: JackServer, performance: Performance
) -> None:
    keys = Device("Keystation", "MIDI 1")
    soon(connected(server, keys))
    for i in range(500):
        keys.send(bytes((0x90, 36 + i % 60, 64)), bytes((0x80, 36 + i % 60, 0)))
        if i % 20 == 19:  # a keyboard's pace, and a bound on what waits in rtmidi
            soon(lambda i=i: len(performance.keys(NoteKind.OFF)) == i + 1)  # type: ignore[misc]
    wanted = [48 + i % 60 for i in range(500)]
    assert performance.keys(NoteKind.ON) == performance.keys(NoteKind.OFF) == wanted
    assert {int(r["voice"]) for r in performance.got("midi_notes")} == {0xFFFF, 1}
    soon(lambda: performance.keys(NoteKind.ON, "notes.echo") == wanted)
    keys.send(b"\x90\x3c\x40")
    soon(lambda: performance.keys(NoteKind.ON)[-1] == 72)
    keys.pull()
    soon(lambda: len(performance.keys(NoteKind.OFF)) == 501)
    again = Device("Keystation", "MIDI 1")
    soon(connected(server, again))
    again.send(b"\x90\x3e\x40")
    soon(lambda: performance.keys(NoteKind.ON)[-1] == 74)
    code, _ = performance.end()
    assert code == 0
    assert performance.keys(NoteKind.OFF)[-1] == 74
    again.pull()


def test_a_launchpad_is_taken_painted_heard_and_given_back(
    server: JackServer, performance: Performance
) -> None:
    pads = Device("Launchpad Pro MK3", "LPProMK3 MIDI", both=True)
    soon(lambda: pads.listen()[:2] == [INQUIRY, PROGRAMMER_MODE])
    soon(connected(server, pads))
    lights = bulk(dict.fromkeys(range(11, 19), (1, 2, 3)))
    record = np.zeros(1, MIDI_OUT)
    record["port"], record["size"] = GRID, len(lights)
    record["data"][0, : len(lights)] = np.frombuffer(lights, np.uint8)
    performance.shared.push("midi_out", record)
    soon(lambda: lights in pads.listen())
    pads.send(b"\x90\x58\x7f", b"\xb0\x08\x7f")  # DRY, and Stop Clip held
    soon(lambda: len(performance.got("midi_safe")) == 2)
    kinds = [SafeKind(int(r["kind"])) for r in performance.got("midi_safe")]
    assert kinds == [SafeKind.DRY_TOGGLE, SafeKind.PANIC]

    def told() -> list[PressKind]:
        presses = [read(r["data"].tobytes()) for r in performance.got("presses")]
        return [p.kind for p in presses if p is not None]

    soon(lambda: PressKind.HELD in told())
    assert set(told()[:-3]) == {PressKind.CONNECTED}
    assert told()[-3:] == [PressKind.DOWN, PressKind.DOWN, PressKind.HELD]
    code, _ = performance.end()
    assert code == 0
    soon(lambda: pads.listen()[-1] == LIVE_MODE)
    pads.pull()


def test_malformed_midi_does_not_stop_it(server: JackServer, performance: Performance) -> None:
    keys = Device("Keystation", "MIDI 1")
    soon(connected(server, keys))
    keys.send(b"\x90", b"\x90\x3c", b"\x90\xc8\x01", b"\x05\x06", b"\xf7", b"\xf4")
    keys.send(b"\xf0" + b"\x01" * 9000 + b"\xf7")
    keys.send(b"\x90\x3c\x40")
    soon(lambda: performance.keys(NoteKind.ON) == [72])
    keys.send(b"\xf0\x01\x02", b"\x80\x3c\x00", b"\xf0\x01\xf7")  # cut off: the off is swallowed
    soon(lambda: performance.keys(NoteKind.OFF) == [72])
    code, errors = performance.end()
    assert code == 0
    assert "malformed MIDI" in errors
    keys.pull()


def test_a_killed_server_is_found_again_and_nothing_stays_on(
    server: JackServer, performance: Performance
) -> None:
    keys = Device("Keystation", "MIDI 1")
    soon(connected(server, keys))
    keys.send(b"\x90\x3c\x40")
    soon(lambda: performance.keys(NoteKind.ON) == [72])
    server.restart()  # at once: the old client's own lists still look alive
    soon(lambda: performance.keys(NoteKind.OFF) == [72])
    new = Device("Keystation", "MIDI 1")
    soon(connected(server, new))
    new.send(b"\x90\x3e\x40")
    soon(lambda: performance.keys(NoteKind.ON) == [72, 74])
    server.kill()
    soon(lambda: performance.keys(NoteKind.OFF) == [72, 74])
    before = performance.beats()
    soon(lambda: performance.beats() > before + 1_000_000_000)  # it lives on without a server
    code, errors = performance.end()
    assert code == 0
    assert "jack died" in errors
    assert "no MIDI from jack" in errors


def test_without_a_server_it_says_so_and_goes_on(tmp_path: Path) -> None:
    alone = Performance(tmp_path / "shared", "segue-no-such-server")
    try:
        soon(lambda: alone.beats() > 0)
        before = alone.beats()
        soon(lambda: alone.beats() > before + 500_000_000)
    finally:
        code, errors = alone.end()
    assert code == 0
    assert "no MIDI from jack" in errors

"""Risk: what holds with lists for ports does not hold with real ports, servers and kills."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import rtmidi

from devices.launchpad.mk3 import INQUIRY, LIVE_MODE, PROGRAMMER_MODE, bulk, read
from devices.midi.process import STRANDED
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

    plugged: ClassVar[list[Device]] = []

    def __init__(self, client: str, port: str, both: bool = False) -> None:
        api = rtmidi.API_UNIX_JACK
        self.name = f"{client}:{port}"
        self.out = rtmidi.MidiOut(api, name=client)
        self.out.open_virtual_port(port)
        self.inward: Any = None
        self.heard: list[bytes] = []
        self.plugged.append(self)
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
        self.plugged.remove(self)
        self.out.delete()
        if self.inward is not None:
            self.inward.delete()

    def abandon(self) -> None:
        """Its server died: libjack frees what is left of it, so nothing here may, ever."""
        self.plugged.remove(self)
        for midi in (self.out, self.inward):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(midi))


class Performance:
    """The midi process on a JACK server, and the other ends of its rings."""

    def __init__(self, folder: Path, server_name: str) -> None:
        self.shared = Shared.create(folder, PATCH)
        self.records: dict[str, list[np.void]] = {}
        self.env = {**os.environ, "JACK_DEFAULT_SERVER": server_name, "JACK_NO_START_SERVER": "1"}
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devices.midi.process", str(self.shared.folder)],
            env=self.env,
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
        for device in list(Device.plugged):
            device.pull()
        if not server.running:
            # A killed server keeps one of JACK's eight places until one of its name ends in peace.
            server.restart()


@pytest.fixture
def performance(tmp_path: Path, server: JackServer) -> Iterator[Performance]:
    playing = Performance(tmp_path / "shared", server.name)
    yield playing
    if playing.process.poll() is None:
        playing.end()
    elif playing.process.stderr is not None and not playing.process.stderr.closed:
        said = playing.process.communicate()[1].decode()
        pytest.fail(f"the midi process ended with {playing.process.returncode}: {said}")


def connected(server: JackServer, device: Device) -> Callable[[], bool]:
    return lambda: any(a == device.name and "segue-midi" in b for a, b in server.connections())


# JACK loses all events of a cycle that a stalled machine misses. So the tests say things again
# until they are heard, as a player would, and judge what follows from what was heard.


def sounding(performance: Performance) -> dict[int, int]:
    """Keys by id that the audio process would have on; an off without its on is an error."""
    on: dict[int, int] = {}
    for record in performance.got("midi_notes"):
        if record["kind"] == NoteKind.ON:
            on[int(record["id"])] = int(record["key"])
        elif record["kind"] == NoteKind.OFF:
            assert on.pop(int(record["id"])) == record["key"]
        elif record["kind"] == NoteKind.ALL_OFF:
            on.clear()
    return on


def strike(performance: Performance, keys: Device, key: int) -> None:
    """Hold a key down; it sounds an octave higher."""

    def heard() -> bool:
        if key + 12 in sounding(performance).values():
            return True
        keys.send(bytes((0x90, key, 100)))
        return False

    soon(heard)


def let_go(performance: Performance, keys: Device, key: int) -> None:
    """Release a key that was struck."""

    def silent() -> bool:
        if key + 12 not in sounding(performance).values():
            return True
        keys.send(bytes((0x80, key, 0)))
        return False

    soon(silent)


def test_notes_arrive_in_order_and_a_pulled_cable_leaves_none_sounding(
    server: JackServer, performance: Performance
) -> None:
    keys = Device("Keystation", "MIDI 1")
    soon(connected(server, keys))
    sent = [(36 + i % 60, 1 + i // 60) for i in range(500)]  # key and velocity say which it is
    for i in range(0, 500, 20):
        for key, velocity in sent[i : i + 20]:
            keys.send(bytes((0x90, key, velocity)), bytes((0x80, key, 0)))
        strike(performance, keys, 30)  # a bound on what waits in rtmidi
        let_go(performance, keys, 30)
        performance.got("notes.echo")  # all of them together are more than this ring holds
    ons = [r for r in performance.got("midi_notes") if r["kind"] == NoteKind.ON]
    heard = [(int(r["key"]) - 12, int(r["velocity"])) for r in ons if r["velocity"] < 64]
    assert heard == sorted(set(heard), key=sent.index)  # in order, none twice
    assert len(heard) >= 400
    assert performance.keys(NoteKind.ON, "notes.echo")[: len(ons)] == [int(r["key"]) for r in ons]
    assert {int(r["voice"]) for r in performance.got("midi_notes")} == {0xFFFF, 1}
    strike(performance, keys, 60)
    keys.pull()
    soon(lambda: not sounding(performance))
    again = Device("Keystation", "MIDI 1")
    soon(connected(server, again))
    strike(performance, again, 62)
    code, _ = performance.end()
    assert code == 0
    assert not sounding(performance)


def test_a_launchpad_is_taken_painted_heard_and_given_back(
    server: JackServer, performance: Performance
) -> None:
    pads = Device("Launchpad Pro MK3", "LPProMK3 MIDI", both=True)
    soon(lambda: {INQUIRY, PROGRAMMER_MODE} <= set(pads.listen()))
    soon(connected(server, pads))
    lights = bulk(dict.fromkeys(range(11, 19), (1, 2, 3)))
    record = np.zeros(1, MIDI_OUT)
    record["port"], record["size"] = GRID, len(lights)
    record["data"][0, : len(lights)] = np.frombuffer(lights, np.uint8)

    def until(true: Callable[[], bool], act: Callable[[], object]) -> None:
        soon(lambda: true() or bool(act() and False))

    until(lambda: lights in pads.listen(), lambda: performance.shared.push("midi_out", record))

    def asked() -> list[SafeKind]:
        return [SafeKind(int(r["kind"])) for r in performance.got("midi_safe")]

    def told(kind: PressKind) -> list[int]:
        presses = [read(r["data"].tobytes()) for r in performance.got("presses")]
        return [p.index for p in presses if p is not None and p.kind is kind]

    until(lambda: bool(asked()), lambda: pads.send(b"\x90\x58\x7f"))
    assert set(asked()) == {SafeKind.DRY_TOGGLE}
    assert set(told(PressKind.DOWN)) == {88}
    until(lambda: 8 in told(PressKind.DOWN), lambda: pads.send(b"\xb0\x08\x7f"))
    soon(lambda: asked()[-1] == SafeKind.PANIC)
    soon(lambda: told(PressKind.HELD) == [8])
    assert told(PressKind.CONNECTED)
    code, _ = performance.end()
    assert code == 0
    soon(lambda: pads.listen()[-1] == LIVE_MODE)


def test_malformed_midi_does_not_stop_it(server: JackServer, performance: Performance) -> None:
    keys = Device("Keystation", "MIDI 1")
    soon(connected(server, keys))
    keys.send(b"\x90", b"\x90\x3c", b"\x90\xc8\x01", b"\x05\x06", b"\xf7", b"\xf4")
    keys.send(b"\xf0" + b"\x01" * 9000 + b"\xf7")
    strike(performance, keys, 60)
    cut_off = (b"\xf0\x01\x02", b"\x80\x3c\x00", b"\xf0\x01\xf7")  # the off is swallowed
    soon(lambda: not sounding(performance) or bool(keys.send(*cut_off)))
    strike(performance, keys, 62)
    code, errors = performance.end()
    assert code == 0
    assert "malformed MIDI" in errors


def test_a_killed_server_is_found_again_and_nothing_stays_on(
    server: JackServer, performance: Performance
) -> None:
    keys = Device("Keystation", "MIDI 1")
    soon(connected(server, keys))
    strike(performance, keys, 60)
    keys.abandon()
    server.restart()  # at once: the old client's own lists still look alive
    soon(lambda: not sounding(performance))
    new = Device("Keystation", "MIDI 1")
    soon(connected(server, new))
    strike(performance, new, 62)
    new.abandon()
    server.kill()
    soon(lambda: not sounding(performance))
    before = performance.beats()
    soon(lambda: performance.beats() > before + 1_000_000_000)  # it lives on without a server
    code, errors = performance.end()
    assert code == 0
    assert "jack died" in errors
    assert "no MIDI from jack" in errors


# The process, but with clients that never answer it from its second look on: a client that JACK
# triggered and that does not run looks so.
_HANGING = """
import os, sys
from devices.midi import process, transport
looks = iter([True])
transport.RtTransport.alive = lambda self: next(looks, False)
os._exit(process.main(sys.argv[1:]))
"""


def test_clients_that_hang_in_a_living_server_are_left_to_another_process(
    server: JackServer, tmp_path: Path
) -> None:
    shared = Shared.create(tmp_path / "shared", PATCH)
    command = [sys.executable, "-c", _HANGING, str(shared.folder)]
    done = subprocess.run(command, env=server.env, capture_output=True, timeout=60, check=False)
    assert done.returncode == STRANDED, done.stderr.decode()
    soon(lambda: not any(p.startswith("segue-midi") for p in server.ports()))


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


def test_a_killed_process_is_succeeded_and_the_launchpad_is_not_stranded(
    server: JackServer, performance: Performance
) -> None:
    keys = Device("Keystation", "MIDI 1")
    pads = Device("Launchpad Pro MK3", "LPProMK3 MIDI", both=True)
    soon(connected(server, keys))
    strike(performance, keys, 60)
    soon(lambda: PROGRAMMER_MODE in pads.listen())
    performance.process.kill()
    performance.process.communicate()
    pads.heard.clear()
    performance.start()
    soon(lambda: len({int(r["epoch"]) for r in performance.got("midi_notes")}) == 2)
    soon(lambda: not sounding(performance))
    soon(lambda: PROGRAMMER_MODE in pads.listen())
    performance.process.kill()
    performance.process.communicate()
    restore = [sys.executable, "-m", "engine.cli", "launchpad", "restore"]
    done = subprocess.run(restore, env=performance.env, timeout=SECONDS, check=False)
    assert done.returncode == 0
    soon(lambda: pads.listen()[-1] == LIVE_MODE)

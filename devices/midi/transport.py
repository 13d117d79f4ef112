"""python-rtmidi behind a small interface that notices when its server has died.

Not real-time safe. One thread for everything. Polled only: rtmidi's callbacks lose messages and
crash under asynchronous JACK.

What rtmidi does not say by itself (all of it measured on JACK 1.9.21):
- After the server died, ports read as open and, once another server runs, the old client even lists
  the old server's ports. So a transport sends itself a message (the echo) and counts those that
  did not come back.
- A client that hangs in a server that lives (devices/jack_slots.py) does not get its echoes either.
- A send to a dead server fills a 16 KiB buffer and then spins for ever. So no more than
  UNCONFIRMED_BYTES go out between two echoes.
- An output is freed before its client is taken out of JACK's cycle, which may be reading from it:
  so its port is closed first, and a cycle later the rest.
- libjack frees a dead server's clients by itself when the next client is opened; deleting one after
  that is a segmentation fault, and deleting an output before it takes a second. So what belonged to
  a dead server is kept, untouched, until the process ends (by os._exit, which destroys nothing).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import rtmidi

from devices.jack_slots import waits_for_nobody
from devices.quiet import quiet

CLIENT: Final = "segue-midi"  # also how our own ports are told from others'
ECHO_PORT: Final = "echo"
ECHO_LOST: Final = 5  # echoes outstanding: the server is gone
UNCONFIRMED_BYTES: Final = 12_000
QUEUE_MESSAGES: Final = 4096
CYCLE_S: Final = 0.03  # a cycle of 1024 frames at 48 kHz takes 21 ms
HANGS: Final = "a client of ours hangs in a server that lives"
ALSA_DEVICE: Final = "/dev/snd/seq"


class TransportError(Exception):
    """The server does not answer, or a port cannot be opened; says which and why."""


class StrandedError(TransportError):
    """A client of this process hangs in a server that lives: only the end of the process takes it
    out."""


class InPort(Protocol):
    """An open input."""

    def poll(self) -> bytes | None:
        """The next message that arrived, or None. Never waits, never raises."""
        ...

    def close(self, dead: bool = False) -> None:
        """dead: the server is gone."""
        ...


class OutPort(Protocol):
    """An open output."""

    def send(self, data: bytes) -> bool:
        """Send one message; False when it was refused. Never waits, never raises."""
        ...

    def close(self, dead: bool = False) -> None:
        """Sends what waits, then closes. dead: the server is gone."""
        ...


class Transport(Protocol):
    """One connection to one MIDI system."""

    name: str

    def inputs(self) -> list[str] | None:
        """Names of ports one can listen to; None when they cannot be told just now."""
        ...

    def outputs(self) -> list[str] | None:
        """Names of ports one can send to, as inputs()."""
        ...

    def open_input(self, port: str | None, label: str) -> InPort:
        """Open by name; None makes a virtual port called `label`. Raises TransportError."""
        ...

    def open_output(self, port: str | None, label: str) -> OutPort: ...

    def confirmed(self) -> bool:
        """True when the server has just shown that it lives, so that its lists are true."""
        ...

    def alive(self) -> bool:
        """Call ten times a second: False once the server is gone."""
        ...

    def close(self, dead: bool = False) -> None: ...


_graveyard: Final[list[Any]] = []  # rtmidi objects of dead servers; see above
_given_up: Final[set[str]] = set()  # echo ports of those


def _bury(midi: Any, dead: bool) -> None:
    if dead:
        _graveyard.append(midi)
    else:
        with quiet():
            midi.delete()


class RtIn:
    """A rtmidi.MidiIn."""

    def __init__(self, api: int, port: str | None, label: str) -> None:
        self._midi = rtmidi.MidiIn(api, name=CLIENT, queue_size_limit=QUEUE_MESSAGES)
        # A keyboard's clock and active sensing are of no use here; a Launchpad floods with F8.
        self._midi.ignore_types(sysex=False, timing=True, active_sense=True)
        _open(self._midi, port, label)

    def poll(self) -> bytes | None:
        try:
            got = self._midi.get_message()
        except (rtmidi.RtMidiError, ValueError):
            return None
        return None if got is None else bytes(got[0])

    def close(self, dead: bool = False) -> None:
        _bury(self._midi, dead)


class RtOut:
    """A rtmidi.MidiOut that never fills its buffer for a server that does not read it."""

    def __init__(self, api: int, port: str | None, label: str, echoes: Callable[[], int]) -> None:
        self._midi = rtmidi.MidiOut(api, name=CLIENT)
        self._echoes = echoes
        self._confirmed = echoes()
        self._unconfirmed = 0
        _open(self._midi, port, label)

    def get_ports(self) -> list[str]:
        """Names of ports one can send to."""
        return list(self._midi.get_ports())

    def send(self, data: bytes) -> bool:
        echoes = self._echoes()
        if echoes != self._confirmed:
            self._confirmed, self._unconfirmed = echoes, 0
        if self._unconfirmed + len(data) > UNCONFIRMED_BYTES:
            return False
        try:
            self._midi.send_message(data)
        except (rtmidi.RtMidiError, ValueError):
            return False
        self._unconfirmed += len(data) + 4  # rtmidi stores each message with its size
        return True

    def close(self, dead: bool = False) -> None:
        if not dead:
            leave_cycle(self._midi)
        _bury(self._midi, dead)


def leave_cycle(out: Any) -> None:
    """Before a rtmidi.MidiOut is deleted: what waits is sent, and JACK's cycle no longer looks at
    it."""
    out.close_port()
    time.sleep(CYCLE_S)


def _check(name: str) -> None:
    """After each client that is opened. Raises StrandedError."""
    if name == "jack" and waits_for_nobody():
        raise StrandedError(f"{name}: {HANGS}")


def _open(midi: Any, port: str | None, label: str) -> None:
    try:
        if port is None:
            midi.open_virtual_port(label)
            return
        names = midi.get_ports()
        if port not in names:
            raise TransportError(f"{port} is gone")
        midi.open_port(names.index(port), name=label)
    except BaseException:
        midi.delete()
        raise


class RtTransport:
    """rtmidi on JACK or ALSA. Raises TransportError when the server does not answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._api = {"jack": rtmidi.API_UNIX_JACK, "alsa": rtmidi.API_LINUX_ALSA}[name]
        if name == "alsa" and not os.path.exists(ALSA_DEVICE):
            raise TransportError(f"alsa: no {ALSA_DEVICE} (load the snd-seq kernel module)")
        self._echoes = 0
        self._outstanding = 0
        # The two ends of the echo also list the ports: every client of JACK's costs all a wake-up.
        with quiet():
            try:
                self._echo_in = rtmidi.MidiIn(self._api, name=CLIENT)
                before = self._echo_in.get_ports()  # another segue may run on this server
                if _given_up.intersection(before):
                    raise StrandedError(f"{name}: {HANGS}")
                self._echo_out = RtOut(self._api, None, ECHO_PORT, lambda: self._echoes)
                after = self._echo_in.get_ports()
                ours = [n for n in after if _is_echo(n) and n not in before]
                if not ours:
                    raise TransportError(f"{name}: our own port does not show up")
                self._echo_in.open_port(after.index(ours[0]), name=ECHO_PORT)
                self._echo_port = ours[0]
                _check(name)
            except rtmidi.RtMidiError as error:
                raise TransportError(f"{name}: {error}") from error

    def inputs(self) -> list[str] | None:
        return self._others(self._echo_in)

    def outputs(self) -> list[str] | None:
        return self._others(self._echo_out)

    def _others(self, end: Any) -> list[str] | None:
        try:
            return [n for n in end.get_ports() if not n.startswith(CLIENT)]
        except (rtmidi.RtMidiError, UnicodeDecodeError):
            return None

    def open_input(self, port: str | None, label: str) -> InPort:
        with quiet():
            try:
                opened = RtIn(self._api, port, label)
                _check(self.name)
                return opened
            except (rtmidi.RtMidiError, ValueError) as error:
                raise TransportError(f"{self.name}: {port or label}: {error}") from error

    def open_output(self, port: str | None, label: str) -> OutPort:
        with quiet():
            try:
                made = RtOut(self._api, port, label, lambda: self._echoes)
                _check(self.name)
                return made
            except (rtmidi.RtMidiError, ValueError) as error:
                raise TransportError(f"{self.name}: {port or label}: {error}") from error

    def confirmed(self) -> bool:
        while self._echo_in.get_message() is not None:
            self._echoes += 1
            self._outstanding = 0
        return self._outstanding == 0

    def alive(self) -> bool:
        if not self.confirmed() and self._outstanding >= ECHO_LOST:
            return False
        self._echo_out.send(bytes((0xB0, 0, 0)))
        self._outstanding += 1
        return True

    def close(self, dead: bool = False) -> None:
        if dead:
            _given_up.add(self._echo_port)
        self._echo_out.close(dead)
        _bury(self._echo_in, dead)


def _is_echo(name: str) -> bool:
    return name.startswith(CLIENT) and f":{ECHO_PORT}" in name

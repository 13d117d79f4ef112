"""A MIDI system made of lists, for tests that pull cables."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from devices.midi.ports import System
from devices.midi.transport import TransportError


@dataclass
class Pipe:
    """One open port. sent: what went out. arrived: what waits to be polled."""

    port: str | None
    label: str
    arrived: deque[bytes] = field(default_factory=deque)
    sent: list[bytes] = field(default_factory=list)
    closed: bool = False
    full: bool = False

    def poll(self) -> bytes | None:
        return self.arrived.popleft() if self.arrived and not self.closed else None

    def send(self, data: bytes) -> bool:
        taken = not (self.closed or self.full)
        if taken:
            self.sent.append(data)
        return taken

    def close(self, dead: bool = False) -> None:
        self.closed = True


class Server:
    """A server that may die, and devices that may be pulled. Hands out one transport at a time."""

    def __init__(self, name: str = "jack", up: bool = True) -> None:
        self.name = name
        self.up = up
        self.plugged_in: list[str] = []
        self.plugged_out: list[str] = []
        self.broken: set[str] = set()  # ports that are listed and cannot be opened
        self.tries = 0
        self.made: list[FakeTransport] = []

    def system(self) -> System:
        return System(self.name, self._make)

    def plug(self, *names: str) -> None:
        self.plugged_in += names
        self.plugged_out += names

    def unplug(self, name: str) -> None:
        self.plugged_in.remove(name)
        self.plugged_out.remove(name)

    def die(self) -> None:
        self.up = False
        for transport in self.made:
            transport.dead = True

    def _make(self) -> FakeTransport:
        self.tries += 1
        if not self.up:
            raise TransportError(f"{self.name}: no server")
        self.made.append(FakeTransport(self))
        return self.made[-1]

    def pipe(self, label: str, reads: bool) -> Pipe:
        """The newest open pipe of a table row."""
        pipes = self.made[-1].ins if reads else self.made[-1].outs
        return next(p for p in reversed(pipes) if p.label == label and not p.closed)


class FakeTransport:
    """devices.midi.transport.Transport on a Server."""

    def __init__(self, server: Server) -> None:
        self.name = server.name
        self.server = server
        self.dead = False
        self.ins: list[Pipe] = []
        self.outs: list[Pipe] = []

    def inputs(self) -> list[str] | None:
        return None if self.dead else list(self.server.plugged_in)

    def outputs(self) -> list[str] | None:
        return None if self.dead else list(self.server.plugged_out)

    def _open(self, port: str | None, label: str, pipes: list[Pipe]) -> Pipe:
        if self.dead or port in self.server.broken:
            raise TransportError(f"{port} cannot be opened")
        pipes.append(Pipe(port, label))
        return pipes[-1]

    def open_input(self, port: str | None, label: str) -> Pipe:
        return self._open(port, label, self.ins)

    def open_output(self, port: str | None, label: str) -> Pipe:
        return self._open(port, label, self.outs)

    def confirmed(self) -> bool:
        return not self.dead

    def alive(self) -> bool:
        return not self.dead

    def close(self, dead: bool = False) -> None:
        self.dead = True


class Clock:
    """CLOCK_MONOTONIC that a test advances by hand."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def forward(self, seconds: float) -> int:
        self.ns += round(seconds * 1e9)
        return self.ns

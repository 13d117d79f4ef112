"""The port table, and what becomes of each port while cables come and go.

    ABSENT ──▶ OPEN      its pattern matched a port
       │  ▲──── lost     unplugged, or its server died
       ▼
    VIRTUAL ──▶ OPEN     nothing matched, so a port of our own is offered under its name
    FAILED               a match that could not be opened: tried again after a pause

A missing device is reported once and waited for; nothing here is fatal. Patterns are matched again
at every scan, so a device comes back under any client number. Not real-time safe; one thread; time
is passed in (CLOCK_MONOTONIC nanoseconds).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from devices.launchpad.units import UNITS
from devices.midi.transport import (
    InPort,
    OutPort,
    RtTransport,
    StrandedError,
    Transport,
    TransportError,
)
from engine.patch import Patch

SCAN_NS = 500_000_000
ECHO_NS = 100_000_000
POLL_MAX = 256  # messages of one port in one step, so a babbling device starves nobody


class PortKind(Enum):
    """Whose port it is."""

    PERFORMER = "performer"  # Patch.midi
    SURFACE = "surface"  # Patch.surfaces, both ways
    ANSWERS = "answers"  # Player.midi_out


class PortState(Enum):
    ABSENT = "absent"
    VIRTUAL = "virtual"
    OPEN = "open"
    FAILED = "failed"
    CLOSED = "closed"


_P = PortState
PORT_STEPS: dict[PortState, frozenset[PortState]] = {
    _P.ABSENT: frozenset({_P.VIRTUAL, _P.OPEN, _P.FAILED, _P.CLOSED}),
    _P.VIRTUAL: frozenset({_P.ABSENT, _P.OPEN, _P.FAILED, _P.CLOSED}),
    _P.OPEN: frozenset({_P.ABSENT, _P.CLOSED}),
    _P.FAILED: frozenset({_P.ABSENT, _P.VIRTUAL, _P.OPEN, _P.CLOSED}),
    _P.CLOSED: frozenset(),
}


@dataclass(frozen=True)
class Backoff:
    """Pauses between tries: first, then times factor, up to limit."""

    first_ns: int = 250_000_000
    factor: float = 1.5
    limit_ns: int = 2_000_000_000

    def after(self, failures: int) -> int:
        """Nanoseconds to wait after so many failures in a row."""
        return min(self.limit_ns, round(self.first_ns * self.factor ** min(failures, 32)))


BACKOFF = Backoff()


@dataclass(frozen=True)
class PortSpec:
    """A row of the port table; its index is PRESS.port and MIDI_OUT.port."""

    name: str
    kind: PortKind
    pattern: str
    reads: bool
    writes: bool


def port_table(patch: Patch) -> tuple[PortSpec, ...]:
    """Every port of a patch: performers, then surfaces, then the players' MIDI outputs."""
    return (
        *(PortSpec(n, PortKind.PERFORMER, m.port, True, False) for n, m in patch.midi.items()),
        *(
            PortSpec(n, PortKind.SURFACE, s.port or UNITS[s.driver].port, True, True)
            for n, s in patch.surfaces.items()
        ),
        *(
            PortSpec(n, PortKind.ANSWERS, p.midi_out, False, True)
            for n, p in patch.players.items()
            if p.midi_out
        ),
    )


@dataclass(frozen=True)
class PortEvent:
    """A port (index into the table, one direction) came to a state; `detail` is for people."""

    index: int
    reads: bool
    state: PortState
    before: PortState
    detail: str


@dataclass
class Line:
    """One direction of one port."""

    index: int
    spec: PortSpec
    reads: bool
    state: PortState = PortState.ABSENT
    port: str | None = None
    transport: Transport | None = None
    inward: InPort | None = None
    outward: OutPort | None = None
    failures: int = 0
    retry_ns: int = 0
    rivals: tuple[str, ...] = ()  # other ports that match, and that nobody has

    def step(self, to: PortState, detail: str) -> PortEvent:
        if to not in PORT_STEPS[self.state]:
            raise ValueError(f"MIDI port {self.spec.name} is {self.state.value}, not to {to.value}")
        before, self.state = self.state, to
        return PortEvent(self.index, self.reads, to, before, detail)

    def shut(self, dead: bool = False) -> None:
        handle = self.inward or self.outward
        self.inward = self.outward = self.port = self.transport = None
        if handle is not None:
            handle.close(dead)


@dataclass
class System:
    """One MIDI system (JACK, ALSA), up or waited for."""

    name: str
    make: Callable[[], Transport]
    transport: Transport | None = None
    failures: int = 0
    retry_ns: int = 0
    why: str = "not tried yet"


def default_systems() -> list[System]:
    """JACK first, then ALSA: a device on both is taken from JACK."""
    return [System(n, lambda n=n: RtTransport(n)) for n in ("jack", "alsa")]  # type: ignore[misc]


@dataclass
class Ports:
    """All lines of a table over all systems. Call step() often; it scans when it is time."""

    table: tuple[PortSpec, ...]
    systems: Sequence[System] = field(default_factory=default_systems)
    refused: int = 0  # messages a port did not take

    def __post_init__(self) -> None:
        self.lines = [
            Line(i, spec, reads)
            for i, spec in enumerate(self.table)
            for reads in (True, False)
            if (spec.reads if reads else spec.writes)
        ]
        self._in = {line.index: line for line in self.lines if line.reads}
        self._out = {line.index: line for line in self.lines if not line.reads}
        self.stranded = False  # only another process can open ports again
        self._scan_ns = self._echo_ns = -(1 << 62)

    def step(self, now_ns: int) -> list[PortEvent]:
        """Check the systems ten times a second, scan for ports about twice a second."""
        events: list[PortEvent] = []
        if not self.table:
            return events
        if now_ns - self._echo_ns >= ECHO_NS:
            self._echo_ns = now_ns
            for system in self.systems:
                events += self._check(system, now_ns)
        up = [s.transport for s in self.systems if s.transport is not None]
        # A dead server lists nothing, or what its predecessor had: no port is judged by that.
        if now_ns - self._scan_ns >= SCAN_NS and all(t.confirmed() for t in up):
            self._scan_ns = now_ns
            events += self._scan(now_ns)
        return events

    def poll(self, index: int) -> Iterator[bytes]:
        """What arrived at a port since the last time, POLL_MAX messages at most."""
        handle = self._in[index].inward
        if handle is not None:
            for _ in range(POLL_MAX):
                data = handle.poll()
                if data is None:
                    return
                yield data

    def send(self, index: int, data: bytes) -> bool:
        """Send to a port; False (counted) when it is not there or takes no more."""
        line = self._out.get(index)
        if line is None or line.outward is None or not line.outward.send(data):
            self.refused += 1
            return False
        return True

    def port(self, index: int) -> str | None:
        """The name of the port that is open for reading."""
        return self._in[index].port

    def state(self, index: int, reads: bool) -> PortState:
        return (self._in if reads else self._out)[index].state

    def reopen(self, index: int) -> list[PortEvent]:
        """Close both directions of a port that has gone silent; the next scan opens them again."""
        lines = [line for line in self.lines if line.index == index]
        return [e for line in lines if line.state is _P.OPEN for e in self._lose(line, "silent")]

    def rivals(self) -> list[str]:
        """Where more than one unit answers to a pattern: which is used, and how to say which."""
        return [
            f"{line.spec.name}: {len(line.rivals) + 1} ports match {line.spec.pattern!r}; using "
            f"{line.port}, not {', '.join(line.rivals)}. Name one with `port` in the rig or patch"
            for line in self.lines
            if line.reads and line.state is _P.OPEN and line.rivals
        ]

    def down(self) -> list[str]:
        """Systems that do not answer, each with the reason."""
        return [f"{s.name}: {s.why}" for s in self.systems if s.transport is None]

    def close(self) -> None:
        """Send what waits and close everything."""
        for line in self.lines:
            if line.state is not _P.CLOSED:
                line.shut()
                line.step(_P.CLOSED, "closed")
        for system in self.systems:
            if system.transport is not None:
                system.transport.close()
                system.transport = None

    def _check(self, system: System, now_ns: int) -> list[PortEvent]:
        if system.transport is None:
            if now_ns >= system.retry_ns:
                self._start(system, now_ns)
            return []
        if system.transport.alive():
            return []
        gone, system.transport = system.transport, None
        system.why, system.failures, system.retry_ns = "server died", 0, now_ns
        events = [
            event
            for line in self.lines
            if line.transport is gone
            for event in self._lose(line, f"{system.name} died", dead=True)
        ]
        gone.close(dead=True)
        return events

    def _start(self, system: System, now_ns: int) -> None:
        try:
            system.transport = system.make()
        except TransportError as error:
            self.stranded = self.stranded or isinstance(error, StrandedError)
            system.why = str(error)
            system.retry_ns = now_ns + BACKOFF.after(system.failures)
            system.failures += 1
        else:
            system.failures = 0
            self._scan_ns = -(1 << 62)  # look for ports at once

    def _lose(self, line: Line, why: str, dead: bool = False) -> list[PortEvent]:
        detail = f"{line.port or line.spec.name}: {why}"
        line.shut(dead)
        return [line.step(_P.ABSENT, detail)]

    def _scan(self, now_ns: int) -> list[PortEvent]:
        up = [s.transport for s in self.systems if s.transport is not None]
        names = {True: [(t, t.inputs()) for t in up], False: [(t, t.outputs()) for t in up]}
        events: list[PortEvent] = []
        for line in self.lines if up else ():
            known = [(t, ports) for t, ports in names[line.reads] if ports is not None]
            matches = self._matches(line, known)
            line.rivals = tuple(p for t, p in matches if t is line.transport and p != line.port)
            if line.state is _P.OPEN:
                there = next((ports for t, ports in known if t is line.transport), None)
                if there is None or line.port in there:
                    continue
                events += self._lose(line, "unplugged")
            if now_ns < line.retry_ns:
                continue
            found = matches[0] if matches else None
            if found is None and line.state is _P.VIRTUAL and line.transport is not up[0]:
                events += self._lose(line, f"moving to {up[0].name}")
            if found is not None:
                events.append(self._open(line, *found, now_ns))
            elif line.state is not _P.VIRTUAL:
                events.append(self._open(line, up[0], None, now_ns))
        return events

    def _matches(self, line: Line, known: Sequence[tuple[Transport, list[str]]]) -> Matches:
        """Ports for a line, the best first. A surface has a unit to itself, both ways: not one that
        another surface has, and the one whose other direction it has already before others."""
        found = matching(line.spec.pattern, known)
        if line.spec.kind is not PortKind.SURFACE:
            return found
        both = [other for other in self.lines if other is not line and other.state is _P.OPEN]
        taken = {o.port for o in both if o.reads == line.reads and o.spec.kind is line.spec.kind}
        mine = {unit_of(o.port or "") for o in both if o.index == line.index}
        free = [(t, port) for t, port in found if port not in taken]
        return sorted(free, key=lambda match: unit_of(match[1]) not in mine)

    def _open(self, line: Line, transport: Transport, port: str | None, now_ns: int) -> PortEvent:
        line.shut()
        try:
            if line.reads:
                line.inward = transport.open_input(port, line.spec.name)
            else:
                line.outward = transport.open_output(port, line.spec.name)
        except TransportError as error:
            self.stranded = self.stranded or isinstance(error, StrandedError)
            line.retry_ns = now_ns + BACKOFF.after(line.failures)
            line.failures += 1
            if line.state is _P.FAILED:
                line.state = _P.ABSENT
            return line.step(_P.FAILED, f"{error}; trying again")
        line.failures, line.transport, line.port = 0, transport, port
        if port is None:
            want = line.spec.pattern or "(none)"
            return line.step(_P.VIRTUAL, f"no port matches {want}; offering {line.spec.name}")
        return line.step(_P.OPEN, f"{port} on {transport.name}")


Matches = list[tuple[Transport, str]]
_WAYS = re.compile(r"\b(in|out|input|output|capture|playback)\b|[^a-z0-9]+")


def unit_of(port: str) -> str:
    """What the names of a unit's two directions have in common."""
    return " ".join(_WAYS.sub(" ", port.lower()).split())


def matching(pattern: str, names: Sequence[tuple[Transport, list[str]]]) -> Matches:
    """The ports a pattern matches, systems in order; the empty pattern matches none."""
    if not pattern:
        return []
    wanted = re.compile(pattern)
    return [
        (transport, port) for transport, ports in names for port in ports if wanted.search(port)
    ]

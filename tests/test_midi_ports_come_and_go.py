"""Risk: a cable pulled or a server killed takes a port away for good, or takes others with it."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from midi_fakes import Clock, Server

from devices.midi.ports import (
    BACKOFF,
    PORT_STEPS,
    PortKind,
    Ports,
    PortSpec,
    PortState,
    port_table,
)
from engine.patch import MidiIn, Patch, Player, Surface

KEYS = PortSpec("keys", PortKind.PERFORMER, "Keystation.*MIDI", reads=True, writes=False)
GRID = PortSpec("grid", PortKind.SURFACE, "LPProMK3 MIDI", reads=True, writes=True)
S = PortState


def states(ports: Ports) -> list[PortState]:
    return [line.state for line in ports.lines]


def test_the_table_is_performers_then_surfaces_then_answers() -> None:
    patch = Patch(
        midi={"keys": MidiIn(port="K")},
        surfaces={"grid": Surface()},
        players={
            "silent": Player(model="m", listens="keys"),
            "loud": Player(model="m", listens="keys", midi_out="Synth"),
        },
    )
    table = port_table(patch)
    assert [(s.name, s.kind, s.pattern) for s in table] == [
        ("keys", PortKind.PERFORMER, "K"),
        ("grid", PortKind.SURFACE, "LPProMK3 MIDI|Launchpad Pro MK3 MIDI 1"),
        ("loud", PortKind.ANSWERS, "Synth"),
    ]


def test_without_any_midi_system_it_waits_and_tries_ever_more_slowly() -> None:
    jack, alsa, clock = Server(up=False), Server("alsa", up=False), Clock()
    ports = Ports((KEYS,), [jack.system(), alsa.system()])
    tried = []
    for _ in range(100):
        before = jack.tries
        assert ports.step(clock.forward(0.1)) == []
        if jack.tries > before:
            tried.append(clock.ns)
    assert states(ports) == [S.ABSENT]
    assert len(ports.down()) == 2
    pauses = [b - a for a, b in itertools.pairwise(tried)]
    assert pauses == sorted(pauses)
    assert pauses[-1] <= BACKOFF.limit_ns + 100_000_000
    jack.up = True
    events = [e for _ in range(25) for e in ports.step(clock.forward(0.1))]
    assert [e.state for e in events] == [S.VIRTUAL]


def test_a_device_that_is_missing_is_offered_a_port_and_taken_when_it_comes() -> None:
    server, clock = Server(), Clock()
    ports = Ports((KEYS,), [server.system()])
    assert [e.state for e in ports.step(clock.ns)] == [S.VIRTUAL]
    offered = server.pipe("keys", reads=True)
    assert offered.port is None
    offered.arrived.append(b"\x90\x3c\x40")
    assert list(ports.poll(0)) == [b"\x90\x3c\x40"]
    server.plug("Keystation 61:Keystation 61 MIDI 1 24:0")
    assert [e.state for e in ports.step(clock.forward(0.5))] == [S.OPEN]
    assert offered.closed


def test_unplug_is_noticed_and_a_replug_under_another_number_is_found() -> None:
    server, clock = Server(), Clock()
    server.plug("Keystation MIDI 24:0")
    ports = Ports((KEYS,), [server.system()])
    ports.step(clock.ns)
    first = server.pipe("keys", reads=True)
    server.unplug("Keystation MIDI 24:0")
    assert [e.state for e in ports.step(clock.forward(0.5))] == [S.ABSENT, S.VIRTUAL]
    assert first.closed
    server.plug("Keystation MIDI 31:0")
    ports.step(clock.forward(0.5))
    assert server.pipe("keys", reads=True).port == "Keystation MIDI 31:0"


def test_a_dead_server_is_left_at_once_and_found_again() -> None:
    server, clock = Server(), Clock()
    server.plug("Keystation MIDI")
    ports = Ports((KEYS, GRID), [server.system()])
    ports.step(clock.ns)
    server.die()
    lost = ports.step(clock.forward(0.1))
    assert {e.state for e in lost} == {S.ABSENT}
    assert len(lost) == 3
    assert not ports.send(1, b"\xb0\x08\x00")
    assert ports.refused == 1
    server.up = True
    for _ in range(20):
        ports.step(clock.forward(0.1))
    assert states(ports) == [S.OPEN, S.VIRTUAL, S.VIRTUAL]


def test_alsa_serves_what_jack_does_not_have_and_jack_comes_first() -> None:
    jack, alsa, clock = Server(), Server("alsa"), Clock()
    alsa.plug("Keystation MIDI")
    ports = Ports((KEYS, GRID), [jack.system(), alsa.system()])
    events = ports.step(clock.ns)
    assert [(e.state, e.detail) for e in events if e.index == 0] == [
        (S.OPEN, "Keystation MIDI on alsa"),
    ]
    assert jack.pipe("grid", reads=True).port is None
    jack.plug("a2j:LPProMK3 MIDI")
    alsa.plug("LPProMK3 MIDI")
    ports.step(clock.forward(0.5))
    assert jack.pipe("grid", reads=True).port == "a2j:LPProMK3 MIDI"


def test_a_port_that_will_not_open_is_tried_again_and_others_go_on() -> None:
    server, clock = Server(), Clock()
    server.plug("Keystation MIDI", "LPProMK3 MIDI")
    server.broken.add("Keystation MIDI")
    ports = Ports((KEYS, GRID), [server.system()])
    ports.step(clock.ns)
    assert states(ports) == [S.FAILED, S.OPEN, S.OPEN]
    server.broken.clear()
    for _ in range(5):
        ports.step(clock.forward(0.5))
    assert states(ports) == [S.OPEN, S.OPEN, S.OPEN]


def test_an_empty_pattern_is_never_matched_only_offered() -> None:
    server, clock = Server(), Clock()
    server.plug("Anything")
    spec = PortSpec("hands", PortKind.PERFORMER, "", reads=True, writes=False)
    ports = Ports((spec,), [server.system()])
    ports.step(clock.ns)
    assert server.pipe("hands", reads=True).port is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["plug", "unplug", "die", "start", "break", "mend"]), max_size=30))
def test_only_steps_of_the_table_happen_and_it_always_comes_back(happenings: list[str]) -> None:
    server, clock, name = Server(), Clock(), "LPProMK3 MIDI"
    ports = Ports((GRID,), [server.system()])

    def settle(steps: int) -> None:
        for _ in range(steps):
            before = {e.reads: e.state for e in ports.lines}
            for event in ports.step(clock.forward(0.1)):
                assert event.state in PORT_STEPS[event.before]
                before[event.reads] = event.state
            assert before == {e.reads: e.state for e in ports.lines}

    for what in happenings:
        if what == "plug" and name not in server.plugged_in:
            server.plug(name)
        elif what == "unplug" and name in server.plugged_in:
            server.unplug(name)
        elif what == "die":
            server.die()
        elif what == "start":
            server.up = True
        elif what == "break":
            server.broken.add(name)
        elif what == "mend":
            server.broken.clear()
        settle(3)
    server.up = True
    server.broken.clear()
    if name not in server.plugged_in:
        server.plug(name)
    settle(60)
    assert states(ports) == [S.OPEN, S.OPEN]
    open_pipes = [p for t in server.made for p in (*t.ins, *t.outs) if not p.closed]
    assert len(open_pipes) == 2  # nothing left behind on the way
    ports.close()
    assert states(ports) == [S.CLOSED, S.CLOSED]

"""The midi process: every MIDI port of a patch, polled about every millisecond.

    performers ─▶ midi_notes (audio), notes.<player>        surfaces ─▶ presses (conductor)
    foot-switch, DRY pad, Stop Clip, master ─▶ midi_safe (audio), without the conductor
    a pressed pad ─▶ lit, without the conductor
    midi_out (conductor: LEDs) ─▶ ports                     answers_midi.<player> ─▶ ports

A MIDI_OUT record of size 0 asks for panic on its port (ALL_PORTS: on all): what sounds is ended,
here and at the ports; for port CONTROLS_CHANGED, that the controls be read anew. PRESS also carries
notices (devices/launchpad/mk3.NOTICES). Not real-time safe; one thread; started by the supervisor
with `python -m devices.midi.process FOLDER`.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import numpy as np

from devices.launchpad.layout import DRY_PAD, PANIC_BUTTON
from devices.launchpad.mk3 import notice
from devices.launchpad.units import UNITS
from devices.midi.answers import Answers
from devices.midi.control_map import ControlMap
from devices.midi.ledger import Ledger
from devices.midi.notes import Feed
from devices.midi.parse import (
    CONTROL,
    PROGRAM,
    SYSEX,
    Parsed,
    parse,
)
from devices.midi.ports import PortEvent, PortKind, Ports, PortState, port_table
from devices.midi.route import Performer, as_message
from devices.midi.safe import SafePath, SafeSender, pad_controls, safe_record
from devices.midi.surface_port import GOODBYE_AGAIN_S, SurfacePort
from devices.midi.touches import LOST, Touches
from engine.layout import SafeKind
from engine.patch import Patch
from engine.patch_now import patch_now
from engine.process import come_first, die_with_parent, leave_soon, tell_where_on_request
from engine.shm import Shared
from engine.surface import PressKind

POLL_S = 0.001
PAUSE_MAX_S = 0.02
STRANDED = 3
ALL_PORTS, CONTROLS_CHANGED = 0xFFFF, 0xFFFE
MASTER_TOLD_NS = 100_000_000  # the audio process has told by then what a fader set
OUT_MAX = 16  # MIDI_OUT records in one step: LEDs must not hold up notes

_THERE = (PortState.OPEN, PortState.VIRTUAL)
CONNECTED = notice(PressKind.CONNECTED)
PANIC_HELD = notice(PressKind.HELD, PANIC_BUTTON)

log = logging.getLogger("segue.midi")


class MidiProcess:
    """All of the process but its loop; tests drive step() with a clock of their own."""

    def __init__(self, shared: Shared, ports: Ports | None = None) -> None:
        self.shared = shared
        patch = shared.patch
        self.table = port_table(patch)
        self.ports = ports if ports is not None else Ports(self.table)
        self.touches = Touches(shared)
        self._safe_out = SafeSender(shared)
        self._down: list[str] = []
        self._rivals: list[str] = []
        self._master_set, self._master_ns = 1.0, -MASTER_TOLD_NS - 1
        self._connect(patch)
        self._take_controls()

    def _connect(self, patch: Patch) -> None:
        voices = list(patch.voices)
        self.ledger = Ledger()
        self._thru = Feed(self.shared, "midi_notes")
        self._performers: dict[int, Performer] = {}
        self._listeners: dict[int, list[Feed]] = {}
        self._surfaces: dict[int, SurfacePort] = {}
        self._answers: dict[int, Answers] = {}
        self._safe: dict[int, SafePath] = {}
        for index, spec in enumerate(self.table):
            if spec.kind is PortKind.PERFORMER:
                given = patch.midi[spec.name]
                voice = None if given.voice is None else voices.index(given.voice)
                self._performers[index] = Performer(index, given, voice, self.ledger)
                self._listeners[index] = [
                    Feed(self.shared, f"notes.{name}")
                    for name, player in patch.players.items()
                    if player.listens == spec.name and self.shared.has_ring(f"notes.{name}")
                ]
            elif spec.kind is PortKind.SURFACE:
                self._surfaces[index] = SurfacePort(UNITS[patch.surfaces[spec.name].driver])
                self._safe[index] = SafePath(pad_controls(DRY_PAD, PANIC_BUTTON))
            else:
                self._answers[index] = Answers()

    def _take_controls(self) -> None:
        """Those of the patch in force, which may have been reloaded since the start."""
        patch = patch_now(self.shared)
        for index, performer in self._performers.items():
            # A key that is held may have become a control: its end would not be heard.
            self._emit(index, performer.release(self.shared.now()))
            self._safe[index] = SafePath(ControlMap.of(patch, self.table[index].name))

    def step(self, now_ns: int) -> None:
        """One turn of the loop: ports, then what came in, then what goes out."""
        for event in self.ports.step(now_ns):
            self._port_event(event, now_ns)
        self._tell_ports()
        for index in self._performers:
            for data in self.ports.poll(index):
                self._perform(index, self._parse(index, data), now_ns)
        self._stand_ins(now_ns)
        for index, surface in self._surfaces.items():
            for data in self.ports.poll(index):
                for message in self._parse(index, data).messages:
                    if surface.still_there():
                        self._safely(safe_record(SafeKind.PANIC), now_ns)
                    self._touch(index, surface, message, now_ns)
            self._send_all(index, surface.answer(now_ns))
            self._keep(index, surface, now_ns)
        for index, path in self._safe.items():
            self._panic_if_held(index, path.tick(now_ns), now_ns)
        self._send_out()
        self._send_answers(now_ns)
        self.touches.send(now_ns)
        self._safe_out.tick()
        for feed in self._feeds():
            feed.tick()

    def close(self) -> None:
        """End every note, give the Launchpad back, close the ports. Safe at any time, once."""
        if self.touches.refused:
            log.warning("%d presses found no room at the conductor", self.touches.refused)
        if self.touches.thinned:
            log.info("%d pressure messages had a later one in their place", self.touches.thinned)
        self._release_all(self.shared.frame_at(time.monotonic_ns()))
        for index, surface in self._surfaces.items():
            self._send_all(index, surface.unit.goodbye)
        if self._surfaces:
            # JACK loses what falls into a cycle it misses; a stranded Launchpad is worth a second
            # try in another cycle.
            time.sleep(GOODBYE_AGAIN_S)
            for index, surface in self._surfaces.items():
                self._send_all(index, surface.unit.goodbye)
        self.ports.close()

    # ---- in

    def _parse(self, index: int, data: bytes) -> Parsed:
        found = parse(data)
        if found.thrown:
            log.warning("%s: %d bytes of malformed MIDI", self.table[index].name, found.thrown)
        return found

    def _perform(self, index: int, found: Parsed, now_ns: int) -> None:
        frame = self.shared.frame_at(now_ns)
        for message in found.messages:
            self._play(index, message, frame, now_ns)
        if found.broken:
            self._emit(index, self._performers[index].release(frame))

    def _play(self, index: int, message: bytes, frame: int, now_ns: int) -> None:
        safe = self._safe[index]
        self._safely(safe.hear(message, now_ns, lambda: self._master(now_ns)), now_ns)
        control = safe.map.find(message)
        if control is not None or message[0] & 0xF0 in (CONTROL, PROGRAM):
            self.touches.tell(index, message)
        if control is None:
            self._emit(index, self._performers[index].hear(message, frame))

    def _master(self, now_ns: int) -> float:
        """The linear gain in force: what a fader here has just set, else as the audio process
        says."""
        if now_ns - self._master_ns > MASTER_TOLD_NS:
            state = self.shared.sections["state"].read()
            self._master_set = 1.0 if state is None else float(state[0]["master"]["g1"])
        return self._master_set

    def _emit(self, index: int, records: np.ndarray) -> None:
        if not len(records):
            return
        if self.shared.patch.midi[self.table[index].name].voice is not None:
            self._thru.push(records)
        for feed in self._listeners[index]:
            feed.push(records)

    def _stand_ins(self, now_ns: int) -> None:
        """Notes of the demo's performers, as if they had come in by the ports of their voice."""
        if not self.shared.has_ring("performer_notes"):
            return
        rings = ("performer_notes", "computer_notes")
        for record in (r for name in rings for r in self.shared.ring(name).pop()):
            message = as_message(record)
            for index, performer in self._performers.items():
                if message is not None and performer.voice == record["voice"]:
                    self._play(index, message, int(record["frame"]), now_ns)

    def _touch(self, index: int, surface: SurfacePort, message: bytes, now_ns: int) -> None:
        if message[0] >= SYSEX:
            if surface.hear(message, now_ns):
                self._introduce(index, surface)
            return
        if surface.stranger is not None:
            return
        self._safely(self._safe[index].hear(message, now_ns), now_ns)
        surface.touched(message)
        self.touches.touch(index, message)

    def _panic_if_held(self, index: int, record: np.ndarray | None, now_ns: int) -> None:
        surface = self._surfaces.get(index)
        if surface is None:
            self._safely(record, now_ns)
            return
        if record is not None and surface.held(now_ns):
            self._safely(record, now_ns)
        self._send_all(index, surface.ask(now_ns))

    def _introduce(self, index: int, surface: SurfacePort) -> None:
        name, port = self.table[index].name, self.ports.port(index)
        if surface.stranger is None:
            log.info("%s: %s, firmware %s", name, surface.unit.name, surface.version)
            self.touches.tell(index, CONNECTED)
            return
        log.warning(
            "%s: %s is %s, expected %s: not used. Name another `port`, or the `driver` it needs",
            *(name, port, surface.stranger, surface.unit.name),
        )
        self._forget_touches(index)

    def _forget_touches(self, index: int) -> None:
        """Nothing on a port is held any more."""
        self._safe[index].lost()
        if index in self._surfaces:
            self._surfaces[index].let_go()
        self.touches.forget(index)
        self.touches.tell(index, LOST)

    # ---- ports

    def _port_event(self, event: PortEvent, now_ns: int) -> None:
        spec = self.table[event.index]
        way = "in" if event.reads else "out"
        level = logging.INFO if event.state is PortState.OPEN else logging.WARNING
        log.log(level, "%s (%s) is %s: %s", spec.name, way, event.state.value, event.detail)
        if event.reads and event.index in self._safe:
            self._safe[event.index].lost()
        if event.reads and event.index in self._performers:
            performer = self._performers[event.index]
            self._emit(event.index, performer.release(self.shared.frame_at(now_ns)))
        if event.reads:
            if event.state not in _THERE:
                self._forget_touches(event.index)
            return
        if event.index in self._answers:
            self._answers[event.index].release()  # whatever sounded is out of reach now
        elif event.state in _THERE:
            for message in self._surfaces[event.index].opened(now_ns):
                self._send(event.index, message)
            self.touches.tell(event.index, CONNECTED)
        else:
            self._surfaces[event.index].lost()
            self.touches.tell(event.index, LOST)

    def _keep(self, index: int, surface: SurfacePort, now_ns: int) -> None:
        for message in surface.tick(now_ns):
            self._send(index, message)
        if surface.silent(now_ns):
            for event in self.ports.reopen(index):
                self._port_event(event, now_ns)

    def _tell_ports(self) -> None:
        rivals = self.ports.rivals()
        if rivals != self._rivals:
            for line in (line for line in rivals if line not in self._rivals):
                log.warning("%s", line)
            self._rivals = rivals
        down = self.ports.down()
        if down != self._down:
            self._down = down
            for line in down:
                log.warning("no MIDI from %s", line)

    # ---- out

    def _safely(self, record: np.ndarray | None, now_ns: int) -> None:
        if record is None:
            return
        self._safe_out.send(record)
        if record["kind"][0] == SafeKind.MASTER:
            self._master_set, self._master_ns = float(record["value"][0]), now_ns
        if record["kind"][0] == SafeKind.PANIC:
            log.warning("panic")
            for index in self._surfaces:
                self.touches.tell(index, PANIC_HELD)
            self._release_all(self.shared.frame_at(time.monotonic_ns()))

    def _release_all(self, frame: int) -> None:
        for index, performer in self._performers.items():
            self._emit(index, performer.release(frame))
        for index, answers in self._answers.items():
            self._send_all(index, answers.panic())

    def _send(self, index: int, message: bytes) -> None:
        taken = self.ports.send(index, message)
        surface = self._surfaces.get(index)
        if surface is not None and surface.sent(taken):
            self.touches.tell(index, CONNECTED)

    def _send_all(self, index: int, messages: Sequence[bytes]) -> None:
        for message in messages:
            self._send(index, message)

    def _send_out(self) -> None:
        for record in self.shared.ring("midi_out").pop(OUT_MAX):
            port, size = int(record["port"]), int(record["size"])
            if size == 0 and port == ALL_PORTS:
                self._release_all(self.shared.frame_at(time.monotonic_ns()))
            elif size == 0 and port == CONTROLS_CHANGED:
                self._take_controls()
            elif size == 0 and port in self._answers:
                self._send_all(port, self._answers[port].panic())
            elif port in self._surfaces and self._surfaces[port].stranger is not None:
                continue  # what lights a Launchpad may do anything to something else
            elif 0 < size <= record["data"].size:
                self._send(port, record["data"][:size].tobytes())

    def _send_answers(self, now_ns: int) -> None:
        if not self._answers:
            return
        clock = self.shared.clock()
        # What is sent now leaves at the start of the next period.
        horizon = self.shared.frame_at(now_ns) + (clock.block if clock else 0)
        for index, answers in self._answers.items():
            ring = self.shared.ring(f"answers_midi.{self.table[index].name}")
            self._send_all(index, answers.take(ring.pop()))
            self._send_all(index, answers.due(horizon))

    def _feeds(self) -> list[Feed]:
        return [self._thru, *(feed for feeds in self._listeners.values() for feed in feeds)]


def run(folder: Path) -> int:
    """Serve the performance in `folder` until SIGTERM or SIGINT: 0. STRANDED: another process has
    to, for the ports of this one are lost."""
    shared = Shared.open(folder)
    stop = False

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    die_with_parent(signal.SIGTERM)  # not SIGKILL: notes are ended first, and pads given back
    process = MidiProcess(shared)
    come_first()
    try:
        while not stop:
            if process.ports.stranded:
                return STRANDED
            begun = time.monotonic_ns()
            process.step(begun)
            shared.heartbeat("midi")
            # What babbles has half a processor at most: we run before others.
            spent = (time.monotonic_ns() - begun) / 1e9
            shared.wait("midi", min(max(POLL_S, spent), PAUSE_MAX_S))
    finally:
        leave_soon()
        process.close()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """argv: the performance's shared folder."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="midi: %(message)s", stream=sys.stderr)
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        log.error("found %s, expected the shared folder of a performance", arguments or "nothing")
        return 2
    tell_where_on_request()
    return run(Path(arguments[0]))


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Outputs of a server that died take a second each to be destroyed (transport.py).
    os._exit(code)

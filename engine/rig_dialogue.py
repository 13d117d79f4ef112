"""The conversation of `segue rig`: what stands here is found by having it played. Not real-time
safe; the devices and the person come in through engine/venue.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from engine.patch import Patch
from engine.rig import Rig, RigAudio, RigCv, RigInput, RigMidi, RigOutput, RigPort
from engine.rig_find import WINDOW_S, ChannelFinder, PortFinder, floor_db, levels_db, parse_choice
from engine.venue import Interface, Presses, Talk, listen, silence

QUIET_S = 1.0
RESTLESS_DB = -45.0  # dBFS: no noise of a healthy input
PLAY_S = 30.0  # for one instrument
PRESS_S = 30.0  # for one controller
GATHER_S = 0.3  # after the first press, for what else the same hand set off
POLL_S = 0.02
BURST_S = 1.0
BURST_DB = -46.0  # dBFS RMS: clearly below speech in front of an open fader
LOUDER_DB, LOUDEST_DB = 6.0, -22.0
FADE_S = 0.05
SIDES = {1: ("",), 2: (" left", " right")}


def burst(rate: int, level_db: float) -> np.ndarray:
    """White noise, faded in and out, float32 (frames,), dBFS RMS; never above 10 dB over it."""
    frames = round(BURST_S * rate)
    noise = np.random.default_rng(11).standard_normal(frames).clip(-3.0, 3.0)
    edge = np.minimum(1.0, np.minimum(np.arange(frames), np.arange(frames)[::-1]) / (FADE_S * rate))
    return (noise / np.std(noise) * edge * 10.0 ** (level_db / 20.0)).astype(np.float32)


def port_pattern(port: str) -> str:
    """A pattern for exactly this port, but for ALSA's client and port number at its end, which
    change whenever a device is plugged in."""
    name = re.sub(r" \d+:\d+$", "", port)
    return f"^{re.escape(name)}".replace(r"\ ", " ") + ("" if name != port else "$")


@dataclass
class RigDialogue:
    """Asks in the order of the patch; Enter skips. presses: None where MIDI has no backend.
    wait, now: to sleep and the time in seconds, for tests to pass their own."""

    patch: Patch
    interface: Interface
    presses: Presses | None
    talk: Talk
    wait: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    _speakers: set[int] = field(default_factory=set)
    _ports_taken: set[str] = field(default_factory=set)

    def find(self, name: str = "") -> Rig:
        """The whole rig. Raises VenueError when the interface goes away."""
        face = self.interface
        self.talk.say(
            f"{face.name}: {len(face.inputs)} inputs, {len(face.outputs)} outputs, {face.rate} Hz"
        )
        rig = Rig(
            name=name,
            audio=RigAudio(device=f"{re.escape(face.name)}$".replace(r"\ ", " "), rate=face.rate),
            inputs=self._inputs(),
        )
        rig = replace(rig, midi={n: RigMidi(p) for n, p in self._ports("midi").items()})
        rig = replace(rig, surfaces={n: RigPort(p) for n, p in self._ports("surfaces").items()})
        rig = replace(rig, outputs=self._outputs())
        return replace(rig, cv=self._cv())

    # ---- inputs

    def _inputs(self) -> dict[str, RigInput]:
        names = [n for n, i in self.patch.inputs.items() if i.stream is None]
        if not names or not self.interface.inputs:
            return {}
        self.talk.say("Inputs. Be quiet for a moment.")
        floor = floor_db(listen(self.interface, QUIET_S), self.interface.rate)
        for number, level in enumerate(floor, 1):
            if level > RESTLESS_DB:
                self.talk.say(f"  channel {number} is not quiet: {level:.0f} dBFS")
        found: dict[str, RigInput] = {}
        for name in names:
            taken = frozenset(i.channel - 1 for i in found.values() if isinstance(i.channel, int))
            channel = self._played(name, floor, taken)
            if channel is not None:
                found[name] = RigInput(channel=channel + 1)
                self.talk.say(f"  {name}: channel {channel + 1} ({self.interface.inputs[channel]})")
            else:
                self.talk.say(f"  {name}: not found; it will be missing")
        return found

    def _played(self, name: str, floor: np.ndarray, taken: frozenset[int]) -> int | None:
        finder = ChannelFinder(floor, taken)
        self.talk.say(f"Play {name} now (Enter: skip).")
        with self.talk.until_enter() as pressed:
            for _ in range(round(PLAY_S / WINDOW_S)):
                channel = finder.feed(levels_db(listen(self.interface, WINDOW_S)))
                if channel is not None:
                    return channel
                if pressed():
                    break
        if not finder.alike:
            return None
        alike = ", ".join(str(c + 1) for c in sorted(finder.alike))
        return parse_choice(
            self.talk.ask(f"  Channels {alike} sound alike. Which is {name}? (number) "),
            len(self.interface.inputs),
        )

    # ---- MIDI

    def _ports(self, kind: str) -> dict[str, str]:
        """By name, the pattern of its port."""
        names = list(getattr(self.patch, kind))
        if not names or self.presses is None:
            return {}
        found: dict[str, str] = {}
        for name in names:
            what = "a key" if kind == "midi" else "any pad"
            port = self._pressed(
                f"Press {what} of {name} (Enter: skip).", frozenset(self._ports_taken)
            )
            if port is None:
                self.talk.say(f"  {name}: not found; waited for by the patch's own pattern, if any")
                continue
            self._ports_taken.add(port)
            found[name] = port_pattern(port)
            self.talk.say(f"  {name}: {port}")
        return found

    def _pressed(self, question: str, ignored: frozenset[str]) -> str | None:
        assert self.presses is not None
        self.presses.poll()  # what was pressed before the question does not answer it
        self.talk.say(question)
        end = self.now() + PRESS_S
        finder, heard = PortFinder(ignored), list[tuple[str, bytes]]()
        with self.talk.until_enter() as pressed:
            while self.now() < end and not pressed():
                heard += self.presses.poll()
                if finder.feed(heard) is not None:
                    self.wait(GATHER_S)
                    return finder.feed(heard + self.presses.poll())
                self.wait(POLL_S)
        return None

    # ---- outputs

    def _outputs(self) -> dict[str, RigOutput]:
        """Every output plays; the person says what it is."""
        roles = [
            (bus, side)
            for bus, output in self.patch.outputs.items()
            for side in range(min(2, len(output.channels) or 2))
        ]
        labels = [bus + SIDES[max(1, sum(b == bus for b, _ in roles))][side] for bus, side in roles]
        if not roles or not self.interface.outputs:
            return {}
        choice = ", ".join(f"{i} {label}" for i, label in enumerate(labels, 1))
        self.talk.say(
            "Outputs. A quiet hiss comes from one output after another; start with speakers low."
        )
        self.talk.say(f"Answer with what you hear it from: {choice}.")
        self.talk.say("Enter: from nothing.  r: again.  +: again, louder.  q: no more outputs.")
        given: dict[tuple[str, int], int] = {}
        level = BURST_DB
        for channel, port in enumerate(self.interface.outputs):
            answer, level = self._which_speaker(channel, port, level, len(labels))
            if answer is None:
                break
            if answer >= 0:
                given[roles[answer]] = channel
                self._speakers.add(channel)
                self.talk.say(f"  {labels[answer]}: channel {channel + 1} ({port})")
            if len(given) == len(roles):
                break
        found: dict[str, RigOutput] = {}
        for bus in self.patch.outputs:
            sides = [given[role] + 1 for role in roles if role[0] == bus and role in given]
            if sides:
                found[bus] = RigOutput(channels=tuple(sides))
        return found

    def _which_speaker(
        self, channel: int, port: str, level: float, count: int
    ) -> tuple[int | None, float]:
        """(role from 0, -1: none, None: no more; the level from now on, dBFS)."""
        while True:
            play = silence(self.interface, BURST_S)
            play[:, channel] = burst(self.interface.rate, level)[: len(play)]
            self.interface.run(play)
            answer = self.talk.ask(f"Output {channel + 1} ({port}): ").lower()
            if answer == "+":
                level = min(LOUDEST_DB, level + LOUDER_DB)
            elif answer == "q":
                return None, level
            elif answer == "":
                return -1, level
            elif (role := parse_choice(answer, count)) is not None:
                return role, level
            elif answer != "r":
                self.talk.say(f"A number from 1 to {count}, Enter, r, + or q.")

    # ---- voltages

    def _cv(self) -> dict[str, RigCv]:
        """Voltages cannot be heard: their channels are asked for, and kept off the speakers."""
        found: dict[str, RigCv] = {}
        count = len(self.interface.outputs)
        for name in self.patch.cv:
            while True:
                answer = self.talk.ask(f"Voltage {name}: on which output? (Enter: not here) ")
                if not answer:
                    break
                channel = parse_choice(answer, count)
                taken = {c.channel for c in found.values()}
                if channel is None:
                    self.talk.say(f"A number from 1 to {count}.")
                elif channel in self._speakers:
                    self.talk.say(f"Output {channel + 1} has a speaker, which it would destroy.")
                elif channel + 1 in taken:
                    self.talk.say(f"Output {channel + 1} is taken.")
                else:
                    found[name] = RigCv(channel=channel + 1)
                    break
        return found

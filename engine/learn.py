"""`segue learn`: a hand says what, moves a control, and the rig knows. Decisions and the dialogue;
ports and the person come in through engine/venue.py. Not real-time safe.

What is learned belongs to the place: it is written to the rig, under the MIDI input of the patch
whose port it is, or under `controllers` where no input of the patch has that port. A control that
is DRY, panic or master already is never taken over: those must be where everybody knows them.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from engine.patch import Patch
from engine.patch_controls import (
    CC_MAX,
    FADERS,
    SAFE_ACTIONS,
    Control,
    ControlKind,
    Key,
    controls_of,
    faults,
    switches,
)
from engine.rig import Rig
from engine.rig_dialogue import port_pattern
from engine.song import songs_of
from engine.sources import source_names
from engine.venue import Presses, Talk

MOVE_S = 30.0
GATHER_S = 0.4  # after the first message, for the rest of the movement
POLL_S = 0.01
VALUES_LEAST = 4  # different values that make a fader
SUSTAIN = 64
NOTE_ON, CONTROL, PROGRAM = 0x90, 0xB0, 0xC0
KINDS = {NOTE_ON: ControlKind.NOTE, CONTROL: ControlKind.CC, PROGRAM: ControlKind.PROGRAM}


class LearnError(Exception):
    """It was not learned: what was found, what to do."""


@dataclass(frozen=True)
class Moved:
    """One control of a port, and how many different values it sent."""

    port: str
    key: Key
    values: int


@dataclass(frozen=True)
class Learned:
    """path: of the rig's entry. port: a pattern, where the rig did not know it yet."""

    path: tuple[str, ...]
    control: Control
    port: str | None = None

    def changes(self) -> dict[tuple[str, ...], object]:
        """For engine/rig_write.changed."""
        said = {w: v for w, v in {**vars(self.control)}.items() if v is not None}
        entry: dict[tuple[str, ...], object] = {}
        if self.port is not None:
            entry[(*self.path[:2], "port")] = self.port
        entry[self.path] = said
        return entry


def moved_in(heard: list[tuple[str, bytes]], fader: bool) -> Moved | None:
    """The control that a hand has moved: the one that said most. fader: a switch's note or program
    is not meant."""
    counts: Counter[tuple[str, Key]] = Counter()
    values: dict[tuple[str, Key], set[int]] = {}
    for port, data in heard:
        kind = KINDS.get(data[0] & 0xF0) if data else None
        whole = 2 if kind is ControlKind.PROGRAM else 3
        if kind is None or len(data) != whole or max(data[1:]) > 127:
            continue
        if (fader and kind is not ControlKind.CC) or _says_nothing(kind, data):
            continue
        found = (port, Key(kind, data[1], (data[0] & 0x0F) + 1))
        counts[found] += 1
        values.setdefault(found, set()).add(data[2] if len(data) > 2 else 0)
    if not counts:
        return None
    port, key = max(counts, key=lambda f: (counts[f], -f[1].number))
    return Moved(port, key, len(values[port, key]))


def _says_nothing(kind: ControlKind, data: bytes) -> bool:
    """MIDI's own controllers, and notes that end."""
    return data[1] > CC_MAX if kind is ControlKind.CC else kind is ControlKind.NOTE and data[2] == 0


def check_words(patch: Patch, control: Control) -> None:
    """Raises LearnError: what the control means is not in the patch."""
    for _, expected in faults("cc0", control):
        raise LearnError(f"{control.do} needs {expected}")
    names = source_names(patch)
    if control.do == "level":
        names += [f"group.{g}" for g in vars(patch.groups)]
        names += [f"bus.{b}" for b in patch.outputs]
    for what, value, known in (
        ("role", control.role, list(patch.roles)),
        ("source", control.source, names),
        ("what", control.what, _named(patch, control.do)),
    ):
        if value is not None and value not in known:
            raise LearnError(f"{what} {value}, expected one of {', '.join(known) or 'none'}")


def _named(patch: Patch, action: str) -> list[str]:
    """What an action's `what` may be: of the things it is about, by name."""
    if action in ("song", "scene"):
        songs = songs_of(patch)
        return [s.name for s in songs] if action == "song" else [n for s in songs for n in s.scenes]
    if action == "vibe":
        return list(patch.vibes)
    return list(patch.routes if action == "route" else patch.players)


def learn(patch: Patch, rig: Rig, moved: Moved, control: Control, replace: bool) -> Learned:
    """What the rig is to say. patch: with the rig laid over it. Raises LearnError."""
    for pads, surface in patch.surfaces.items():
        if surface.port and re.search(surface.port, moved.port):
            raise LearnError(f"that is {pads}, whose cells the pages of the patch give a meaning")
    name = next(
        (n for n, m in patch.midi.items() if m.port and re.search(m.port, moved.port)), None
    )
    key = moved.key
    if name is None:
        name = _new_name(moved.port, {*patch.midi, *rig.controllers})
        path = ("controllers", name, "controls", str(key))
        return Learned(path, _fits(key, control), port_pattern(moved.port))
    there = controls_of(patch, name)
    found = next((k for k in (key, Key(key.kind, key.number)) if k in there), None)
    if found is not None:
        _may_replace(name, found, there[found], control, replace)
        key = found
    elif not switches(patch, name) and not replace:
        what = _plays(key)
        if what:
            raise LearnError(f"{key} of {name} {what}; another one, or --replace takes it from it")
    section = "controllers" if name in rig.controllers else "midi"
    return Learned((section, name, "controls", str(key)), _fits(key, control))


def _fits(key: Key, control: Control) -> Control:
    for found, expected in faults(str(key), control):
        raise LearnError(f"{found}, expected {expected}")
    return control


def _may_replace(name: str, key: Key, now: Control, wanted: Control, replace: bool) -> None:
    if now == wanted:
        raise LearnError(f"{key} of {name} is {wanted} already")
    if now.do in SAFE_ACTIONS:
        raise LearnError(
            f"{key} of {name} is {now.do}, which must be where everybody knows it; move another "
            f"one, or take it away by hand (controls, {now.do}_cc) and learn again"
        )
    if not replace:
        raise LearnError(
            f"{key} of {name} is {now}; another one, or --replace gives it to {wanted}"
        )


def _plays(key: Key) -> str:
    """What a control of an instrument does for the voice, where it is missed."""
    if key.kind is ControlKind.NOTE:
        return "is played"
    return "sustains" if key == Key(ControlKind.CC, SUSTAIN, key.channel) else ""


def _new_name(port: str, taken: set[str]) -> str:
    """A name for a controller, out of its port's."""
    words = re.findall(r"[A-Za-z][A-Za-z0-9]*", re.sub(r"\d+:\d+$", "", port)) or ["controller"]
    base = words[0].lower()[:24]
    names = (base, *(f"{base}{n}" for n in range(2, 100)))
    return next(n for n in names if n not in taken)


class Learner:
    """The dialogue. wait, now: to sleep and the time in seconds, for tests to pass their own."""

    def __init__(
        self,
        presses: Presses,
        talk: Talk,
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._presses, self._talk, self._wait, self._now = presses, talk, wait, now

    def hear(self, control: Control) -> Moved:
        """Wait for a control to be moved. Raises LearnError when none is, or when a fader is wanted
        and it has no values to speak of."""
        fader = control.do in FADERS
        self._presses.poll()  # what was moved before the question does not answer it
        how = "a fader, from one end to the other," if fader else "a control"
        self._talk.say(f"Move {how} for {control} (Enter: give up).")
        heard: list[tuple[str, bytes]] = []
        end = self._now() + MOVE_S
        with self._talk.until_enter() as given_up:
            while self._now() < end and not given_up():
                heard += self._presses.poll()
                if moved_in(heard, fader) is not None:
                    self._wait(GATHER_S * (4.0 if fader else 1.0))
                    heard += self._presses.poll()
                    moved = moved_in(heard, fader)
                    assert moved is not None
                    if fader and moved.values < VALUES_LEAST:
                        few = f"{moved.key} of {moved.port} sent {moved.values} values only"
                        raise LearnError(f"{few}; {control} wants a fader or a knob")
                    return moved
                self._wait(POLL_S)
        raise LearnError(f"no control was moved; {control} was not learned")

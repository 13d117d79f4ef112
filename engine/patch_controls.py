"""What single controls of MIDI ports do: foot-switches, buttons, faders. Immutable, pure.

A control is known by its key: `cc80`, `note36`, `program5`, and where one channel alone is meant
`cc80-ch10` (channels from 1). What it does is an action of engine/conductor_hands.ACTIONS by name,
or `master`; DRY, panic and master go from the midi process straight to the audio process.

    controls (patch or rig)  over  dry_cc, master_cc  over  pedals  over  the foot-switches

The foot-switches hold by themselves on a port that no voice plays and no player listens to: there
CC 64 says this-is-one and CC 66 next scene. On a keyboard CC 64 stays what sustains. CC 67 is DRY
wherever `dry_cc` says nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.patch import Patch

CC_MAX, DATA_MAX = 119, 127  # controllers from 120 on are MIDI's own
MASTER = "master"
SAFE_ACTIONS = ("dry", "panic", MASTER)
FOOT_SWITCHES = {"this_is_one": 64, "next_scene": 66}
FADERS = ("level", "send", "strip", "density", "control", MASTER)
# The words that an action cannot do without.
NEEDS: dict[str, tuple[str, ...]] = {
    "level": ("source",),
    "send": ("source", "bus"),
    "strip": ("source", "setting"),
    "mute": ("source",),
    "insert": ("source",),
    "solo": ("source",),
    "enter": ("role",),
    "regenerate": ("role",),
    "stop_role": ("role",),
    "pick": ("role", "variation"),
    "song": ("what",),
    "scene": ("what",),
    "arm": ("source",),
    "density": ("role",),
    **dict.fromkeys(("control", "player", "centre", "freeze_player", "vibe", "route"), ("what",)),
    **dict.fromkeys(("tempo", "nudge", "shift", "phrase"), ("value",)),
}
# They mean a stem by its number, which no control knows.
FOR_PADS = frozenset(
    {"queue_stem", "unqueue_stem", "stop_stem", "keep_stem", "pin_stem", "audition"}
)

_NUMBER = r"(?:\d|[1-9]\d|1[01]\d)"
KEY_FORM = rf"(?:cc{_NUMBER}|(?:note|program)(?:{_NUMBER}|12[0-7]))(?:-ch(?:[1-9]|1[0-6]))?"
KEY_EXPECTED = f"cc0 to cc{CC_MAX}, note0 to note127 or program0 to program127, with -ch1 to -ch16"
_PARTS = re.compile(r"(cc|note|program)(\d+)(?:-ch(\d+))?")


class ControlKind(Enum):
    CC = "cc"
    NOTE = "note"
    PROGRAM = "program"


@dataclass(frozen=True)
class Key:
    """channel: 1-16, None: the port's own, or all."""

    kind: ControlKind
    number: int
    channel: int | None = None

    def __str__(self) -> str:
        channel = "" if self.channel is None else f"-ch{self.channel}"
        return f"{self.kind.value}{self.number}{channel}"


def key_of(name: str) -> Key:
    """The key that a patch or rig names. Raises ValueError: KEY_FORM does not match it."""
    parts = _PARTS.fullmatch(name) if re.fullmatch(KEY_FORM, name) else None
    if parts is None:
        raise ValueError(f"{name}, expected {KEY_EXPECTED}")
    channel = None if parts[3] is None else int(parts[3])
    return Key(ControlKind(parts[1]), int(parts[2]), channel)


@dataclass(frozen=True)
class Control:
    """do: an action. The words that go with it are those of engine/ask.py. low, high: of a fader,
    what its ends stand for (dB, or the setting's own unit); None: off to 0 dB, or the whole range.
    value: of a press."""

    do: str = ""
    role: str | None = None
    source: str | None = None
    bus: str | None = None
    setting: str | None = None
    variation: int | None = None
    bars: int | None = None
    what: str | None = None
    number: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def words(self) -> dict[str, Any]:
        """What is said with the action, without what is not."""
        ends = ("do", "low", "high")
        return {w: v for w, v in vars(self).items() if v is not None and w not in ends}

    def __str__(self) -> str:
        return " ".join((self.do, *(str(v) for v in self.words.values())))


def switches(patch: Patch, port: str) -> bool:
    """Whether a MIDI input is for feet and hands alone: nothing that is played there sounds."""
    given = patch.midi[port]
    return given.voice is None and all(p.listens != port for p in patch.players.values())


def controls_of(patch: Patch, port: str) -> dict[Key, Control]:
    """Every control of a MIDI input and what it does."""
    given = patch.midi[port]
    pedals = dict(given.pedals)
    if given.foot_switches and switches(patch, port):
        free = {n: cc for n, cc in FOOT_SWITCHES.items() if cc not in given.pedals.values()}
        pedals = {**free, **pedals}
    found = {Key(ControlKind.CC, cc): Control(action) for action, cc in pedals.items()}
    for action, safe_cc in (("dry", given.dry_cc), (MASTER, given.master_cc)):
        if safe_cc is not None:
            found[Key(ControlKind.CC, safe_cc)] = Control(action)
    found.update({key_of(name): control for name, control in given.controls.items()})
    return found


def faults(key: str, control: Control) -> Iterator[tuple[str, str]]:
    """(found, expected) of every fault in what one control is to do. key: as key_of takes it."""
    for word in NEEDS.get(control.do, ()):
        if getattr(control, word) is None:
            yield f"{control.do} without {word}", f"{word}, of what is meant"
    kind = key_of(key).kind
    if control.do in FADERS and kind is not ControlKind.CC:
        yield f"{control.do} on {key}", "a controller (cc), which has a value"
    if control.do == "panic" and kind is ControlKind.PROGRAM:
        yield f"panic on {key}", "cc or note: it is held for half a second"
    if control.low is not None and control.high is not None and control.low >= control.high:
        yield f"low {control.low:g} and high {control.high:g}", "low below high"

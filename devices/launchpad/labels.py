"""What cells ask for now, in a word or two, for pictures and screens. Pure."""

from __future__ import annotations

from typing import Final

from devices.launchpad.layout import (
    PANIC_BUTTON,
    Action,
    ActionKind,
    PageState,
)
from devices.launchpad.mk3 import CELLS, SHIFT
from devices.launchpad.pages import action
from engine.surface import Press, PressKind

_K = ActionKind
WORDS: Final[dict[ActionKind, str]] = {
    _K.THIS_IS_ONE: "one",
    _K.QUEUE_STEM: "{role} in",
    _K.UNQUEUE_STEM: "{role} not yet",
    _K.STOP_STEM: "{role} out",
    _K.KEEP_STEM: "{role} stay",
    _K.PIN_STEM: "pin {role}",
    _K.AUDITION: "listen",
    _K.STOP_ROLE: "stop {role}",
    _K.DENSITY: "density {value:g}",
    _K.TEMPO_UP: "+1 BPM",
    _K.TEMPO_DOWN: "-1 BPM",
    _K.TEMPO: "{value:g} BPM",
    _K.NUDGE: "{value:+g} ms",
    _K.SHIFT: "{value:+g} beat",
    _K.DOUBLE: "x2",
    _K.HALVE: "/2",
    _K.PHRASE: "phrase {value}",
    _K.LEVEL: "{db:g} dB",
    _K.SEND: "{db:g} dB",
    _K.MUTE: "mute {source}",
    _K.SOLO: "solo {source}",
    _K.ARM: "arm {source}",
    _K.SELECT_ROLE: "{role}",
    _K.VIBE: "{what} {value:.0%}",
    _K.ROUTE: "{what}",
    _K.REGENERATE: "again",
    _K.PLAYER: "on, off",
    _K.FREEZE_PLAYER: "freeze",
    _K.CENTRE: "at rest",
    _K.CONTROL: "{values}",
    _K.PAGE: "{page}",
    _K.SELECT_PLANE: "plane",
}


def labels(state: PageState) -> dict[int, str]:
    """Words for every cell that asks for something."""
    found = {i: action(Press(PressKind.DOWN, i, 127), state) for i in CELLS}
    said = {i: label(asked, state) for i, asked in found.items() if asked is not None}
    return {**said, PANIC_BUTTON: "panic", SHIFT: "Shift"}


def label(asked: Action, state: PageState) -> str:
    """Words for one action."""
    slot, words = asked.slot or 0, dict(asked.words)
    match asked.kind:
        case ActionKind.SONG:
            return state.songs[words["what"] - 1]
        case ActionKind.SCENE:
            return state.scenes[words["what"] - 1]
        case ActionKind.SELECT_PLAYER:
            return state.players[slot].name
        case ActionKind.SELECT_BUS:
            return state.buses[slot - 1] if slot else "level"
        case ActionKind.SELECT_ROW:
            return {1: "arm", 2: "mute", 3: "solo"}[slot]
        case ActionKind.FOLLOW:
            return "follow" if words["on"] else "own tempo"
        case ActionKind.BANK:
            return "next eight" if slot > state.local.bank else "eight back"
        case ActionKind.LEVEL | ActionKind.SEND if words["db"] <= -90.0:
            return "off"
    if "source" in words:
        words["source"] = words["source"].partition(".")[2]
    if "values" in words:
        words["values"] = " ".join(f"{v:g}" for v in words["values"])
    text = WORDS.get(asked.kind, asked.kind.value.replace("_", " "))
    return text.format(role=asked.role, **words)

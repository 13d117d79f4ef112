"""What hands do to the mix: levels, mute, pre-listening, sends, strips. One function an action; see
engine/conductor_hands.py. Pure.

A level belongs to a source (`input.trombone`, `stems.drums`, as engine.sources.source_names names
them), a group (`group.ai`) or a bus (`bus.monitor1`). A source's fader moves what goes to main and
effects; mute takes the monitors too; the cue bus hears a source before both. Solo is pre-listening:
while anything is soloed the cue bus carries that alone, and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.ask import Ask
from engine.layout import AUDITION_SLOTS, CommandKind, LevelKind
from engine.mixer import BUS_ORDER, linear, sends_of
from engine.patch import AUDITION, GROUPS, Patch
from engine.sources import insert_at, pedals_of, source_names
from engine.stem import StemState
from engine.stem_orders import CHANGE_FADE_FRAMES, EASE_FRAMES
from engine.strip import SETTINGS, WITHOUT, fits

if TYPE_CHECKING:
    from engine.conductor import Conductor

RAMP_S = 0.02  # where a hand does not say how long
AUDITION_S = 0.05  # from the press; a command is on its way for a tick and a block
CUE = BUS_ORDER.index("cue")


@dataclass
class Howling:
    """last: frame of its last howl, or of its coming back. times: howls since it was calm. step: of
    GUARD_STEPS_DB, since frame `stepped`."""

    last: int
    stepped: int
    times: int = 0
    step: int = 0


@dataclass
class MixState:
    """What hands have set: levels in dB by name, sources muted, without their insert, soloed.
    audition: which of AUDITION_SLOTS a stem was last listened to in. guarded: by source."""

    levels: dict[str, float] = field(default_factory=dict)
    muted: list[str] = field(default_factory=list)
    bypassed: list[str] = field(default_factory=list)
    soloed: list[str] = field(default_factory=list)
    guarded: dict[str, Howling] = field(default_factory=dict)
    audition: int = 0
    listening: int = 0  # the stem, or 0
    listened: int = 0  # frame at which it will have been heard to its end
    strips: dict[str, float] = field(default_factory=dict)  # input.setting that a hand has moved

    @staticmethod
    def of(saved: dict[str, Any]) -> MixState:
        """to_dict backwards."""
        guarded = {name: Howling(**howl) for name, howl in saved["guarded"].items()}
        return MixState(**{**saved, "guarded": guarded})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _frames(conductor: Conductor, ask: Ask) -> int:
    assert conductor.line is not None
    seconds = RAMP_S if ask.seconds is None else ask.seconds
    return round(seconds * conductor.line.rate)


def _source(conductor: Conductor, ask: Ask) -> int | str:
    """Its index, or why there is none."""
    names = source_names(conductor.patch)
    if ask.source in names:
        return names.index(ask.source)
    return f"source {ask.source!r}, expected one of {', '.join(names)}"


def _place(conductor: Conductor, ask: Ask) -> tuple[LevelKind, int] | str:
    """What a level belongs to, or why it belongs to nothing."""
    kind, _, name = (ask.source or "").partition(".")
    if kind == "group" and name in GROUPS:
        return LevelKind.GROUP, GROUPS.index(name)
    if kind == "bus" and name in conductor.patch.outputs:
        return LevelKind.BUS, BUS_ORDER.index(name)
    index = _source(conductor, ask)
    if isinstance(index, int):
        return LevelKind.FADER, index
    groups = ", ".join(f"group.{name}" for name in GROUPS)
    buses = ", ".join(f"bus.{name}" for name in conductor.patch.outputs)
    return f"{index}, {groups}, {buses}"


def level_of(patch: Patch, name: str) -> float:
    """Where a level stands by the patch, dB."""
    kind, _, rest = name.partition(".")
    if kind == "group":
        return float(getattr(patch.groups, rest))
    return patch.outputs[rest].level_db if kind == "bus" else 0.0


def level(conductor: Conductor, ask: Ask) -> str:
    """source, db, seconds: a fader, a group, a whole bus."""
    place = _place(conductor, ask)
    if isinstance(place, str):
        return place
    if ask.db is None:
        return "no db"
    kind, slot = place
    conductor.mix.levels[str(ask.source)] = ask.db
    fields = {"slot": slot, "c": int(kind), "frame": ask.now, "a": _frames(conductor, ask)}
    conductor.command(CommandKind.LEVEL, x=linear(ask.db), **fields)
    return f"{ask.source} {ask.db:g} dB"


def send(conductor: Conductor, ask: Ask) -> str:
    """source, bus, db, seconds: what of a source goes to a bus or an effect."""
    index = _source(conductor, ask)
    if isinstance(index, str):
        return index
    if ask.bus not in BUS_ORDER:
        return f"bus {ask.bus!r}, expected one of {', '.join(BUS_ORDER)}"
    if ask.db is None:
        return "no db"
    owner = next((n for n, i in pedals_of(conductor.patch).items() if i.send == ask.bus), None)
    if owner is not None:
        return f"{ask.bus} is the way to input.{owner}'s pedal"
    if str(ask.source).startswith("input.") and ask.bus == "main":
        name = str(ask.source).partition(".")[2]
        if conductor.patch.inputs[name].dry != "segue":
            return f"{ask.source} reaches main without segue ({conductor.patch.inputs[name].dry})"
    _gain(conductor, ask, index, BUS_ORDER.index(ask.bus), ask.db)
    return f"{ask.source} to {ask.bus} {ask.db:g} dB"


def _gain(conductor: Conductor, ask: Ask, source: int, bus: int, db: float) -> None:
    conductor.programme.send_by_hand(
        (source, bus), ask.now, _frames(conductor, ask), linear(db)
    )  # a scene that says otherwise moves it


def _turned(names: list[str], ask: Ask) -> bool:
    """Whether a name is in a list after this; `on` left out: the other way round."""
    name = str(ask.source)
    on = name not in names if ask.on is None else ask.on
    names[:] = sorted({*names, name} if on else {*names} - {name})
    return on


def mute(conductor: Conductor, ask: Ask) -> str:
    """source, on: silent everywhere but in the cue."""
    index = _source(conductor, ask)
    if isinstance(index, str):
        return index
    on = _turned(conductor.mix.muted, ask)
    fields = {"slot": index, "c": int(LevelKind.MUTE), "frame": ask.now}
    conductor.command(CommandKind.LEVEL, x=0.0 if on else 1.0, a=_frames(conductor, ask), **fields)
    return f"{ask.source} {'muted' if on else 'open'}"


def insert(conductor: Conductor, ask: Ask) -> str:
    """source, on: its plug-in or pedal heard, or the strip itself."""
    index = _source(conductor, ask)
    if isinstance(index, str):
        return index
    if insert_at(conductor.patch, str(ask.source)) is None:
        return f"{ask.source} has no insert"
    bypassed = replace(ask, on=None if ask.on is None else not ask.on)
    off = _turned(conductor.mix.bypassed, bypassed)
    fields = {"slot": index, "c": int(LevelKind.INSERT), "frame": ask.now}
    conductor.command(CommandKind.LEVEL, x=0.0 if off else 1.0, a=_frames(conductor, ask), **fields)
    return f"{ask.source} {'without its insert' if off else 'with its insert'}"


def solo(conductor: Conductor, ask: Ask) -> str:
    """source, on: the cue bus alone."""
    index = _source(conductor, ask)
    if isinstance(index, str):
        return index
    if "cue" not in conductor.patch.outputs:
        return "no cue output in the patch"
    on = _turned(conductor.mix.soloed, ask)
    soloed = conductor.mix.soloed
    for i, name in enumerate(source_names(conductor.patch)):
        alone = 0.0 if name in soloed else -90.0
        patched = sends_of(conductor.patch, name).get("cue", -90.0)
        _gain(conductor, ask, i, CUE, alone if soloed and name != AUDITION else patched)
    return f"{ask.source} {'soloed' if on else 'not soloed'}"


def audition(conductor: Conductor, ask: Ask) -> str:
    """stem: a ready one, once, on the cue bus alone; no stem: stop. Notes are no sound yet."""
    if "cue" not in conductor.patch.outputs:
        return "no cue output in the patch"
    slot = AUDITION_SLOTS[conductor.mix.audition]
    conductor.command(CommandKind.STEM_STOP, slot=slot, frame=ask.now, a=_frames(conductor, ask))
    conductor.mix.listening = conductor.mix.listened = 0
    if ask.stem is None:
        return "silent"
    entry = conductor.book.entries.get(ask.stem)
    if entry is None or entry.state is not StemState.READY:
        return "not ready"
    if entry.midi:
        return f"{ask.stem} is notes for the voice {conductor.patch.roles[entry.role].voice}"
    assert conductor.line is not None
    conductor.mix.audition = 1 - conductor.mix.audition  # the one before fades meanwhile
    slot = AUDITION_SLOTS[conductor.mix.audition]
    begin = ask.now + round(AUDITION_S * conductor.line.rate)
    conductor.command(
        CommandKind.STEM_PLAY,
        slot=slot,
        frame=begin,
        a=conductor.book.places.base(entry.slot),
        b=entry.frames,
        x=linear(conductor.patch.roles[entry.role].gain_db),
        c=len(conductor.patch.roles),
        d=EASE_FRAMES,
    )
    end = max(begin + 1, begin + entry.frames - CHANGE_FADE_FRAMES)  # a loop does not end by itself
    conductor.command(CommandKind.STEM_STOP, slot=slot, frame=end, a=CHANGE_FADE_FRAMES)
    conductor.mix.listening, conductor.mix.listened = entry.id, end
    return f"listening to {ask.stem}"


def strip(conductor: Conductor, ask: Ask) -> str:
    """source (an input), setting, value (None: the stage off): of its strip."""
    index = _source(conductor, ask)
    if isinstance(index, str):
        return index
    if index >= len(conductor.patch.inputs):
        return f"{ask.source} has no strip, expected an input"
    if ask.setting not in SETTINGS:
        return f"setting {ask.setting!r}, expected one of {', '.join(SETTINGS)}"
    number = list(SETTINGS).index(ask.setting)
    value = float("nan") if ask.value is None else ask.value
    if not fits(number, value):
        low, high = SETTINGS[ask.setting]
        return f"{ask.setting} {value:g}, expected {low:g} to {high:g}"
    conductor.command(CommandKind.STRIP, slot=index, c=number, x=value)
    if ask.value is None:
        value = WITHOUT.get(ask.setting, 0.0)
    conductor.mix.strips[f"{str(ask.source).partition('.')[2]}.{ask.setting}"] = value
    return f"{ask.source} {ask.setting} {'off' if ask.value is None else f'{value:g}'}"


def click(conductor: Conductor, ask: Ask) -> str:
    """The metronome, on or off."""
    conductor.click = not conductor.click
    conductor.command(CommandKind.CLICK, slot=int(conductor.click))
    counted_in = conductor.programme.quiet[1]
    if ask.now < counted_in:  # the count-in's own end would undo it
        conductor.command(CommandKind.CLICK, slot=int(conductor.click), frame=counted_in)
    return "click on" if conductor.click else "click off"


# ---- against howling

GUARD_STEPS_DB, GUARD_S = (0.0, -18.0, -36.0, -90.0), 0.03
DEEPER_S = 0.15  # what howls on after so long goes a step deeper
GUARD_HOLD_S, GUARD_BACK_S = 2.0, 1.5  # the hold doubles each time, until it has been calm
HOLDS_MOST = 6
CALM_S = 30.0


def howls(conductor: Conductor, observation: np.void) -> None:
    """A source that howls goes down by a step on every bus but the cue, and by another if that was
    not enough; let_go brings it back."""
    names = source_names(conductor.patch)
    source, frame = int(observation["input"]), int(observation["frame"])
    if conductor.line is None or source >= len(names):
        return
    name, rate, mix = names[source], conductor.line.rate, conductor.mix
    howl = mix.guarded.setdefault(name, Howling(last=frame, stepped=frame))
    if howl.step == 0:
        calm = frame - howl.last > CALM_S * rate
        howl.times = 1 if calm else min(howl.times + 1, HOLDS_MOST)
    howl.last = frame
    if howl.step and frame - howl.stepped < DEEPER_S * rate:
        return
    if howl.step + 1 < len(GUARD_STEPS_DB):
        howl.step, howl.stepped = howl.step + 1, frame
        _guard(conductor, source, GUARD_STEPS_DB[howl.step], GUARD_S)
        said = {"hertz": round(float(observation["x"]), 1), "db": round(float(observation["y"]), 1)}
        conductor.news.append({"event": "howl", "frame": frame, "source": name, **said})


def let_go(conductor: Conductor, now: int) -> None:
    """A tick: what has not howled for its hold comes back over GUARD_BACK_S."""
    assert conductor.line is not None
    names = source_names(conductor.patch) if conductor.mix.guarded else []
    for name, howl in conductor.mix.guarded.items():
        hold = GUARD_HOLD_S * 2.0 ** (howl.times - 1) * conductor.line.rate
        if howl.step and now - howl.last > hold:
            howl.last, howl.step = now, 0
            _guard(conductor, names.index(name), 0.0, GUARD_BACK_S)


def _guard(conductor: Conductor, source: int, db: float, seconds: float) -> None:
    assert conductor.line is not None
    conductor.command(
        CommandKind.LEVEL,
        slot=source,
        c=int(LevelKind.GUARD),
        a=round(seconds * conductor.line.rate),
        x=linear(db),
    )


MIX_ACTIONS: dict[str, Callable[[Conductor, Ask], str]] = {
    "level": level,
    "send": send,
    "mute": mute,
    "insert": insert,
    "solo": solo,
    "audition": audition,
    "strip": strip,
    "click": click,
}

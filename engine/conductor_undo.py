"""UNDO: the last action of a hand taken back, as far as it still can be.

Before an action what it may change is looked at, and afterwards again; the difference is what undo
puts back, whatever else has changed since. What has reached the audio process and is about to sound
is not called back: undo says so. A run of taps, or a fader moved to and fro, is undone as
one. DRY, panic and STANDBY's fade of what sounded are not among them, nor the stem that made way
for one that was asked for. Pure; kept in the conductor's journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from engine.ask import Ask
from engine.conductor_mix import click
from engine.conductor_songs import standby
from engine.conductor_steer import SteerState, freeze, tell_route
from engine.conductor_stems import let_in
from engine.conductor_undo_mix import GONE, LATE, MIX_LOOKS, Back, Look
from engine.programme_state import Change, End
from engine.stem import StemState

if TYPE_CHECKING:
    from engine.conductor import Conductor

KEPT = 16
TOGETHER_S = 1.0
_S = StemState


def _stems(c: Conductor) -> dict[str, str]:
    return {str(e.id): e.state.value for e in c.book.entries.values()}


def _stems_back(c: Conductor, ask: Ask, before: Any, after: Any) -> str | None:
    line, late = c.line, None
    assert line is not None
    # Called back first: a place in the queue is free then for what it had put out.
    order = sorted(before.keys() & after.keys(), key=lambda i: after[i] != _S.QUEUED.value)
    for i in order:
        entry = c.book.entries.get(int(i))
        was, became = _S(before[i]), _S(after[i])
        if entry is None or was is became:
            continue
        if became is _S.QUEUED:
            done = c.book.unqueue(entry.id, ask.now)
        elif was is _S.QUEUED:
            done = c.let_in and c.book.enqueue(entry.id, line, ask.now, entry.at, entry.turn)
        elif became is _S.RETIRING:
            done = c.book.keep(entry.id, ask.now)
        elif was is _S.RETIRING:
            done = c.book.leave(entry.role, line, ask.now)
        else:
            continue
        late = late if done else LATE
    return late


def _wanted(c: Conductor) -> list[str]:
    return sorted(c.wanted)


def _wanted_back(c: Conductor, _: Ask, before: Any, after: Any) -> None:
    c.wanted.update(set(before) - set(after))
    c.wanted.difference_update(set(after) - set(before))


def _pins(c: Conductor) -> list[int]:
    return [e.id for e in c.book.entries.values() if e.pinned]


def _pins_back(c: Conductor, ask: Ask, before: Any, after: Any) -> str | None:
    changed = set(before) ^ set(after)
    return None if all(c.book.pin(i, ask.now) is not None for i in changed) else GONE


def _captures(c: Conductor) -> list[int]:
    return [e.id for e in c.book.entries.values() if e.source]


def _captures_back(c: Conductor, ask: Ask, before: Any, after: Any) -> str | None:
    for i in set(after) - set(before):
        entry = c.book.entries.get(i)
        if entry is None or entry.state in (_S.FAILED, _S.REJECTED):
            continue
        if entry.state is _S.QUEUED and not c.book.unqueue(i, ask.now):
            return LATE
        if entry.state not in (_S.REQUESTED, _S.GENERATING, _S.LATE, _S.READY):
            return LATE
        c.book.drop(entry, ask.now, "undone")
    return None


def _asked(c: Conductor) -> list[int]:
    return [e.id for e in c.book.entries.values() if not e.source]


def _asked_back(c: Conductor, ask: Ask, before: Any, after: Any) -> str | None:
    for i in set(after) - set(before):
        entry = c.book.entries.get(i)
        if entry is None or entry.state in (_S.FAILED, _S.REJECTED):
            return GONE
        if entry.state is _S.READY:
            c.book.drop(entry, ask.now, "undone")
        elif entry.state in (_S.REQUESTED, _S.GENERATING, _S.LATE):
            entry.held = entry.undone = True  # its place is being written to until it is ready
        else:
            return LATE
    return None


def _turn_back(action: Callable[[Conductor, Ask], str]) -> Back:
    """Of an action that goes to and fro."""

    def back(c: Conductor, ask: Ask, before: Any, after: Any) -> None:
        action(c, Ask(ask.now))

    return back


def _clock_back(c: Conductor, ask: Ask, before: Any, after: Any) -> str | None:
    assert c.clock is not None
    if before["song"] != c.programme.song or c.programme.busy:
        return LATE
    c.clock.go_back(before["clock"], ask.now)
    c.oriented, c.programme.held = before["oriented"], before["held"]
    c.clock.hold(c.programme.held or c.programme.standby)
    return None


def _clock(c: Conductor) -> dict[str, Any]:
    p = c.programme
    facts = None if c.clock is None else c.clock.to_dict()
    return {"clock": facts, "song": p.song, "oriented": c.oriented, "held": p.held}


def _programme(c: Conductor) -> dict[str, Any]:
    p = c.programme
    return {
        "song": p.song,
        "scene": p.scene,
        "change": None if p.change is None else asdict(p.change),
        "end": None if p.end is None else asdict(p.end),
    }


def _programme_back(c: Conductor, ask: Ask, before: Any, after: Any) -> str | None:
    p = c.programme
    there = {k: v for k, v in _programme(c).items() if k in ("song", "scene")}
    if p.busy or there != {k: after[k] for k in there}:
        return LATE
    if (before["song"], before["scene"]) != (p.song, p.scene):  # chosen in standby
        if before["song"] != p.song:
            p.choose_song(before["song"] + 1, ask.now)
        p.choose_scene(before["scene"] + 1, ask.now)
        return None
    line = c.line
    assert line is not None
    change, end = before["change"], before["end"]
    gone = change is not None and line.frame_at(change["beat"]) <= ask.now
    p.change = None if change is None or gone else Change(**change)
    p.end = None if end is None or line.frame_at(end["start"]) <= ask.now else End(**end)
    return None


def _steering_back(c: Conductor, _: Ask, before: Any, after: Any) -> None:
    here = c.steering.to_dict()
    for name in (n for n in before if before[n] != after[n]):
        old, new = before[name], after[name]
        if isinstance(old, dict):
            for key in (k for k in {**old, **new} if old.get(k) != new.get(k)):
                here[name].pop(key, None)
                here[name].update({key: old[key]} if key in old else {})
        elif isinstance(old, list):
            here[name] = sorted(set(here[name]) ^ set(old) ^ set(new))
        else:
            here[name] = old
    c.steering = SteerState(**here)


def _routes_back(c: Conductor, ask: Ask, before: Any, after: Any) -> None:
    c.routes.off = before
    for name in set(before) ^ set(after):
        tell_route(c, name, ask.now)


def _look_let_in(c: Conductor) -> bool:
    return c.let_in


def _look_click(c: Conductor) -> bool:
    return c.click


def _look_standby(c: Conductor) -> bool:
    return c.programme.standby


def _look_frozen(c: Conductor) -> bool:
    return c.routes.frozen


def _look_steering(c: Conductor) -> dict[str, Any]:
    return c.steering.to_dict()


def _look_routes(c: Conductor) -> list[str]:
    return list(c.routes.off)


def _look_armed(c: Conductor) -> str:
    return c.armed


def _armed_back(c: Conductor, _: Ask, before: Any, after: Any) -> None:
    c.armed = before


LOOKS: dict[str, tuple[Look, Back]] = {
    "let_in": (_look_let_in, _turn_back(let_in)),
    "stems": (_stems, _stems_back),
    "wanted": (_wanted, _wanted_back),
    "pins": (_pins, _pins_back),
    "captures": (_captures, _captures_back),
    "asked": (_asked, _asked_back),
    **MIX_LOOKS,
    "click": (_look_click, _turn_back(click)),
    "standby": (_look_standby, _turn_back(standby)),
    "frozen": (_look_frozen, _turn_back(freeze)),
    "clock": (_clock, _clock_back),
    "programme": (_programme, _programme_back),
    "steering": (_look_steering, _steering_back),
    "routes": (_look_routes, _routes_back),
    "armed": (_look_armed, _armed_back),
}
_STEMS, _CLOCK, _STEER = ("stems", "wanted"), ("clock",), ("steering",)
# What an action may change that undo puts back, in order; actions that are not here stay.
UNDONE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("next", "queue_stem", "pick", "unqueue_stem", "keep_stem", "enter"), _STEMS),
    **dict.fromkeys(("stop_stem", "stop_role", "stop_all"), _STEMS),
    "let_in": ("let_in", "stems", "wanted"),
    "pin_stem": ("pins",),
    "capture": ("captures",),
    "arm": ("armed",),
    "level": ("levels",),
    "mute": ("muted",),
    "insert": ("bypassed",),
    "solo": ("soloed",),
    "strip": ("strips",),
    "audition": ("listening",),
    "regenerate": ("asked",),
    "send": ("sends",),
    "click": ("click",),
    "standby": ("standby",),
    "freeze": ("frozen",),
    **dict.fromkeys(("this_is_one", "tap", "tempo", "tempo_up", "tempo_down", "nudge"), _CLOCK),
    **dict.fromkeys(("shift", "double", "halve", "hold", "let_go", "follow", "phrase"), _CLOCK),
    **dict.fromkeys(("next_song", "song", "next_scene", "scene", "end"), ("programme",)),
    **dict.fromkeys(("density", "player", "control", "centre", "freeze_player"), _STEER),
    "vibe": _STEER,
    "route": ("routes",),
}

TRIMMED = frozenset({"stems", "levels", "sends", "strips"})  # of these only what differs is kept
# Moves of a hand that come in runs: those of one run are undone together.
RUNS = frozenset(
    {"tap", "tempo", "tempo_up", "tempo_down", "nudge", "shift", "level", "send", "density"}
    | {"control", "vibe", "strip"}
)


@dataclass
class Done:
    """An action that can be undone. thing: what it was done to. JSON values."""

    name: str
    thing: list[Any]
    said: str
    frame: int
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass
class Undo:
    """The last KEPT actions, oldest first."""

    done: list[Done] = field(default_factory=list)

    @property
    def next(self) -> str:
        """The name of the action that would be undone; '': none."""
        return self.done[-1].name if self.done else ""

    def look(self, c: Conductor, name: str) -> dict[str, Any]:
        """What an action is about to change."""
        return {key: LOOKS[key][0](c) for key in UNDONE.get(name, ())}

    def note(self, c: Conductor, name: str, ask: Ask, said: str, before: dict[str, Any]) -> None:
        """After the action. before: what look() said."""
        after = self.look(c, name)
        if after == before:
            return
        thing = [ask.role, ask.stem, ask.source, ask.bus, ask.what, ask.number]
        last = self.done[-1] if self.done else None
        assert c.line is not None
        alike = last is not None and (last.name, last.thing) == (name, thing) and name in RUNS
        if last is not None and alike and ask.now - last.frame < TOGETHER_S * c.line.rate:
            for key in TRIMMED & after.keys():  # one thing: what it has changed, it changes again
                own = last.before[key].keys() | last.after[key].keys()
                after[key] = {k: v for k, v in after[key].items() if k in own}
            last.after, last.said, last.frame = after, said, ask.now
            return
        for key in TRIMMED & before.keys():
            old, new = before[key], after[key]
            changed = [k for k in {**old, **new} if old.get(k) != new.get(k)]
            before[key] = {k: old[k] for k in changed if k in old}
            after[key] = {k: new[k] for k in changed if k in new}
        if "clock" in after:
            after["clock"] = None  # where it stood before says it all
        self.done.append(Done(name, thing, said, ask.now, before, after))
        del self.done[:-KEPT]

    def to_dict(self) -> list[dict[str, Any]]:
        return [dict(vars(d)) for d in self.done]

    @staticmethod
    def of(saved: list[dict[str, Any]]) -> Undo:
        """to_dict backwards."""
        return Undo([Done(**d) for d in saved])


def undo(conductor: Conductor, ask: Ask) -> str:
    """Take back the last action; says which, or why it cannot be."""
    if not conductor.undo.done:
        return "nothing to undo"
    last = conductor.undo.done.pop()
    why = None
    for key in last.before:
        if last.before[key] != last.after[key]:
            why = LOOKS[key][1](conductor, ask, last.before[key], last.after[key]) or why
    what = f"{last.name} ({last.said})"
    return f"undone: {what}" if why is None else f"{why} to undo {what}"

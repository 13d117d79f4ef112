"""What hands do to what is generated: density, players and their controls, moods, routes of control
voltages. One function an action; see engine/conductor_hands.py. Pure.

A mood (a `vibe` of the patch) is added to what hands have set, as far as it is on; one is on at a
time. Routes of control voltages come last: what a voltage moves is the voltage's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.ask import Ask
from engine.conductor_mix import RAMP_S
from engine.layout import MAX_LATENTS, CommandKind, LevelKind
from engine.patch import Patch
from engine.patch_cv import routes_to_sends
from engine.stem import StemRequest

if TYPE_CHECKING:
    from engine.conductor import Conductor

NOTE_CONTROLS = 4  # of a player of notes (engine.adapter.NotePlayer.steer)
TEXTURE_CONTROLS = 8  # of a texture whose config names none


def controls_count(patch: Patch, player: str) -> int:
    """How many controls a player has."""
    given = patch.players[player]
    if not given.to:
        return NOTE_CONTROLS
    named = given.config.get("controls")
    return len(named) if isinstance(named, list | tuple) and named else TEXTURE_CONTROLS


@dataclass
class SteerState:
    """What hands have set. density: by role. controls: by player, -1..1. off, frozen: players.
    vibe, intensity (0-1): the mood that is on."""

    density: dict[str, float] = field(default_factory=dict)
    controls: dict[str, list[float]] = field(default_factory=dict)
    off: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    vibe: str = ""
    intensity: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def intensity_of(self, vibe: str) -> float:
        return self.intensity if vibe == self.vibe else 0.0

    def density_of(self, patch: Patch, role: str, base: float | None = None) -> float:
        """Of the next stem of a role; base: as its scene says."""
        base = patch.roles[role].density if base is None else base
        base = self.density.get(role, base)
        vibe = patch.vibes.get(self.vibe)
        if vibe is None or role not in vibe.density:
            return base
        return base + (vibe.density[role] - base) * self.intensity

    def controls_of(self, patch: Patch, player: str) -> list[float]:
        """-1..1 each."""
        count = controls_count(patch, player)
        own = self.controls.get(player, [])
        vibe = patch.vibes.get(self.vibe)
        mood = vibe.players.get(player, ()) if vibe is not None else ()
        padded = [*own, *[0.0] * count][:count]
        moved = [m * self.intensity for m in (*mood, *[0.0] * count)[:count]]
        return [min(1.0, max(-1.0, a + b)) for a, b in zip(padded, moved, strict=True)]

    def steer(self, switch: np.ndarray, patch: Patch) -> None:
        """Fill the controls, and what is frozen, into a SWITCH (1,) (engine/shm_records.py)."""
        switch[0]["controls"] = 0.0
        for i, name in enumerate(patch.players):
            found = self.controls_of(patch, name)
            switch[0]["controls"][i, : len(found)] = found
            switch[0]["hold"][i] = int(name in self.frozen)

    def shape(self, patch: Patch, requests: list[tuple[Any, StemRequest]]) -> None:
        """What is asked of makers, as hands and mood want it."""
        vibe = patch.vibes.get(self.vibe)
        words = vibe.text if vibe is not None and self.intensity > 0.0 else ""
        for i, (entry, request) in enumerate(requests):
            density = self.density_of(patch, entry.role, entry.want.get("density"))
            if density != request.density or words:
                requests[i] = (entry, replace(request, density=density, vibe=words))


def _player(conductor: Conductor, ask: Ask) -> str | None:
    return _named(ask.what, conductor.patch.players)


def _named(what: str | int | None, names: Iterable[str]) -> str | None:
    """A name, or the name with a number from 1."""
    known = list(names)
    if isinstance(what, int):
        return known[what - 1] if 1 <= what <= len(known) else None
    return what if what in known else None


def _unknown(kind: str, ask: Ask, names: Iterable[str]) -> str:
    return f"{kind} {ask.what!r}, expected one of {', '.join(names) or 'none'}"


def _turned(names: list[str], name: str, on: bool | None) -> bool:
    """Whether a name is in a list after this; None: the other way round."""
    on = name not in names if on is None else on
    names[:] = sorted({*names, name} if on else {*names} - {name})
    return on


def _density(conductor: Conductor, ask: Ask) -> str:
    """role, value (0-1): of the stems asked for from now on."""
    if ask.role is None:
        return "no role"
    if ask.value is None or not 0.0 <= ask.value <= 1.0:
        return f"value {ask.value}, expected 0 to 1"
    conductor.steering.density[ask.role] = ask.value
    return f"{ask.role}: density {ask.value:g} from the next stem on"


def _may_play(conductor: Conductor, ask: Ask) -> str:
    """what (a player), on."""
    name = _player(conductor, ask)
    if name is None:
        return _unknown("player", ask, conductor.patch.players)
    off = _turned(conductor.steering.off, name, None if ask.on is None else not ask.on)
    return f"{name} {'off' if off else 'on'}"


def _control(conductor: Conductor, ask: Ask) -> str:
    """what (a player), number (from 1; left out: 1), values (-1..1, as many as there are)."""
    name = _player(conductor, ask)
    if name is None:
        return _unknown("player", ask, conductor.patch.players)
    if not ask.values:
        return "no values"
    count, first = controls_count(conductor.patch, name), (ask.number or 1) - 1
    if first + len(ask.values) > min(count, MAX_LATENTS):
        return f"{name} has {count} controls"
    own = [*conductor.steering.controls.get(name, []), *[0.0] * count][:count]
    own[first : first + len(ask.values)] = ask.values
    conductor.steering.controls[name] = own
    return f"{name} {first + 1}: {', '.join(f'{v:g}' for v in ask.values)}"


def _centre(conductor: Conductor, ask: Ask) -> str:
    """what (a player): all its controls at rest."""
    name = _player(conductor, ask)
    if name is None:
        return _unknown("player", ask, conductor.patch.players)
    conductor.steering.controls.pop(name, None)
    return f"{name} at rest"


def _freeze_player(conductor: Conductor, ask: Ask) -> str:
    """what (a texture), on: its sound stands still."""
    textures = [n for n, p in conductor.patch.players.items() if p.to]
    name = _player(conductor, ask)
    if name not in textures:
        return _unknown("texture", ask, textures)
    return f"{name} {'stands still' if _turned(conductor.steering.frozen, name, ask.on) else 'on'}"


def _vibe(conductor: Conductor, ask: Ask) -> str:
    """what (a mood), value (0-1, 0: over; left out: 1). A mood that begins asks for a stem of each
    role whose density it says."""
    steering, patch = conductor.steering, conductor.patch
    name = _named(ask.what, patch.vibes)
    if name is None:
        return _unknown("mood", ask, patch.vibes)
    value = 1.0 if ask.value is None else ask.value
    if not 0.0 <= value <= 1.0:
        return f"value {value:g}, expected 0 to 1"
    if value == 0.0:
        if steering.vibe == name:
            steering.vibe, steering.intensity = "", 0.0
        return f"{name} is over"
    begins = steering.vibe != name
    steering.vibe, steering.intensity = name, value
    if begins and conductor.line is not None:
        for role in patch.vibes[name].density:
            conductor.book.ask(role, conductor.line, ask.now, replaces=True)
    return f"{name} {value:.0%}"


def freeze(conductor: Conductor, _: Ask) -> str:
    """Every chaos of the control voltages stands still, or goes on."""
    frozen = conductor.routes.frozen = not conductor.routes.frozen
    conductor.command(CommandKind.CV_FREEZE, slot=int(frozen))
    return "frozen" if frozen else "let go"


def _route(conductor: Conductor, ask: Ask) -> str:
    """what (a route of a control voltage), on."""
    routes = conductor.patch.routes
    name = _named(ask.what, routes)
    if name is None:
        return _unknown("route", ask, routes)
    off = _turned(conductor.routes.off, name, None if ask.on is None else not ask.on)
    tell_route(conductor, name, ask.now)
    return f"{name} {'off' if off else 'on'}"


def tell_route(conductor: Conductor, name: str, now: int) -> None:
    """A route to a send is the audio process's: whether it is followed."""
    sends = routes_to_sends(conductor.started.routes)
    if name in sends and conductor.line is not None:
        conductor.command(
            CommandKind.LEVEL,
            slot=sends.index(name),
            c=int(LevelKind.ROUTE),
            frame=now,
            a=round(RAMP_S * conductor.line.rate),
            x=0.0 if name in conductor.routes.off else 1.0,
        )


STEER_ACTIONS: dict[str, Callable[[Conductor, Ask], str]] = {
    "density": _density,
    "player": _may_play,
    "control": _control,
    "centre": _centre,
    "freeze_player": _freeze_player,
    "vibe": _vibe,
    "freeze": freeze,
    "route": _route,
}

"""What a changed patch changes, and what of that the running performance can take.

Musical changes (songs, scenes, tempo, key, roles, sends, pedals) are the conductor's and are taken
while it plays. Everything that a process was built from (devices, channels, ports, voices, models,
SoundFont, the set of roles) needs a restart. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from engine.arena import stem_slot_frames
from engine.mixer import BUS_ORDER, sent_buses
from engine.patch import Patch

# Of each part of a patch, what may change while it plays.
MUSICAL: dict[str, frozenset[str]] = {
    "clock": frozenset({"bpm", "beats_per_bar", "bars_per_phrase", "key", "minor"}),
    "inputs": frozenset({"to", "written"}),
    "midi": frozenset({"pedals", "controls", "dry_cc", "master_cc", "foot_switches", "written"}),
    "voices": frozenset({"to"}),
    "players": frozenset({"to"}),
    "surfaces": frozenset({"pages"}),
}
WHOLE = frozenset({"name", "armed", "songs", "vibes"})
OFF_DB = -90.0


def changed(old: Patch, new: Patch) -> list[str]:
    """Dotted keys of everything that differs."""
    return list(_differences("", old, new))


def needs_restart(started: Patch, new: Patch, slot_frames: int) -> list[str]:
    """What of a new patch the performance that was started with `started` cannot take, in words;
    empty: nothing. slot_frames: of the stem arena."""
    reasons = [key for key in changed(started, new) if not _musical(key)]
    reasons += [
        f"players.{n}.to (a texture keeps at least one bus)"
        for n, p in started.players.items()
        if n in new.players and bool(p.to) != bool(new.players[n].to)
    ]
    reasons += [
        f"roles.{n}.gain_db (it was off)"
        for n, r in started.roles.items()
        if r.gain_db <= OFF_DB and n in new.roles and new.roles[n].gain_db > OFF_DB
    ]
    wired = sent_buses(started) | set(started.outputs) | {"main"}
    unwired = sorted(sent_buses(new) - wired, key=BUS_ORDER.index)
    reasons += [f"{bus} (nothing was sent there when it started)" for bus in unwired]
    if stem_slot_frames(new) > slot_frames:
        reasons.append("songs, clock or roles (stems longer than the memory kept for them)")
    return list(dict.fromkeys(reasons))


def _musical(key: str) -> bool:
    part, _, rest = key.removesuffix(" (order)").partition(".")
    if part in WHOLE:
        return True
    if part == "clock":
        return rest.partition(".")[0] in MUSICAL["clock"]
    _, _, field = rest.partition(".")
    if not field:  # added, removed, or in another order
        return False
    return part == "roles" or field.partition(".")[0] in MUSICAL.get(part, ())


def _differences(key: str, old: Any, new: Any) -> Iterator[str]:
    """Order counts: it numbers sources, songs and scenes."""
    if is_dataclass(old) and type(old) is type(new):
        for field in fields(old):
            path = f"{key}.{field.name}" if key else field.name
            yield from _differences(path, getattr(old, field.name), getattr(new, field.name))
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            if name not in old or name not in new:
                yield f"{key}.{name}"
            else:
                yield from _differences(f"{key}.{name}", old[name], new[name])
        if list(old) != list(new) and set(old) == set(new):
            yield f"{key} (order)"
    elif old != new:
        yield key

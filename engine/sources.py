"""The names of what sounds in a patch: the mixer's sources, and which of them have what."""

from __future__ import annotations

from typing import Any

from engine.patch import AUDITION, EFFECTS, Insert, Patch


def source_names(patch: Patch) -> list[str]:
    """Every mixer source in the order of its index in commands, reports and meters: inputs, sampler
    voices, textures (players with `to`), stem roles, a stem that is listened to beforehand, then
    effect returns and the click."""
    return [
        *(f"input.{n}" for n in patch.inputs),
        *(f"voice.{n}" for n in patch.voices),
        *(f"texture.{n}" for n, p in patch.players.items() if p.to),
        *(f"stems.{n}" for n in patch.roles),
        *((AUDITION,) if patch.roles else ()),
        *(f"effect.{n}" for n in EFFECTS),
        "click",
    ]


def insert_at(patch: Patch, source: str) -> Insert | None:
    """A source's insert, if it has one."""
    kind, _, name = source.partition(".")
    parts: dict[str, Any] = {
        "input": patch.inputs,
        "voice": patch.voices,
        "texture": patch.players,
    }
    given = parts.get(kind, {}).get(name)
    return None if given is None else given.insert


def pedals_of(patch: Patch) -> dict[str, Insert]:
    """The pedals by the input in whose strip they stand."""
    return {n: i.insert for n, i in patch.inputs.items() if i.insert is not None and i.insert.pedal}


def guarded_sources(patch: Patch) -> list[str]:
    """What can howl: sound that comes back from live inputs by way of a model or an effect."""
    if not patch.inputs:
        return []
    names = source_names(patch)
    return [n for n in names if n.startswith(("texture.", "effect."))]

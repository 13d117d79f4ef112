"""UNDO of what hands do to the mix: how it stood, and how it is put back; see
engine/conductor_undo.py. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.ask import Ask
from engine.conductor_mix import audition, insert, level, level_of, mute, solo, strip

if TYPE_CHECKING:
    from engine.conductor import Conductor

LATE = "too late"
GONE = "it is gone: too late"
Look = Callable[["Conductor"], Any]
Back = Callable[["Conductor", Ask, Any, Any], str | None]  # before, after -> why not, or None


def _look_levels(c: Conductor) -> dict[str, float]:
    return dict(c.mix.levels)


def _look_muted(c: Conductor) -> list[str]:
    return list(c.mix.muted)


def _look_bypassed(c: Conductor) -> list[str]:
    return list(c.mix.bypassed)


def _look_soloed(c: Conductor) -> list[str]:
    return list(c.mix.soloed)


def _levels_back(c: Conductor, ask: Ask, before: Any, after: Any) -> None:
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            level(c, Ask(ask.now, source=name, db=before.get(name, level_of(c.patch, name))))
            if name not in before:
                del c.mix.levels[name]


def _muted_back(c: Conductor, ask: Ask, before: Any, after: Any) -> None:
    for name in set(before) ^ set(after):
        mute(c, Ask(ask.now, source=name, on=name in before))


def _bypassed_back(c: Conductor, ask: Ask, before: Any, after: Any) -> None:
    for name in set(before) ^ set(after):
        insert(c, Ask(ask.now, source=name, on=name not in before))


def _soloed_back(c: Conductor, ask: Ask, before: Any, after: Any) -> None:
    for name in set(before) ^ set(after):
        solo(c, Ask(ask.now, source=name, on=name in before))


def _look_sends(c: Conductor) -> dict[str, float]:
    mix = c.programme.mix
    return {f"{s}.{b}": mix.in_force((s, b)) for s, b in mix.told.keys() | mix.by_hand.keys()}


def _sends_back(c: Conductor, ask: Ask, before: Any, after: Any) -> None:
    assert c.line is not None
    ramp = round(0.02 * c.line.rate)
    for pair in before.keys() | after.keys():
        gain = before.get(pair, 0.0)
        if gain != after.get(pair, 0.0):
            source, bus = (int(n) for n in pair.split("."))
            c.programme.send_by_hand((source, bus), ask.now, ramp, gain)


def _look_strips(c: Conductor) -> dict[str, float]:
    return dict(c.mix.strips)


def _strips_back(c: Conductor, ask: Ask, before: Any, after: Any) -> None:
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            source, _, setting = name.rpartition(".")
            value = before.get(name, getattr(c.patch.inputs[source].strip, setting))
            strip(c, Ask(ask.now, source=f"input.{source}", setting=setting, value=value))
            if name not in before:
                del c.mix.strips[name]


def _look_listening(c: Conductor) -> tuple[int, int]:
    return c.mix.listening, c.mix.listened


def _listening_back(c: Conductor, ask: Ask, before: Any, after: Any) -> str | None:
    stem, until = before
    said = audition(c, Ask(ask.now, stem=stem if stem and until > ask.now else None))
    return GONE if said == "not ready" else None


MIX_LOOKS: dict[str, tuple[Look, Back]] = {
    "levels": (_look_levels, _levels_back),
    "muted": (_look_muted, _muted_back),
    "bypassed": (_look_bypassed, _bypassed_back),
    "soloed": (_look_soloed, _soloed_back),
    "sends": (_look_sends, _sends_back),
    "strips": (_look_strips, _strips_back),
    "listening": (_look_listening, _listening_back),
}

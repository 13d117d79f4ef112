"""What a hand asks for: the words that go with an action, from a pad, a key, a script or a socket.

Pure and immutable. A word that is left out is None: then the patch decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engine.layout import MAX_LATENTS
from engine.stem import VARIATIONS, Play
from engine.timeline import Boundary

CAPTURE_BARS = (1, 2, 4, 8)


class AskError(ValueError):
    """A word that cannot be: what was found, what was expected."""


@dataclass(frozen=True)
class Ask:
    """now: the frame of the press. stem: a stem's id. at: the boundary to wait for instead of the
    role's own. play: how the stem is played instead of its own way. variation: 1-4, a role's place.
    source, bars: of a capture, a mixer source such as input.trombone and CAPTURE_BARS. source, bus,
    db, seconds, on, setting, value: of the mix (engine/conductor_mix.py).
    what: the name of a song, scene, player, mood or route, or its number from 1. number, values: of
    a player's controls, from the number-th (from 1) on, -1..1 each."""

    now: int
    role: str | None = None
    stem: int | None = None
    at: Boundary | None = None
    play: Play | None = None
    variation: int | None = None
    source: str | None = None
    bars: int | None = None
    bus: str | None = None
    db: float | None = None
    seconds: float | None = None
    on: bool | None = None
    setting: str | None = None
    value: float | None = None
    what: str | int | None = None
    number: int | None = None
    values: tuple[float, ...] | None = None

    def of(self, role: str) -> Ask:
        """The same for another role."""
        return replace(self, role=role)

    def words(self) -> dict[str, Any]:
        """What was said, as JSON values, without the frame."""
        said = {
            "role": self.role,
            "stem": self.stem,
            "at": self.at and self.at.value,
            "play": self.play and self.play.value,
            "variation": self.variation,
            "source": self.source,
            "bars": self.bars,
            "bus": self.bus,
            "db": self.db,
            "seconds": self.seconds,
            "on": self.on,
            "setting": self.setting,
            "value": self.value,
            "what": self.what,
            "number": self.number,
            "values": self.values and list(self.values),
        }
        always = ("role", "stem")
        return {k: v for k, v in said.items() if v is not None or k in always}


def ask_of(said: dict[str, Any], now: int) -> Ask:
    """An Ask from JSON values; words it does not know are left alone. Raises AskError."""
    role, source = said.get("role"), said.get("source")
    if not (role is None or isinstance(role, str)):
        raise AskError(f"role is {role!r}, expected text")
    if not (source is None or isinstance(source, str)):
        raise AskError(f"source is {source!r}, expected text")
    return Ask(
        now,
        role,
        _whole("stem", said.get("stem")),
        _one_of("at", said.get("at"), Boundary),
        _one_of("play", said.get("play"), Play),
        _among("variation", said.get("variation"), tuple(range(1, VARIATIONS + 1))),
        source,
        _among("bars", said.get("bars"), CAPTURE_BARS),
        _text("bus", said.get("bus")),
        _number("db", said.get("db"), -90.0, 24.0),
        _number("seconds", said.get("seconds"), 0.0, 60.0),
        _flag("on", said.get("on")),
        _text("setting", said.get("setting")),
        _number("value", said.get("value"), -1e6, 1e6),
        _name_or_number("what", said.get("what")),
        _among("number", said.get("number"), tuple(range(1, MAX_LATENTS + 1))),
        _numbers("values", said.get("values")),
    )


def _text(word: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise AskError(f"{word} is {value!r}, expected text")


def _flag(word: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise AskError(f"{word} is {value!r}, expected true or false")


def _number(word: str, value: Any, low: float, high: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise AskError(f"{word} is {value!r}, expected a number from {low:g} to {high:g}")
    return float(value)


def _numbers(word: str, values: Any) -> tuple[float, ...] | None:
    if values is None:
        return None
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_LATENTS:
        raise AskError(f"{word} is {values!r}, expected a list of 1 to {MAX_LATENTS} numbers")
    found = tuple(_number(word, v, -1.0, 1.0) for v in values)
    if None in found:
        raise AskError(f"{word} is None among others, expected numbers")
    return tuple(v for v in found if v is not None)


def _whole(word: str, value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise AskError(f"{word} is {value!r}, expected a whole number")


def _name_or_number(word: str, value: Any) -> str | int | None:
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value
    raise AskError(f"{word} is {value!r}, expected a name or a whole number")


def _among(word: str, value: Any, allowed: tuple[int, ...]) -> int | None:
    if value is None or (isinstance(value, int) and value in allowed and value is not True):
        return value
    raise AskError(f"{word} is {value!r}, expected one of {', '.join(map(str, allowed))}")


def _one_of(word: str, value: Any, kind: Any) -> Any:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(k.value for k in kind)
        raise AskError(f"{word} is {value!r}, expected one of {allowed}") from None

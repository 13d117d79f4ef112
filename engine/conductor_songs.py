"""What hands do to songs and scenes: one function an action; see engine/conductor_hands.py and, for
what each means, engine/programme.py. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.ask import Ask

if TYPE_CHECKING:
    from engine.conductor import Conductor


def _next_song(conductor: Conductor, ask: Ask) -> str:
    return conductor.programme.next_song(ask.now)


def _song(conductor: Conductor, ask: Ask) -> str:
    return conductor.programme.choose_song(ask.what, ask.now)


def _next_scene(conductor: Conductor, ask: Ask) -> str:
    return conductor.programme.next_scene(ask.now)


def _scene(conductor: Conductor, ask: Ask) -> str:
    return conductor.programme.choose_scene(ask.what, ask.now)


def standby(conductor: Conductor, ask: Ask) -> str:
    return conductor.programme.toggle_standby(ask.now)


def _end(conductor: Conductor, ask: Ask) -> str:
    return conductor.programme.end_song(ask.now)


def _reload(conductor: Conductor, _: Ask) -> str:
    conductor.reload_asked = True
    return "reading the patch again"


SONG_ACTIONS: dict[str, Callable[[Conductor, Ask], str]] = {
    "next_song": _next_song,
    "song": _song,
    "next_scene": _next_scene,
    "scene": _scene,
    "standby": standby,
    "end": _end,
    "reload": _reload,
}

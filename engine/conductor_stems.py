"""What hands do to stems: let them in, pick, stop, keep. One function an action; see
engine/conductor_hands.py. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.ask import Ask
from engine.conductor_capture import arm, capture
from engine.stem import Play
from engine.timeline import Timeline

if TYPE_CHECKING:
    from engine.conductor import Conductor


def _line(conductor: Conductor) -> Timeline:
    assert conductor.line is not None
    return conductor.line


def let_in(conductor: Conductor, ask: Ask) -> str:
    """Whether stems may enter, and players play; the other way round."""
    if not conductor.let_in and not conductor.oriented:
        return "first say where the one is"
    conductor.let_in = not conductor.let_in
    if conductor.let_in:
        conductor.programme.let_in_again()
    else:
        stop_all(conductor, ask)
    return "let in" if conductor.let_in else "kept out"


def _next(conductor: Conductor, ask: Ask) -> str:
    """Every role that plays gets its next variation."""
    book, line = conductor.book, _line(conductor)
    playing = [name for name in conductor.patch.roles if book.playing(name)]
    for name in playing:
        book.release(name)
    changed = [name for name in playing if book.enter(name, line, ask.now, ask.at)]
    return f"next: {', '.join(changed) or 'nothing ready'}"


def _regenerate(conductor: Conductor, ask: Ask) -> str:
    if ask.role is None:
        return "no role"
    line = conductor.programme.stem_line(_line(conductor))
    entry = conductor.book.ask(ask.role, line, ask.now, replaces=True)
    return "asked" if entry else "no room"


def _queue_stem(conductor: Conductor, ask: Ask) -> str:
    return "not ready" if ask.stem is None else _queue(conductor, ask.stem, ask)


def _pick(conductor: Conductor, ask: Ask) -> str:
    """A variation of a role, by its place."""
    if ask.role is None or ask.variation is None:
        return "no role" if ask.role is None else "no variation"
    entry = conductor.book.variation(ask.role, ask.variation)
    return "no such variation" if entry is None else _queue(conductor, entry.id, ask)


def _queue(conductor: Conductor, stem: int, ask: Ask) -> str:
    if not conductor.let_in:
        return "first say where the one is, then let in"
    if not conductor.book.enqueue(stem, _line(conductor), ask.now, ask.at, ask.play):
        return "not ready"
    entry = conductor.book.entries[stem]
    if entry.turn is Play.ENDING:
        conductor.wanted.clear()
    elif entry.turn is not Play.FILL:  # a hand has chosen between the roles of a choke group
        conductor.wanted.difference_update(conductor.book.rival_roles(entry.role))
    return "queued"


def _pin_stem(conductor: Conductor, ask: Ask) -> str:
    """Keep a stem in its place among its role's variations, or no longer."""
    stem = ask.stem
    if stem is None and ask.role is not None and ask.variation is not None:
        entry = conductor.book.variation(ask.role, ask.variation)
        stem = None if entry is None else entry.id
    pinned = None if stem is None else conductor.book.pin(stem, ask.now)
    return "no such stem" if pinned is None else "pinned" if pinned else "loose"


def _unqueue_stem(conductor: Conductor, ask: Ask) -> str:
    done = ask.stem is not None and conductor.book.unqueue(ask.stem, ask.now)
    return "unqueued" if done else "too late"


def _keep_stem(conductor: Conductor, ask: Ask) -> str:
    done = ask.stem is not None and conductor.book.keep(ask.stem, ask.now)
    return "kept" if done else "too late"


def _enter(conductor: Conductor, ask: Ask) -> str:
    if ask.role is None:
        return "no role"
    conductor.wanted.difference_update(conductor.book.rival_roles(ask.role))
    conductor.wanted.add(ask.role)
    conductor.book.release(ask.role)
    if ask.at is not None and conductor.let_in and not conductor.book.playing(ask.role):
        conductor.book.enter(ask.role, _line(conductor), ask.now, ask.at)
    return "wanted"


def stop_role(conductor: Conductor, ask: Ask) -> str:
    """Of a role, or of the role of a stem."""
    book, role = conductor.book, ask.role
    if role is None and ask.stem is not None and ask.stem in book.entries:
        role = book.entries[ask.stem].role
    if role is None:
        return "no role"
    conductor.wanted.discard(role)
    return "stopping" if book.leave(role, _line(conductor), ask.now, ask.at) else "silent already"


def stop_all(conductor: Conductor, ask: Ask) -> str:
    for name in conductor.patch.roles:
        stop_role(conductor, ask.of(name))
    return "stopping all"


STEM_ACTIONS: dict[str, Callable[[Conductor, Ask], str]] = {
    "capture": capture,
    "arm": arm,
    "let_in": let_in,
    "next": _next,
    "regenerate": _regenerate,
    "queue_stem": _queue_stem,
    "pick": _pick,
    "pin_stem": _pin_stem,
    "unqueue_stem": _unqueue_stem,
    "stop_stem": stop_role,
    "keep_stem": _keep_stem,
    "enter": _enter,
    "stop_role": stop_role,
    "stop_all": stop_all,
}

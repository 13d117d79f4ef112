"""What hands do to stems: let them in, pick, stop, keep. One function an action; see
engine/conductor_hands.py. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.ask import Ask
from engine.timeline import Timeline

if TYPE_CHECKING:
    from engine.conductor import Conductor


def _line(conductor: Conductor) -> Timeline:
    assert conductor.line is not None
    return conductor.line


def _next(conductor: Conductor, ask: Ask) -> str:
    """Every role that plays gets its next variation."""
    book, line = conductor.book, _line(conductor)
    changed = [
        name
        for name in conductor.patch.roles
        if book.playing(name) and book.enter(name, line, ask.now)
    ]
    return f"next: {', '.join(changed) or 'nothing ready'}"


def _regenerate(conductor: Conductor, ask: Ask) -> str:
    if ask.role is None:
        return "no role"
    entry = conductor.book.ask(ask.role, _line(conductor), ask.now)
    return "asked" if entry else "no room"


def _queue_stem(conductor: Conductor, ask: Ask) -> str:
    if not conductor.let_in:
        return "first say where the one is, then let in"
    done = ask.stem is not None and conductor.book.enqueue(ask.stem, _line(conductor), ask.now)
    return "queued" if done else "not ready"


def _unqueue_stem(conductor: Conductor, ask: Ask) -> str:
    done = ask.stem is not None and conductor.book.unqueue(ask.stem, ask.now)
    return "unqueued" if done else "too late"


def _keep_stem(conductor: Conductor, ask: Ask) -> str:
    done = ask.stem is not None and conductor.book.keep(ask.stem, ask.now)
    return "kept" if done else "too late"


def _enter(conductor: Conductor, ask: Ask) -> str:
    if ask.role is None:
        return "no role"
    conductor.wanted.add(ask.role)
    return "wanted"


def stop_role(conductor: Conductor, ask: Ask) -> str:
    """Of a role, or of the role of a stem."""
    book, role = conductor.book, ask.role
    if role is None and ask.stem is not None and ask.stem in book.entries:
        role = book.entries[ask.stem].role
    if role is None:
        return "no role"
    conductor.wanted.discard(role)
    return "stopping" if book.leave(role, _line(conductor), ask.now) else "silent already"


def stop_all(conductor: Conductor, ask: Ask) -> str:
    for name in conductor.patch.roles:
        stop_role(conductor, ask.of(name))
    return "stopping all"


STEM_ACTIONS: dict[str, Callable[[Conductor, Ask], str]] = {
    "next": _next,
    "regenerate": _regenerate,
    "queue_stem": _queue_stem,
    "unqueue_stem": _unqueue_stem,
    "stop_stem": stop_role,
    "keep_stem": _keep_stem,
    "enter": _enter,
    "stop_role": stop_role,
    "stop_all": stop_all,
}

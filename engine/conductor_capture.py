"""CAPTURE: the last bars of an input, an answer or a texture become a stem, at once in the queue.

An action of a hand (engine/conductor_hands.py), and what follows when the capture process has
answered. Pure, as the conductor is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ask import CAPTURE_BARS, Ask
from engine.capture import captured
from engine.patch import CAPTURE_MAKER, Patch
from engine.stem import StemState

if TYPE_CHECKING:
    from engine.conductor import Conductor

BARS = 4  # where neither the press nor the role says how many


def capture(conductor: Conductor, ask: Ask) -> str:
    patch, remembered = conductor.patch, conductor.started.capture
    sources = captured(conductor.started)  # what the capture process was started with
    if not sources:
        return "nothing is remembered: give the patch a `capture:` with `kept: 4`"
    role = ask.role or next((n for n, r in patch.roles.items() if r.maker == CAPTURE_MAKER), None)
    if role is None:
        return f"no role: name one, or give the patch a role with `maker: {CAPTURE_MAKER}`"
    source = _source(patch, role, ask.source or conductor.armed or None, sources)
    if source not in sources:
        return f"source {source!r}, expected one of {', '.join(sources)}"
    bars = ask.bars or _bars(patch.roles[role].bars, remembered.bars)
    if bars > remembered.bars:
        return f"{bars} bars, at most {remembered.bars} are remembered (capture.bars)"
    span = conductor.beats.last_bars(bars, ask.now)
    assert conductor.line is not None
    bpm = span.bpm(conductor.line.rate)
    entry = conductor.book.ask_capture(role, source, bpm, span.beats, ask.now)
    if entry is None:
        return "no room: every captured stem waits, plays or is pinned"
    entry.at, entry.turn = ask.at, ask.play or entry.play
    conductor.book.captures_asked.append(
        {
            "job": entry.id,
            "slot": entry.slot,
            "source": source,
            "start": span.start,
            "end": span.end,
            "bars": bars,
        }
    )
    said = f"capturing {bars} bars of {source}"
    return said if _open(conductor) else f"{said}; it waits for a hand"


def arm(conductor: Conductor, ask: Ask) -> str:
    """source: what CAPTURE takes where a press says nothing else; the same again: nothing of its
    own."""
    sources = captured(conductor.started)
    if ask.source not in sources:
        return f"source {ask.source!r}, expected one of {', '.join(sources) or 'none'}"
    conductor.armed = "" if conductor.armed == ask.source else str(ask.source)
    return f"{ask.source} {'armed' if conductor.armed else 'not armed'}"


def queue_captured(conductor: Conductor, now: int) -> None:
    """What has become ready goes to its boundary by itself, where stems may enter. What was
    captured where nothing generated may be heard (nothing let in, DRY, standby) never does: it is
    there, and a hand puts it in. While a song changes it waits until that has happened."""
    assert conductor.line is not None
    for entry in list(conductor.book.entries.values()):
        if not entry.fresh or entry.state is not StemState.READY:
            continue
        if not _open(conductor):
            entry.fresh, entry.held = False, True
        elif conductor.programme.enters(now):
            entry.fresh = False
            conductor.wanted.difference_update(conductor.book.rival_roles(entry.role))
            conductor.book.enqueue(entry.id, conductor.line, now, entry.at, entry.turn)


def _open(conductor: Conductor) -> bool:
    return conductor.let_in and not conductor.dry and not conductor.programme.standby


def _source(patch: Patch, role: str, said: str | None, sources: list[str]) -> str:
    """As it was said, in full or the last part of it; else the role's own; else the first."""
    wanted = said or str(patch.roles[role].config.get("source", sources[0]))
    return next((s for s in sources if s.partition(".")[2] == wanted), wanted)


def _bars(own: int, most: int) -> int:
    """A role's length where that can be captured and is remembered."""
    fitting = [b for b in CAPTURE_BARS if b <= most]
    return own if own in fitting else min(BARS, fitting[-1])

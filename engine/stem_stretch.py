"""Which playing stems are so far from the tempo that they are stretched, and when the stretched one
takes over. Pure, part of the conductor; engine/stretch.py does the work.

The old one plays on in slices (engine/slices.py) meanwhile. The new one comes in at the phrase
where the old one would begin anew, so the music goes on where it was (where no phrase ever begins
with the loop: at the loop's own beginning). It comes in only if the tempo has not gone back by
then. A stem and what was stretched of it are a family, named by the first one's id: as long as the
arena holds that one, it is what is stretched.
"""

from __future__ import annotations

import math

from engine.stem import Play, StemState
from engine.stem_book import StemBook
from engine.stem_entry import StemEntry
from engine.timeline import Boundary, Timeline

FAR = 0.04  # share of the tempo
FACTOR_MAX = 1.9  # farther than engine/stretch.py goes, it is not asked
AHEAD_BEATS = 0.9  # its place is as near as this when the new one is let in
SOON_BEATS = 0.3  # ... but not nearer
FAILED_WAIT_S = 20.0  # what could not be stretched is tried again after this
TURNS = 16  # of a loop, among which one may begin with a phrase
_S = StemState
_COMING = (_S.REQUESTED, _S.GENERATING, _S.LATE, _S.READY, _S.QUEUED)


def stretch_far(book: StemBook, line: Timeline, now: int) -> None:
    """Ask for what has to be stretched, let in what is, drop what is no longer of use."""
    for entry in list(book.entries.values()):
        if entry.state is _S.PLAYING and entry.turn is Play.LOOP and entry.loop and not entry.midi:
            _ask(book, entry, line, now)
        elif entry.state is _S.READY and entry.stretch_of:
            _let_in(book, entry, line, now)


def order_of(book: StemBook, entry: StemEntry) -> dict[str, float] | None:
    """What engine/stretch.py needs to know to make an entry: slots, frames, exact lengths. None:
    nothing is left to make it of."""
    base = book.entries.get(entry.stretch_of)
    if base is None or base.slot < 0 or not base.frames:
        base = _playing(book, entry)
    if base is None or not base.loop:
        return None
    to = base.loop * base.bpm / entry.bpm
    return {
        "from": base.slot,
        "frames": base.frames,
        "loop": base.loop,
        "into": entry.slot,
        "to": to,
    }


def _family(entry: StemEntry) -> int:
    return entry.stretch_of or entry.id


def _playing(book: StemBook, entry: StemEntry) -> StemEntry | None:
    """The one of its family that plays."""
    playing = book.of(entry.role, _S.PLAYING)
    return next((e for e in playing if _family(e) == _family(entry)), None)


def _off(entry: StemEntry, line: Timeline) -> float:
    return abs(line.bpm / entry.bpm - 1.0)


def _ask(book: StemBook, entry: StemEntry, line: Timeline, now: int) -> None:
    factor = line.bpm / entry.bpm
    if _off(entry, line) <= FAR or not 1.0 / FACTOR_MAX <= factor <= FACTOR_MAX:
        return
    made = [e for e in book.of(entry.role, *_COMING, _S.FAILED) if e.stretch_of]
    for other in (e for e in made if _family(e) == _family(entry)):
        if other.state is not _S.FAILED or now - other.requested_frame < FAILED_WAIT_S * line.rate:
            return
    book.ask_stretched(entry, line, now)


def _let_in(book: StemBook, entry: StemEntry, line: Timeline, now: int) -> None:
    old = _playing(book, entry)
    if old is None or _off(old, line) <= _off(entry, line):
        book.drop(entry, now, "it is not needed any more")
        return
    place, boundary = _anew(old, line, line.beat_at(now) + SOON_BEATS)
    if place - line.beat_at(now) > AHEAD_BEATS:
        return
    if book.enqueue(entry.id, line, now, boundary, Play.LOOP):
        entry.variation, old.variation = old.variation, 0
        entry.pinned, old.pinned = old.pinned, False


def _anew(old: StemEntry, line: Timeline, beat: float) -> tuple[float, Boundary]:
    """The first beat from `beat` on where a loop begins anew, with a phrase if it ever does, and
    the grid that this beat lies on."""
    length = old.beats or line.beats_of(Boundary.PHRASE)
    first = old.began + math.ceil((beat - old.began) / length) * length
    for place in (first + k * length for k in range(TURNS)):
        if _on(place, line.beats_of(Boundary.PHRASE)):
            return place, Boundary.PHRASE
    grids = (Boundary.BAR, Boundary.BEAT)
    return first, next((b for b in grids if _on(first, line.beats_of(b))), Boundary.NOW)


def _on(beat: float, grid: float) -> bool:
    return abs(beat - round(beat / grid) * grid) < 1e-3

"""A restarted conductor's book against what the audio process really has.

The journal may be a tenth of a second old: a report that its predecessor took with it, a command
that it sent and did not write down. What sounds and belongs to no row is stopped.
"""

from __future__ import annotations

import numpy as np

from engine.state import FOREVER
from engine.stem import StemState
from engine.stem_book import StemBook
from engine.stem_entry import StemEntry
from engine.timeline import Timeline

_S = StemState


def reconcile(book: StemBook, stems: np.ndarray, line: Timeline, now: int) -> None:
    """stems: the audio process's STEM array (engine/state.py), as it published it."""
    for voice, stem in enumerate(stems):
        if not stem["state"] or stem["stop"] < FOREVER:
            continue
        entry = book.entries.get(int(stem["id"]))
        if entry is None or (entry.voice != voice and not _adopt(book, entry, voice)):
            book.silence(voice, now)
            continue
        if entry.state is not _S.RETIRING:
            entry.start_frame = int(stem["start"])
        if stem["state"] == 2:
            book.started(entry.id, entry.start_frame)
    for entry in list(book.entries.values()):
        if entry.voice < 0:
            continue
        there = stems[entry.voice]["state"] and int(stems[entry.voice]["id"]) == entry.id
        if not there and entry.sent and entry.state is not _S.RETIRING:
            book.refused(entry.id, entry.voice, line, now)
        elif not there:
            book.ended(entry.id, entry.voice, now)


def _adopt(book: StemBook, entry: StemEntry, voice: int) -> bool:
    """A stem sounds, or waits, in a voice that its row does not know of. False: it may not."""
    taken = any(
        e is not entry and (e.sent or e.state is _S.PLAYING)
        for e in book.of(entry.role, _S.PLAYING, _S.QUEUED)
    )
    if taken or entry.state not in (_S.READY, _S.DONE, _S.QUEUED, _S.PLAYING):
        return False
    if entry.state in (_S.READY, _S.DONE):
        entry.become(_S.QUEUED)
    entry.voice, entry.sent, entry.stop_frame = voice, True, 0
    return True

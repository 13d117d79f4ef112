"""Risk: after a wrong tempo was corrected, stems made for it enter all the same."""

from __future__ import annotations

import pytest

from engine.patch import Clock, Patch, Role
from engine.stem import StemState
from engine.stem_asking import SAME_TEMPO
from engine.stem_book import StemBook
from engine.timeline import Timeline

RATE = 48000.0


def line(bpm: float) -> Timeline:
    return Timeline(0, 0.0, bpm, RATE, 4, 4, 1.0)


def book_with_ready(bpm: float) -> StemBook:
    made = StemBook(Patch(roles={"bass": Role()}, clock=Clock(bpm=bpm)), 8, 1 << 20)
    made.fill(line(bpm), 0)
    for entry, _ in list(made.requests):
        made.pool_event({"job": entry.id, "event": "ready", "frames": 9, "loop": 9.0}, 0)
    made.requests.clear()
    return made


@pytest.mark.parametrize("bpm", [102.0 * 1.13, 102.0 * 0.87])
def test_ready_stems_of_another_tempo_are_replaced(bpm: float) -> None:
    book = book_with_ready(102.0)
    before = set(book.entries)
    book.set_aside(line(bpm), 0)
    book.fill(line(bpm), 0)
    assert not before & set(book.entries)
    assert [r.bpm for _, r in book.requests] == [bpm] * len(before)
    assert {e.slot for e in book.entries.values()} <= set(range(len(before)))  # the room is free


def test_a_drummer_who_drifts_keeps_the_stems() -> None:
    book = book_with_ready(102.0)
    book.set_aside(line(102.0 * (1.0 + 0.99 * SAME_TEMPO)), 0)
    assert [e.state for e in book.entries.values()] == [StemState.READY] * len(book.entries)
    assert book.entries


def test_what_is_queued_is_left_to_the_hand() -> None:
    book = book_with_ready(102.0)
    first = next(iter(book.entries))
    assert book.enqueue(first, line(102.0), 0)
    book.set_aside(line(120.0), 0)
    assert book.entries[first].state is StemState.QUEUED

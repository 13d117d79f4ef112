"""Risk: a key of the computer plays another note, one that never ends, or harms its terminal."""

from __future__ import annotations

import os
import pty
import sys
import termios
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.keyboard import HOLD_S, KEYS, ComputerKeys, playing
from engine.bench.jackd import wait_until
from engine.layout import NoteKind
from engine.patch import PERFORMER, Input, Output, Patch
from engine.shm import Shared

PATCH = Patch(inputs={"line": Input(stream=PERFORMER)}, outputs={"main": Output((1, 2))})
DEADLINE_S = 20.0
ON, OFF = NoteKind.ON, NoteKind.OFF


def test_thirteen_keys_are_an_octave_and_z_and_x_move_it() -> None:
    keys = ComputerKeys(0)
    played = [keys.typed(character, 0.0) for character in KEYS]
    assert played == [[(ON, 60 + i)] for i in range(13)]
    assert keys.typed("x", 0.0) == []
    assert keys.typed("a", 1.0) == []  # C again, which the last key of the octave below holds
    assert keys.typed("s", 1.0) == [(ON, 74)]
    for _ in range(20):
        keys.typed("z", 1.0)
    assert keys.typed("a", 1.0) == [(ON, 36)]


def test_a_note_lasts_from_the_first_press_to_a_while_after_the_last() -> None:
    keys = ComputerKeys(3)
    assert keys.typed("a", 10.0) == [(ON, 60)]
    assert keys.typed("a", 10.0 + HOLD_S / 2) == []  # the terminal repeats it
    assert keys.due(10.0 + HOLD_S) == []
    assert keys.due(10.0 + 1.5 * HOLD_S) == [(OFF, 60)]
    assert keys.due(20.0) == []
    record = keys.records([(ON, 60), (OFF, 60)], frame=99)
    assert record["frame"].tolist() == [99, 99]
    assert record["voice"].tolist() == [3, 3]
    assert record["velocity"].tolist() == [90, 0]


@given(st.lists(st.tuples(st.characters(max_codepoint=255), st.floats(0.0, 0.6))))
def test_whatever_is_typed_every_note_ends_once(presses: list[tuple[str, float]]) -> None:
    keys, now, notes = ComputerKeys(0), 0.0, []
    for character, after in presses:
        now += after
        notes += keys.due(now)
        notes += keys.typed(character, now)
    notes += keys.due(now + HOLD_S)
    sounding: Counter[int] = Counter()
    for kind, key in notes:
        sounding[key] += 1 if kind is ON else -1
        assert sounding[key] in (0, 1)
        assert 36 <= key <= 108
    assert not any(sounding.values())


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """[the hand's end, the program's end] of a terminal that is standard input."""
    ends = list(pty.openpty())
    with os.fdopen(os.dup(ends[1])) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ends
    for end in ends:
        os.close(end)


def test_what_is_typed_at_a_terminal_arrives_and_the_terminal_is_put_back(
    terminal: list[int],
) -> None:
    shared = Shared.private(PATCH)
    before = termios.tcgetattr(terminal[1])
    got: list[np.ndarray] = []

    def heard() -> list[tuple[int, int]]:
        got.append(shared.ring("computer_notes").pop())
        return [(int(r["kind"]), int(r["key"])) for records in got for r in records]

    with playing(ComputerKeys(0), shared):
        assert termios.tcgetattr(terminal[1]) != before
        os.write(terminal[0], b"\xff\x1b[Ad")
        assert wait_until(lambda: heard() == [(ON, 64), (OFF, 64)], DEADLINE_S)
    assert termios.tcgetattr(terminal[1]) == before


def test_a_terminal_that_is_closed_leaves_no_note_and_ends_nothing(terminal: list[int]) -> None:
    shared = Shared.private(PATCH)
    kinds: list[int] = []

    def ended() -> bool:
        kinds.extend(shared.ring("computer_notes").pop()["kind"].tolist())
        return kinds == [ON, OFF]

    with playing(ComputerKeys(0), shared):
        os.write(terminal[0], b"a")
        assert wait_until(lambda: len(shared.ring("computer_notes")) == 1, DEADLINE_S)
        os.close(terminal[0])
        terminal.pop(0)
        assert wait_until(ended, DEADLINE_S)

"""Risk: a note of the Notochord player hangs, ends twice, or time runs backwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.layout import NOTE, NoteKind
from models.notochord.adapter import NotochordPlayer

RATE = 48000

# (gap in frames since the last record, kind, channel, key, velocity, value)
HEARD = st.tuples(
    st.one_of(st.integers(0, 3000), st.integers(0, 90_000)),
    st.sampled_from([int(k) for k in NoteKind]),
    st.integers(0, 2),
    st.one_of(st.integers(58, 66), st.integers(0, 127)),
    st.one_of(st.just(0), st.integers(1, 127)),
    st.sampled_from([0, 63, 64, 127]),
)
BLOCKS = st.sampled_from([1, 128, 131, 2048, 48_000])
CONFIGS = st.fixed_dictionaries(
    {
        "answer": st.sampled_from(["together", "call_response"]),
        "polyphony": st.integers(1, 4),
        "max_note_s": st.sampled_from([0.1, 0.5, 4.0]),
        "pause_s": st.sampled_from([0.1, 0.5]),
        "linger_s": st.sampled_from([0.5, 4.0]),
        "density": st.floats(0, 1),
        "seed": st.integers(0, 1000),
    },
)


def record(frame: int, kind: int, channel: int, key: int, velocity: int, value: int) -> np.ndarray:
    note = np.zeros(1, NOTE)
    note["frame"], note["kind"], note["channel"] = frame, kind, channel
    note["key"], note["velocity"], note["value"] = key, velocity, value
    return note


class Ledger:
    """Follows what a player returns and fails at the first broken promise."""

    def __init__(self, polyphony: int, max_note: int) -> None:
        self.polyphony, self.max_note = polyphony, max_note
        self.sounding: dict[int, tuple[int, int]] = {}  # key: (id, frame of its on)
        self.ids: set[int] = set()
        self.last = -(2**62)

    def take(self, notes: np.ndarray, t: int, overrun: int) -> None:
        for note in notes:
            frame, key, number = int(note["frame"]), int(note["key"]), int(note["id"])
            assert frame >= t
            assert frame >= self.last, "time runs backwards"
            self.last = frame
            if note["kind"] == NoteKind.ON:
                assert key not in self.sounding, "struck while it sounds"
                assert number not in self.ids, "id used twice"
                assert 1 <= int(note["velocity"]) <= 127
                self.ids.add(number)
                self.sounding[key] = (number, frame)
                assert len(self.sounding) <= self.polyphony
            else:
                assert note["kind"] == NoteKind.OFF
                began, on = self.sounding.pop(key)
                assert began == number, "an off of another note"
                assert frame - on <= self.max_note + overrun


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    config=CONFIGS,
    heard=st.lists(HEARD, max_size=30),
    blocks=st.lists(BLOCKS, min_size=1, max_size=4),
    releases=st.sets(st.integers(0, 40), max_size=2),
)
def test_every_on_gets_one_off_in_order_whatever_is_heard(
    config: dict[str, object],
    heard: list[tuple[int, int, int, int, int, int]],
    blocks: list[int],
    releases: set[int],
) -> None:
    player = NotochordPlayer()
    player.load(None, RATE, config)
    ledger = Ledger(int(str(config["polyphony"])), round(float(str(config["max_note_s"])) * RATE))
    records, frame = [], 0
    for gap, *rest in heard:
        frame += gap
        records.append(record(frame, *rest))
    t = 0
    for k in range(60):
        block = blocks[k % len(blocks)]
        while records and int(records[0]["frame"][0]) < t + block:
            player.feed(records.pop(0))
        ledger.take(player.step(t, block), t, max(blocks))
        t += block
        if k in releases:
            ledger.take(player.release(t), t, max(blocks))
            assert not ledger.sounding
    ledger.take(player.release(t), t, max(blocks))
    assert not ledger.sounding
    assert len(player.release(t)) == 0


def test_steps_that_look_far_ahead_stay_in_order_when_something_earlier_is_heard() -> None:
    player = NotochordPlayer()
    player.load(None, RATE, {"density": 1.0, "seed": 3, "polyphony": 4})
    ledger = Ledger(4, 4 * RATE)
    for k, t in enumerate(range(0, 6 * RATE, 480)):
        if k % 25 == 0:
            player.feed(record(t, NoteKind.ON, 0, 60 + k % 7, 90, 0))
        ledger.take(player.step(t, 9600), t, 9600)
    assert ledger.ids, "no answer at all: nothing was tested"
    ledger.take(player.release(6 * RATE), 6 * RATE, 9600)
    assert not ledger.sounding


def test_a_step_that_comes_much_too_late_skips_ons_but_never_an_off() -> None:
    player = NotochordPlayer()
    player.load(None, RATE, {"density": 1.0, "seed": 5, "linger_s": 60.0})
    ledger = Ledger(2, 4 * RATE)
    player.feed(record(0, NoteKind.ON, 0, 60, 90, 0))
    t = 0
    for _ in range(40):
        ledger.take(player.step(t, 128), t, 6 * RATE)
        t += RATE
    assert player.late > 0
    ledger.take(player.release(t), t, 6 * RATE)
    assert not ledger.sounding


def test_release_before_load_is_silent() -> None:
    assert len(NotochordPlayer().release(0)) == 0


@pytest.mark.parametrize("kind", [NoteKind.CC, NoteKind.BEND, NoteKind.PROGRAM, NoteKind.ALL_OFF])
def test_what_is_not_a_note_starts_no_answer(kind: NoteKind) -> None:
    player = NotochordPlayer()
    player.load(None, RATE, {})
    player.feed(record(0, kind, 0, 60, 90, 100))
    assert all(len(player.step(t, 4800)) == 0 for t in range(0, 5 * RATE, 4800))

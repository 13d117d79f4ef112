"""Risk: a stretched stem has another length, pitch or place than the one it replaces, or comes when
nobody needs it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from conductor_desk import PATCH, RATE, Desk, opened, playing

from engine.layout import CommandKind, ReportKind
from engine.shm import Shared
from engine.stem import StemState
from engine.stem_stretch import FAR, order_of
from engine.stretch import StretchError, Stretching, stretch_loop, stretch_slot
from engine.timeline import Boundary

_S = StemState
LOOP = 4 * 60.0 / 120.0 * RATE  # four beats


def beats() -> np.ndarray:
    audio = np.zeros((2, round(LOOP)), np.float32)
    burst = np.random.default_rng(1).uniform(-0.5, 0.5, 400) * np.exp(-np.arange(400) / 80)
    for i in range(4):
        audio[:, i * 24_000 : i * 24_000 + 400] = burst
    return audio


@pytest.mark.parametrize("factor", [0.6, 0.94, 1.07, 1.9])
def test_a_stretched_loop_has_its_length_and_its_onsets(factor: float) -> None:
    to = LOOP / factor
    out = stretch_loop(beats(), LOOP, to, RATE)
    assert out.shape == (2, round(to))
    assert out.dtype == np.float32
    twice = np.tile(out[0], 2) ** 2  # over the seam, too
    for i in range(1, 8):
        at = round(i * to / 4)
        around = twice[at - 4800 : at + 4800]
        middle = int(np.searchsorted(np.cumsum(around), around.sum() / 2)) - 4800
        assert abs(middle) < 0.005 * RATE
    assert np.array_equal(out, stretch_loop(beats(), LOOP, to, RATE))


def test_a_stretched_tone_keeps_its_pitch_and_has_no_seam() -> None:
    time_s = np.arange(round(LOOP)) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 220.0 * time_s) * np.ones((2, 1))).astype(np.float32)
    out = np.tile(stretch_loop(tone, LOOP, LOOP / 1.06, RATE)[0], 2)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    assert np.argmax(spectrum) * RATE / len(out) == pytest.approx(220.0, abs=0.5)
    assert np.abs(np.diff(out)).max() < 1.5 * 0.3 * 2 * np.pi * 220.0 / RATE


@pytest.mark.parametrize(
    ("audio", "to"),
    [
        (beats(), LOOP * 2.1),
        (beats(), LOOP * 0.4),
        (beats(), 0.0),
        (beats() * np.nan, LOOP * 1.05),
        (np.zeros((2, 0), np.float32), LOOP),
    ],
)
def test_what_cannot_be_stretched_is_said(audio: np.ndarray, to: float) -> None:
    with pytest.raises(StretchError):
        stretch_loop(audio, LOOP, to, RATE)


def order(into: int, **fields: float) -> dict[str, float]:
    frames = round(LOOP)
    return {"from": 1, "frames": frames, "loop": LOOP, "into": into, "to": LOOP / 1.1, **fields}


def test_a_slot_is_stretched_into_another_by_a_process_as_by_ourselves(tmp_path: Path) -> None:
    shared = Shared.create(tmp_path / "shared", PATCH)
    try:
        base, frames = 2 * shared.slot_frames, round(LOOP)
        shared.arena[base : base + 2 * frames] = beats().reshape(-1)
        assert shared.folder is not None
        process = Stretching(shared.folder, os.getpid(), order(2))
        end = time.monotonic() + 30
        while (said := process.answer()) is None and time.monotonic() < end:
            os.sched_yield()
        assert said == stretch_slot(shared, order(3))
        assert said["event"] == "ready"
        count = 2 * int(said["frames"])
        mine, its = (shared.arena[2 * n * shared.slot_frames :][:count] for n in (3, 2))
        assert np.abs(mine).max() > 0.1
        assert np.array_equal(mine, its)
    finally:
        shared.remove()


@pytest.mark.parametrize("bad", [{"frames": 0}, {"frames": 10**9}, {"to": 1e9}, {"to": 10.0}])
def test_an_order_that_does_not_fit_fails(bad: dict[str, float]) -> None:
    shared = Shared.private(PATCH)
    assert stretch_slot(shared, order(2, **bad))["event"] == "failed"


# ---- when


def at_tempo(desk: Desk, bpm: float) -> None:
    assert desk.conductor.clock is not None
    desk.conductor.clock.set_bpm(bpm)


def stretched(desk: Desk) -> list[int]:
    return [e.id for e in desk.conductor.book.entries.values() if e.stretch_of]


def far(bpm: float = 128.0) -> tuple[Desk, int, int]:
    """Drums play, and the tempo has gone far from theirs: (desk, their id, the stretched one's)."""
    desk = opened()
    old = playing(desk, "drums")
    at_tempo(desk, bpm)
    desk.run(0.1)
    (new,) = stretched(desk)
    return desk, old, new


def heard(desk: Desk, id_: int) -> np.void:
    """Go on until a stem plays, and the audio process has said so."""
    while not (plays := [p for p in desk.plays() if int(p["id"]) == id_]):
        desk.run(0.05)
    desk.now = max(desk.now, int(plays[0]["frame"]))
    desk.started(plays[0])
    return plays[0]


def finish(desk: Desk, id_: int) -> None:
    """The pool has stretched it."""
    book = desk.conductor.book
    said = order_of(book, book.entries[id_])
    assert said is not None
    event = {"job": id_, "event": "ready", "frames": round(said["to"]), "loop": said["to"]}
    book.pool_event({**event, "provenance": {"maker": "stretch"}}, desk.now)


@pytest.mark.parametrize("bpm", [120.0 * (1 + 0.9 * FAR), 120.0 * (1 - 0.9 * FAR)])
def test_near_its_tempo_nothing_is_stretched(bpm: float) -> None:
    desk = opened()
    playing(desk, "drums")
    at_tempo(desk, bpm)
    desk.run(20)
    assert not stretched(desk)


def test_far_from_its_tempo_a_stem_is_stretched_once_and_replaced_at_a_phrase() -> None:
    desk, old, new = far()
    desk.run(3)
    assert stretched(desk) == [new]
    book = desk.conductor.book
    before = book.entries[old].variation
    finish(desk, new)
    play = heard(desk, new)
    line = desk.conductor.line
    assert line is not None
    frame = int(play["frame"])
    assert abs(line.next_boundary(frame - 2, Boundary.PHRASE) - frame) <= 1
    assert float(play["y"]) == pytest.approx(book.entries[old].loop * 120.0 / 128.0)
    assert float(play["z"]) == pytest.approx(RATE * 60.0 / 128.0)
    stop = [c for c in desk.sent if c["kind"] == CommandKind.STEM_STOP][-1]
    assert (int(stop["frame"]), int(stop["slot"])) == (frame, book.entries[old].voice)
    assert (book.entries[new].variation, book.entries[old].variation) == (before, 0)


def test_a_loop_that_never_begins_with_a_phrase_is_replaced_where_it_begins() -> None:
    """Two bars, entered at the second bar of a phrase of two."""
    desk = opened()
    desk.act("enter", "fx")
    old = playing(desk, "fx")
    book = desk.conductor.book
    began = book.entries[old].began = 5.0
    book.entries[old].beats = 8.0
    at_tempo(desk, 128.0)
    desk.run(0.1)
    (new,) = stretched(desk)
    finish(desk, new)
    play = heard(desk, new)
    assert (float(play["w"]) - began) % 8.0 == 0.0


def test_a_stretched_stem_is_stretched_anew_from_the_first() -> None:
    desk, old, new = far()
    finish(desk, new)
    heard(desk, new)
    old_voice = desk.conductor.book.entries[old].voice
    desk.say(ReportKind.STEM_ENDED, id=old, slot=old_voice, frame=desk.now)
    at_tempo(desk, 136.0)
    desk.run(0.2)
    book = desk.conductor.book
    (again,) = (e for e in book.entries.values() if e.stretch_of and e.id != new)
    made = order_of(book, again)
    assert made is not None
    assert again.stretch_of == old
    assert made["from"] == book.entries[old].slot
    assert made["to"] == pytest.approx(book.entries[old].loop * 120.0 / 136.0)


def test_a_tempo_that_comes_back_needs_no_stretched_stem() -> None:
    desk, old, new = far()
    at_tempo(desk, 120.0)
    desk.run(0.1)
    finish(desk, new)
    desk.run(10)
    assert not stretched(desk)
    assert desk.conductor.book.entries[old].state is _S.PLAYING
    assert [int(p["id"]) for p in desk.plays()] == [old]


def test_what_cannot_be_stretched_is_tried_again_with_patience() -> None:
    desk, _, new = far()
    book = desk.conductor.book
    book.pool_event({"job": new, "event": "failed", "reason": "no"}, desk.now)
    desk.run(10)
    assert stretched(desk) == [new]
    desk.run(15)
    assert len(stretched(desk)) == 2


def test_a_stem_that_was_stopped_meanwhile_is_not_replaced() -> None:
    desk, _, new = far()
    desk.act("stop_role", "drums")
    desk.run(0.1)
    finish(desk, new)
    desk.run(5)
    assert not stretched(desk)

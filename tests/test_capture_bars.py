"""Risk: what was captured is not the bars that were played, clicks where it loops, lies over
another stem in the arena, or is asked for and forgotten."""

from __future__ import annotations

import dataclasses
import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.arena import Arena
from engine.ask import Ask
from engine.capture import SEAM_FRAMES, capture_frames, captured
from engine.capture_host import CaptureHost
from engine.channel_map import plain_map
from engine.conductor import Conductor
from engine.layout import CommandKind
from engine.patch import Capture, Clock, Input, Output, Patch, Player, Role, Voice
from engine.performance import LivePerformance
from engine.shm import Shared
from engine.stem import StemState

RATE, BLOCK = 8000, 100
PATCH = Patch(
    inputs={"horn": Input(channel=1), "voice": Input(channel=2)},
    voices={"answer": Voice(), "thru": Voice()},
    players={
        "echo": Player(model="notochord", listens="keys", voice="answer"),
        "mist": Player(model="rave", listens="horn", to={"main": 0.0}),
    },
    roles={
        "loops": Role(maker="capture", bars=2, enter="bar", to={"main": 0.0}),
        "bass": Role(enter="bar", bars=1, ahead=1),
    },
    capture=Capture(kept=2, bars=4),
    outputs={"main": Output((1, 2), limit=False)},
    clock=Clock(bpm=120.0, beats_per_bar=4, bars_per_phrase=2),
)
PATCH = dataclasses.replace(PATCH, audio=dataclasses.replace(PATCH.audio, rate=RATE))


class Stage:
    """The real forward, the real capture process' host, and a conductor; no process, no clock."""

    def __init__(self, folder: Path) -> None:
        self.shared = Shared.create(folder, PATCH)
        self.engine = LivePerformance(PATCH, self.shared, plain_map(PATCH), RATE, None)
        places = self.shared.places
        self.conductor = Conductor(
            PATCH,
            places.slots,
            places.slot_frames,
            captures=places.captures,
            capture_frames=places.capture_frames,
        )
        self.host = CaptureHost(self.shared, RATE)
        self.link = socket.socket(socket.AF_UNIX)
        self.link.connect(str(folder / "capture.sock"))
        self.host.turn()
        assert json.loads(self.link.recv(4096)) == {"jobs": []}
        self.t = 1000
        self.played = np.zeros((2, 0), np.float32)
        self.start = self.t

    def run(self, seconds: float, horn: np.ndarray | None = None) -> None:
        rng = np.random.default_rng(self.t)
        for _ in range(round(seconds * RATE / BLOCK)):
            block = rng.uniform(-0.5, 0.5, (BLOCK, 2)).astype(np.float32)
            self.engine.hear(block, BLOCK)
            self.engine.forward(self.t)
            self.played = np.concatenate([self.played, block.T], axis=1)
            self.t += BLOCK
            self.tick()

    def tick(self) -> None:
        conductor = self.conductor
        for report in self.shared.ring("reports").pop(512):
            conductor.report(report)
        conductor.begin(self.t, RATE)
        conductor.advance(self.t)
        for command in conductor.commands:
            self.shared.ring("commands").push(command)
        conductor.commands.clear()
        for message in conductor.book.captures_asked:
            self.link.sendall(json.dumps(message).encode() + b"\n")
            self.host.turn()  # it waits until it has heard what is asked for
        conductor.book.captures_asked.clear()
        if self.t % 800 == 0:
            self.host.turn()
        self.link.setblocking(False)
        try:
            for line in self.link.recv(65536).splitlines():
                conductor.book.pool_event(json.loads(line), self.t)
        except BlockingIOError:
            pass

    def capture(self, **how: object) -> str:
        ask = Ask(self.t, **how)  # type: ignore[arg-type]
        return self.conductor.act("capture", self.t, ask=ask)

    def heard(self, frame: int, frames: int, channel: int = 0) -> np.ndarray:
        at = frame - self.start
        return self.played[channel, at : at + frames]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "performance")
    made.tick()
    made.conductor.act("this_is_one", made.t)
    made.conductor.act("let_in", made.t)
    yield made
    made.host.close()
    made.link.close()


@pytest.mark.parametrize("bars", [1, 2, 4])
def test_the_last_bars_are_cut_on_the_grid_to_the_frame(stage: Stage, bars: int) -> None:
    stage.run(9.3)
    line = stage.conductor.line
    assert line is not None
    assert stage.capture(source="voice", bars=bars) == f"capturing {bars} bars of input.voice"
    stage.run(0.2)
    entry = next(e for e in stage.conductor.book.entries.values() if e.source)
    bar = 4 * line.frames_per_beat
    first = int(entry.provenance["first_frame"])
    assert line.beat_at(first) % 4 == pytest.approx(0.0, abs=1e-3)
    assert stage.t - bar - 0.3 * RATE < first + bars * bar <= stage.t
    assert (entry.frames, entry.loop) == (round(bars * bar), pytest.approx(bars * bar))
    base = stage.shared.places.base(entry.slot)
    audio = stage.shared.arena[base : base + 2 * entry.frames].reshape(2, -1)
    assert np.array_equal(audio[0], audio[1])
    whole = entry.frames - SEAM_FRAMES
    assert np.array_equal(audio[0, :whole], stage.heard(first, entry.frames, 1)[:whole])


def test_it_is_at_once_in_the_queue_and_is_heard_as_it_was_played(stage: Stage) -> None:
    stage.run(5.1)
    stage.capture(bars=1, role="loops", source="horn")
    stage.run(0.2)
    entry = next(e for e in stage.conductor.book.entries.values() if e.source)
    assert entry.state is StemState.QUEUED
    first, start = int(entry.provenance["first_frame"]), None
    stems = stage.engine.mixer.index["stems.loops"]
    for _ in range(200):
        stage.run(BLOCK / RATE)
        if entry.state is StemState.PLAYING:
            start = entry.start_frame
            break
    assert start is not None
    before = max(0, start - (stage.t - BLOCK))  # frames of this block before it began
    got = stage.engine.mixer.sources[stems, 0, before:BLOCK]
    at = first + stage.t - BLOCK + before - start
    entered = max(0, first + 64 - at)  # it enters without a step
    assert entered < len(got)
    assert np.array_equal(got[entered:], stage.heard(at, BLOCK - before)[entered:])


def calm(stage: Stage, how: str) -> None:
    """Where nothing generated may be heard, or back from it."""
    if how == "standby":
        stage.conductor.act("standby", stage.t)
    elif how == "dry":
        stage.conductor.act("dry", stage.t)
    else:
        stage.conductor.act("let_in", stage.t)
    stage.run(0.1)


@pytest.mark.parametrize("how", ["standby", "dry", "kept out"])
def test_what_is_captured_where_nothing_may_sound_enters_by_a_hand_only(
    stage: Stage, how: str
) -> None:
    conductor = stage.conductor
    stage.run(5.1)
    stage.capture(bars=1, role="loops")  # its role is wanted, and plays
    conductor.act("enter", stage.t, "loops")
    stage.run(3.0)
    assert conductor.book.playing("loops") is not None
    conductor.act("stop_role", stage.t, "loops")
    conductor.wanted.add("loops")
    stage.run(2.5)
    calm(stage, how)
    assert stage.capture(bars=1, role="loops").endswith("it waits for a hand")
    stage.run(0.5)
    entry = max(conductor.book.entries.values(), key=lambda e: (bool(e.source), e.id))
    assert entry.state is StemState.READY
    calm(stage, how)
    if how == "kept out":
        conductor.wanted.add("loops")
    stage.run(6.0)
    assert entry.state is StemState.READY
    assert not any(e["event"] == "stem_started" and e["id"] == entry.id for e in conductor.news)
    assert conductor.act("queue_stem", stage.t, stem=entry.id) == "queued"
    stage.run(3.0)
    assert entry.state is StemState.PLAYING


def test_what_is_held_may_enter_once_a_hand_asks_for_its_role(stage: Stage) -> None:
    stage.run(5.1)
    calm(stage, "standby")
    stage.capture(bars=1, role="loops")
    stage.run(0.5)
    calm(stage, "standby")
    stage.conductor.act("next", stage.t)  # of what plays, which this does not
    stage.conductor.wanted.add("loops")
    stage.run(3.0)
    assert stage.conductor.book.playing("loops") is None
    stage.conductor.act("enter", stage.t, "loops")
    stage.run(3.0)
    assert stage.conductor.book.playing("loops") is not None


def test_captures_and_made_stems_never_share_a_slot(stage: Stage) -> None:
    stage.run(5.1)
    for _ in range(7):
        stage.capture(bars=1)
        stage.run(0.3)
    book, places = stage.conductor.book, stage.shared.places
    spans = sorted(
        (places.base(e.slot), places.base(e.slot) + 2 * places.room(e.slot))
        for e in book.entries.values()
        if e.slot >= 0
    )
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert spans[-1][1] <= stage.shared.arena.size
    assert 0 < sum(1 for e in book.entries.values() if e.source and e.slot >= 0) <= 2


def test_silence_and_what_was_too_long_ago_fail_with_a_reason(stage: Stage) -> None:
    stage.run(2.1)
    assert stage.capture(bars=4).startswith("capturing")
    assert stage.capture(source="texture.mist", bars=1).startswith("capturing")
    stage.run(0.2)
    failed = [e for e in stage.conductor.book.entries.values() if e.state is StemState.FAILED]
    assert sorted(e.reason.partition(":")[0] for e in failed) == ["input.horn", "texture.mist"]
    assert {e.reason.split(": ")[1] for e in failed} == {"not remembered", "silent"}


def test_what_cannot_be_captured_is_said(stage: Stage) -> None:
    assert stage.capture(source="stems.bass").startswith("source 'stems.bass', expected one of")
    assert stage.capture(bars=8) == "8 bars, at most 4 are remembered (capture.bars)"
    bare = Conductor(dataclasses.replace(PATCH, capture=Capture()), 8, 1 << 16)
    bare.begin(0, RATE)
    bare.advance(100)
    assert bare.act("capture", 200).startswith("nothing is remembered")


# ---- the arena


def test_sources_are_inputs_answers_and_textures() -> None:
    assert captured(PATCH) == ["input.horn", "input.voice", "voice.answer", "texture.mist"]
    assert captured(dataclasses.replace(PATCH, capture=Capture())) == []
    assert capture_frames(PATCH) >= 4 * 4 * 0.5 * RATE


@given(st.integers(0, 20), st.integers(1, 9), st.integers(0, 8), st.integers(1, 30))
def test_slots_lie_side_by_side(slots: int, frames: int, captures: int, more: int) -> None:
    arena = Arena(slots, frames, captures, more)
    at = 0
    for slot in range(slots + captures):
        assert arena.base(slot) == at
        at += 2 * arena.room(slot)
    assert at == arena.floats


def test_a_stem_of_a_capture_is_played_from_its_own_slot(stage: Stage) -> None:
    stage.run(3.1)
    stage.capture(bars=1)
    stage.run(0.1)
    entry = next(e for e in stage.conductor.book.entries.values() if e.source)
    stage.conductor.commands.clear()
    sent: list[np.ndarray] = []
    for _ in range(200):
        stage.t += BLOCK
        stage.conductor.advance(stage.t)
        sent += stage.conductor.commands
        stage.conductor.commands.clear()
    play = next(c[0] for c in sent if c["kind"][0] == CommandKind.STEM_PLAY and c["id"] == entry.id)
    assert int(play["a"]) == stage.shared.places.base(entry.slot)

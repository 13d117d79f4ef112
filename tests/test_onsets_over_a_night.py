"""Risk: one stem follows a moving tempo, but those of a whole performance, which rotate, are
stretched and change with scenes and songs, come beside the beat."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.ask import Ask
from engine.channel_map import plain_map
from engine.conductor import Conductor
from engine.layout import ReportKind
from engine.patch import Clock, Output, Patch, Role
from engine.performance import LivePerformance
from engine.shm import Shared
from engine.song import Scene, ScenePart, Song
from engine.stem import StemRequest
from engine.stem_entry import StemEntry
from engine.stem_stretch import order_of
from engine.stretch import stretch_loop
from engine.timeline import Timeline

pytestmark = pytest.mark.slow

RATE, BLOCK, TICK = 48000, 128, 256
SWING, SWING_S = 0.03, 12.0  # the drummer's, around the song's tempo
SECONDS, SONG_AT, SCENES_AT = 130, 68, (24, 44, 104)
PER_BEAT = {"drums": 2, "bass": 1}
P95_MS, LOST = 25.0, 0.02
THRESHOLD = 0.25  # half the peak of a burst
PATCH = Patch(
    armed=True,
    clock=Clock(bpm=120.0, bars_per_phrase=2),
    roles={
        "drums": Role(bars=2, to={"main": 0.0}),
        "bass": Role(bars=2, to={"monitor1": 0.0}, enter="bar"),
    },
    outputs={"main": Output((1,), limit=False), "monitor1": Output((2,), limit=False)},
    songs={
        "one": Song(
            scenes={
                "all": Scene(),
                "bass": Scene(stems={"drums": ScenePart(play=False)}),
                "more": Scene(stems={"drums": ScenePart(density=0.9), "bass": ScenePart()}),
            }
        ),
        "two": Song(
            bpm=92.0,
            beats_per_bar=3,
            count_in=1,
            scenes={"all": Scene(), "more": Scene(stems={"bass": ScenePart(density=0.9)})},
        ),
    },
)


def bursts(request: StemRequest, per_beat: int) -> tuple[np.ndarray, float]:
    """float32 (2, frames) and the exact length: a burst of noise on every step."""
    rng = np.random.default_rng(request.seed)
    exact = request.beats * 60.0 / request.bpm * RATE
    stem = np.zeros((2, math.ceil(exact)), np.float32)
    size = round(0.03 * RATE)
    shape = np.exp(-np.arange(size) / (size / 5))
    steps = round(request.beats * per_beat)
    for i in range(steps):
        at = round(i * exact / steps)
        stem[:, at : at + size] += (rng.choice([-1.0, 1.0], size) * shape * 0.5).astype(np.float32)
    return stem, exact


class Night:
    """Conductor and engine by hand; the pool is quick, the tempo swings. lines: (frame from which
    each held, the line); spans: by role, [first, last) of what was heard of its stems."""

    def __init__(self) -> None:
        self.shared = Shared.private(PATCH)
        self.engine = LivePerformance(PATCH, self.shared, plain_map(PATCH), RATE, None)
        self.conductor = Conductor(PATCH, self.shared.slots, self.shared.slot_frames)
        self.out = np.zeros((2, SECONDS * RATE), np.float32)
        self.lines: list[tuple[int, Timeline]] = []
        self.spans: dict[str, list[list[int]]] = {"drums": [], "bass": []}
        self.stretched = self.made = 0
        self._open: dict[int, list[int]] = {}

    def run(self) -> None:
        hands = sorted([(s, "next_scene") for s in SCENES_AT] + [(SONG_AT, "next_song")])
        for t in range(0, self.out.shape[1] - BLOCK + 1, BLOCK):
            if t % TICK == 0:
                while hands and hands[0][0] * RATE <= t:
                    self.conductor.act(hands.pop(0)[1], t, ask=Ask(t))
                self._tick(t)
            self.engine.hear(None, BLOCK)
            self.out[:, t : t + BLOCK] = self.engine.forward(t).out.T

    def _tick(self, t: int) -> None:
        c = self.conductor
        for report in self.shared.ring("reports").pop(512):
            self._note(report)
            c.report(report)
        c.begin(t, RATE)
        assert c.clock is not None
        if not c.programme.busy:
            swing = SWING * math.sin(2.0 * math.pi * t / RATE / SWING_S)
            c.clock.set_bpm(c.programme.playing.bpm * (1.0 + swing))
        coming = c.programme.coming
        c.advance(t)
        self.lines += [(t if coming is None else coming.frame, line) for line in c.lines()]
        for entry, request in c.book.requests:
            self._make(entry, request, t)
        c.book.requests.clear()
        for command in c.commands:
            self.shared.ring("commands").push(command)
        c.commands.clear()

    def _make(self, entry: StemEntry, request: StemRequest, t: int) -> None:
        order = order_of(self.conductor.book, entry) if entry.stretch_of else None
        if order is None:
            audio, exact = bursts(request, PER_BEAT[entry.role])
            self.made += 1
        else:
            n, exact = int(order["frames"]), float(order["to"])
            audio = stretch_loop(self._place(int(order["from"]), n), order["loop"], exact, RATE)
            self.stretched += 1
        self._place(entry.slot, audio.shape[1])[:] = audio
        event = {"job": entry.id, "event": "ready", "frames": audio.shape[1], "loop": exact}
        self.conductor.book.pool_event(event, t)

    def _place(self, slot: int, frames: int) -> np.ndarray:
        base = slot * self.shared.slot_frames * 2
        return self.shared.arena[base : base + 2 * frames].reshape(2, frames)

    def _note(self, report: np.void) -> None:
        entry, frame = self.conductor.book.entries.get(int(report["id"])), int(report["frame"])
        if report["kind"] == ReportKind.STEM_STARTED and entry is not None:
            self._open[entry.id] = span = [frame, 1 << 60]
            self.spans[entry.role].append(span)
        elif report["kind"] == ReportKind.STEM_ENDED and int(report["id"]) in self._open:
            self._open.pop(int(report["id"]))[1] = frame

    def beats(self, step: float) -> list[float]:
        """Frames (fractional) of every step of the timeline, as it moved."""
        found = []
        for (since, line), (until, _) in zip(
            self.lines, [*self.lines[1:], (self.out.shape[1], None)], strict=True
        ):
            first = math.ceil(line.beat_at(since) / step - 1e-6)
            for k in range(first, math.ceil(line.beat_at(until) / step - 1e-6)):
                found.append(line.frame + (k * step - line.beat) * line.frames_per_beat)
        return found


@pytest.fixture(scope="module")
def night() -> Night:
    night = Night()
    night.run()
    return night


@pytest.mark.parametrize(("role", "row"), [("drums", 0), ("bass", 1)])
def test_onsets_lie_on_the_moving_beat_all_night(night: Night, role: str, row: int) -> None:
    level = np.abs(night.out[row])
    reach = round(0.15 * RATE)
    away, lost = [], 0
    for wanted in night.beats(1.0 / PER_BEAT[role]):
        at = round(wanted)
        if not any(a - 2 <= at and at + RATE // 20 < b for a, b in night.spans[role]):
            continue
        if at + reach > len(level):
            continue
        heard = np.flatnonzero(level[max(0, at - reach) : at + reach] > THRESHOLD)
        if len(heard):
            nearest = heard[0] + max(0, at - reach) - wanted
            away.append(abs(nearest) / RATE * 1000.0)
        else:
            lost += 1
    assert len(away) > 80
    assert np.percentile(away, 95) < P95_MS
    assert lost <= LOST * len(away)


def test_it_was_a_whole_performance(night: Night) -> None:
    """Stems rotated, were replaced by stretched ones, and another song came."""
    assert len(night.spans["drums"]) > 5
    assert night.stretched
    assert night.conductor.programme.playing.name == "two"

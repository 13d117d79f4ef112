"""Risk: a stem played as MIDI misses its beat, loses or doubles a note, or leaves one sounding when
it stops, when a fill covers it, at panic, or when the conductor dies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from engine_stage import Stage

from engine.conductor import Conductor
from engine.layout import ReportKind, SafeKind
from engine.mixer import is_generated
from engine.patch import Clock, Output, Patch, Role, Voice
from engine.shm import Shared
from engine.song import Song
from engine.stem import StemNote, StemState
from engine.stem_notes import HELD, LOOK_AHEAD_S, StemNotes, store, stored
from engine.timeline import Timeline

RATE, TICK = 48000, 256
BEATS = 4
PATCH = Patch(
    clock=Clock(bpm=120.0, bars_per_phrase=2),
    voices={"other": Voice(), "synth": Voice(to={"main": 0.0})},
    roles={
        "bass": Role(bars=1, enter="bar", ahead=1, voice="synth", choke="x"),
        "fill": Role(bars=1, enter="bar", ahead=1, voice="synth", play="fill", choke="x"),
    },
    outputs={"main": Output((1, 2))},
)
# A key struck again the moment it ends, one that lasts, one just before the loop's end.
NOTES = [
    StemNote(0.0, 0.5, 40, 100),
    StemNote(0.5, 0.5, 40, 90),
    StemNote(1.25, 2.0, 43, 80),
    StemNote(3.9, 0.1, 45, 70),
]


class Night:
    """Conductor, notes and the audio process in turn; the tempo is what `bpm` says at a frame."""

    def __init__(self, patch: Patch = PATCH) -> None:
        self.stage = Stage(patch, start=0)
        self.shared = self.stage.shared
        self.conductor = Conductor(patch, self.shared.slots, self.shared.slot_frames)
        self.notes = StemNotes(self.shared)
        self.conductor.let_in = self.conductor.scripted = True
        self.lines: list[Timeline] = []
        self.events: list[tuple[int, str, int]] = []  # frame, on or off, key
        self.reports: list[dict[str, int]] = []
        self.alive = True

    def run(self, frames: int, bpm: float | None = None) -> None:
        end = self.stage.t + frames
        while self.stage.t < end:
            if self.alive:
                self._tick(bpm)
            self.stage.play(TICK)
            self._hear()

    def _hear(self) -> None:
        for r in self.stage.reports():
            self.reports.append(r)
            if r["kind"] in (ReportKind.NOTE_ON, ReportKind.NOTE_OFF):
                assert r["slot"] == 1
                name = "on" if r["kind"] == ReportKind.NOTE_ON else "off"
                self.events.append((r["frame"], name, r["a"]))

    def _tick(self, bpm: float | None) -> None:
        c, now = self.conductor, self.stage.t
        for r in self.reports:
            record = np.zeros(1, self.shared.ring("reports").dtype)
            for key, value in r.items():
                record[key] = value
            c.report(record[0])
        self.reports.clear()
        c.begin(now, RATE)
        assert c.clock is not None
        if bpm is not None and c.line is not None:
            c.clock.external(now, c.line.beat_at(now), bpm)
        c.advance(now)
        for entry, request in c.book.requests:
            loop = request.beats * 60.0 / request.bpm * RATE
            store(self.shared, entry.slot, round(loop), NOTES)
            ready = {"job": entry.id, "event": "ready", "frames": round(loop), "loop": loop}
            c.book.pool_event({**ready, "midi": True}, now)
        c.book.requests.clear()
        for command in c.commands:
            self.shared.ring("commands").push(command)
        c.commands.clear()
        self.lines += c.lines()
        self.notes.turn(c.book, c.line, now, c.programme.coming)

    def enter(self, role: str = "bass") -> None:
        self.conductor.wanted.add(role)

    def ons(self, key: int) -> list[int]:
        return [f for f, what, k in self.events if what == "on" and k == key]

    def sounding(self) -> int:
        return int((self.stage.engine.state["notes"] > 0).sum())

    def frame_of(self, beat: float) -> float:
        line = [x for x in self.lines if x.beat <= beat][-1]
        return line.frame + (beat - line.beat) * line.frames_per_beat


def playing() -> Night:
    night = Night()
    night.run(2 * TICK)
    night.enter()
    night.run(round(0.95 * RATE * 2))
    return night


def test_notes_are_kept_in_a_slot_as_they_are() -> None:
    shared = Shared.private(PATCH)
    store(shared, 1, 50_000, NOTES[::-1])
    found = stored(shared, 1, 50_000)
    assert found == pytest.approx(
        np.array([(n.start, n.duration, n.key, n.velocity) for n in NOTES]), abs=1e-6
    )
    store(shared, 1, 5, NOTES)
    assert len(stored(shared, 1, 5)) == 2


def test_every_note_is_on_its_beat_at_a_constant_tempo() -> None:
    night = playing()
    night.run(8 * RATE)
    per_beat = 24_000
    first = night.ons(40)[0]
    assert first % (BEATS * per_beat) == 0
    expected = [first + round((4 * k + b) * per_beat) for k in range(4) for b in (0.0, 0.5)]
    assert night.ons(40)[:8] == expected
    assert night.ons(43)[:4] == [first + round((4 * k + 1.25) * per_beat) for k in range(4)]


def test_every_note_follows_a_moving_tempo_and_none_is_lost_or_doubled() -> None:
    night = playing()
    while night.stage.t < 20 * RATE:
        night.run(TICK, 120.0 * (1 + 0.06 * np.sin(night.stage.t / 90_000)))
    heard = night.ons(40)[1:]  # the first one's frame was told before the tempo moved
    wanted = [night.frame_of(BEATS * (1 + i // 2) + 0.5 * (i % 2)) for i in range(1, 20)]
    assert len(heard) >= 14
    late = np.array(heard) - wanted[: len(heard)]
    assert np.abs(late).max() <= 0.06 * LOOK_AHEAD_S * RATE + 2
    kinds = [what for _, what, key in night.events if key == 40]
    assert kinds == ["on", "off"] * (len(kinds) // 2) + ["on"] * (len(kinds) % 2)


def test_a_fill_is_heard_in_place_of_the_loop_and_once() -> None:
    """Both have the same notes, so a bar with a note twice would be one that both play."""
    night = playing()
    night.run(RATE)
    assert night.conductor.line is not None
    assert night.conductor.book.enter("fill", night.conductor.line, night.stage.t)
    night.run(8 * RATE)
    heard = night.ons(43)
    assert np.diff(heard).tolist() == [BEATS * 24_000] * (len(heard) - 1)
    turns = [e for e in night.conductor.book.entries.values() if e.role == "fill" and e.began]
    assert turns


@pytest.mark.parametrize("how", ["stop", "panic", "death"])
def test_nothing_hangs(how: str) -> None:
    night = playing()
    while not (night.sounding() and night.events[-1][1:] == ("on", 43)):
        night.run(TICK)
    if how == "stop":
        assert night.conductor.act("stop_role", night.stage.t, "bass")
    elif how == "panic":
        night.stage.safe(SafeKind.PANIC)
    else:
        night.alive = False
    night.run(3 * RATE)
    assert night.sounding() == 0
    count = len(night.events)
    night.run(3 * RATE)
    assert len(night.events) == count
    if how == "stop":
        (entry,) = night.conductor.book.of("bass", StemState.DONE)
        assert entry.voice == -1


def test_a_conductor_that_comes_back_goes_on_without_doubling() -> None:
    night = playing()
    night.run(RATE)
    saved = night.conductor.to_dict()
    night.alive = False
    night.run(RATE)
    night.alive = True
    night.conductor = Conductor(PATCH, night.shared.slots, night.shared.slot_frames)
    night.conductor.restore(saved)
    night.notes = StemNotes(night.shared)
    night.conductor.reconcile(night.stage.engine.state[0]["stems"], night.stage.t)
    back = night.stage.t
    night.run(6 * RATE)
    heard = [f for f in night.ons(40) if f > back]
    assert len(heard) >= 4
    assert all((f - night.ons(40)[0]) % 12_000 == 0 for f in heard)
    assert len(set(heard)) == len(heard)


SONGS = {
    "quick": Song(bpm=171.0),
    "odd": Song(bpm=144.0, beats_per_bar=3, bars_per_phrase=5),
}


@pytest.mark.parametrize("song", SONGS)
def test_a_stem_that_enters_with_a_song_lies_on_its_beats_from_the_first_note_on(
    song: str,
) -> None:
    night = Night(
        dataclasses.replace(
            PATCH,
            armed=True,
            roles={"bass": PATCH.roles["bass"]},
            songs={"slow": Song(bpm=91.7), song: SONGS[song]},
        )
    )
    night.conductor.scripted = False
    night.run(6 * RATE)
    night.conductor.act("next_song", night.stage.t)
    night.run(8 * RATE)
    line = night.lines[-1]
    assert line.bpm == SONGS[song].bpm
    one, bar = round(line.beat), line.beats_per_bar
    first = line.frame_at(one)
    for key, beats in ((40, [0.0, 0.5]), (43, [1.25])):
        heard = [f for f in night.ons(key) if f >= first]
        turns = range(len(heard) // len(beats))
        wanted = [line.frame_at(one + k * bar + b) for k in turns for b in beats]
        assert len(heard) >= 2 * len(beats)
        assert heard[: len(wanted)] == wanted
    first_off = next(f for f, what, k in night.events if f > first and (what, k) == ("off", 40))
    assert first_off == line.frame_at(one + HELD * NOTES[0].duration)


def test_a_voice_that_plays_stems_is_silenced_by_dry() -> None:
    assert is_generated(PATCH, "voice.synth")
    assert not is_generated(PATCH, "voice.other")

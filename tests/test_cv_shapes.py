"""Risk: a pulse, an envelope or an LFO is not where musical time says, or depends on blocks."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import RATE, Stage

from engine.layout import CommandKind, NoteKind, SafeKind
from engine.patch import Cv, Input, MidiIn, Output, Patch, Role, Voice
from engine.timeline import Boundary, Timeline

SHAPES = ("sine", "triangle", "rise", "fall", "square", "random", "smooth")
ADSR = {"attack_ms": 3.0, "decay_ms": 8.0, "sustain": 0.5, "release_ms": 20.0}


def patch_of(**cv: Cv) -> Patch:
    numbered = {name: Cv(**{**vars(c), "channel": 3 + i}) for i, (name, c) in enumerate(cv.items())}
    return Patch(
        inputs={"mic": Input(channel=1, to={"main": 0.0})},
        midi={"keys": MidiIn(voice="lead")},
        voices={"lead": Voice()},
        roles={"bass": Role(to={"main": 0.0})},
        outputs={"main": Output((1, 2))},
        cv=numbered,
    )


EVERYTHING = patch_of(
    pitch=Cv(source="lead"),
    gate=Cv(source="lead", kind="gate"),
    trigger=Cv(source="lead", kind="trigger"),
    envelope=Cv(source="lead", kind="envelope", **ADSR),
    stems=Cv(source="stems.bass", kind="gate"),
    clock=Cv(kind="clock"),
    four=Cv(kind="clock", ppqn=4),
    reset=Cv(kind="reset", every="bar"),
    run=Cv(kind="run"),
    level=Cv(source="input.mic", kind="level"),
    free=Cv(kind="lfo", hz=3.7, volts=2.0, centre_volts=1.0),
    **{f"synced-{s}": Cv(kind="lfo", shape=s, beats=0.0625, seed=3) for s in SHAPES[2:]},
)


class Volts(Stage):
    """What leaves each voltage, in volts."""

    def volts(self, frames: int) -> dict[str, np.ndarray]:
        audio = np.zeros((frames, 1), np.float32)
        audio[::3, 0] = 0.5
        out = self.play(audio)
        return {name: 10.0 * out[:, c.channel - 1] for name, c in self.patch.cv.items()}

    def timeline(self, beat: float = 0.0, bpm: float = 120.0, bars: int = 2) -> Timeline:
        """In force from the next block on: `beat` is now."""
        self.command(CommandKind.TIMELINE, frame=self.t, x=beat, y=bpm, a=4, b=bars, z=1.0)
        return Timeline(self.t, beat, bpm, self.rate, 4, bars)

    def strike(self, key: int, after: int, lasting: int) -> None:
        self.note("midi_notes", NoteKind.ON, key=key, frame=self.t + after)
        self.note("midi_notes", NoteKind.OFF, key=key, frame=self.t + after + lasting)


def rises(x: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(np.concatenate([[0.0], x])) > 1e-3)


def night(block: int) -> np.ndarray:
    """A little of everything, events between blocks of every size."""
    stage = Volts(EVERYTHING, block=block)
    parts = []
    stage.timeline(beat=3.95, bpm=133.7)
    loop = np.full((2, 700), 0.1, np.float32)
    stage.stem(loop, frame=stage.t + 901, y=699.5)
    for key, after in ((60, 100), (67, 250), (72, 1800)):
        stage.strike(key, after, 600)
    parts.append(stage.volts(2077))
    stage.timeline(beat=4.02, bpm=140.0)  # a little back
    stage.command(CommandKind.STEM_STOP, slot=0, frame=stage.t + 333, a=64)
    stage.strike(50, 20, 4000)
    parts.append(stage.volts(1500))
    stage.safe(SafeKind.PANIC)
    parts.append(stage.volts(600))
    return np.concatenate([np.stack(list(p.values())) for p in parts], axis=1)


@pytest.fixture(scope="module")
def wanted() -> np.ndarray:
    return night(128)


@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_block_size_changes_no_bit(wanted: np.ndarray, block: int) -> None:
    got = night(block)
    names = list(EVERYTHING.cv)
    assert [n for n, a, b in zip(names, got, wanted, strict=True) if not np.array_equal(a, b)] == []
    assert [n for n, row in zip(names, wanted, strict=True) if np.ptp(row) == 0] == []


@pytest.mark.parametrize("ppqn", [1, 4, 24])
@pytest.mark.parametrize("bpm", [61.3, 120.0, 399.0])
def test_each_pulse_stands_on_its_tick(bpm: float, ppqn: int) -> None:
    stage = Volts(patch_of(clock=Cv(kind="clock", ppqn=ppqn)))
    line = stage.timeline(beat=0.01, bpm=bpm)
    first = stage.t
    clock = stage.volts(48_000)["clock"]
    ticks = [line.frame_at(k / ppqn) - first for k in range(1, 2 * ppqn * round(bpm / 60) + 2)]
    ticks = [f for f in ticks if f < len(clock)]
    assert rises(clock).tolist() == ticks
    width = min(240, int(48_000 * 60 / bpm / ppqn / 2))
    assert np.count_nonzero(clock) == pytest.approx(width * len(ticks), abs=width)
    assert set(np.unique(clock)) == {0.0, 5.0}


@pytest.mark.parametrize("jump", [-0.3, -0.02, 0.02, 0.5, 2.0])
def test_clock_that_is_corrected_gives_each_tick_once(jump: float) -> None:
    stage = Volts(patch_of(clock=Cv(kind="clock")))
    stage.timeline(beat=1.003)
    before = stage.volts(24_000)["clock"]
    line = stage.timeline(beat=2.003 + jump)
    after = stage.volts(96_000)["clock"]
    beats = line.beat_at(stage.t - 1)
    assert len(rises(np.concatenate([before, after]))) == int(beats * 24) - 24
    last = [line.frame_at(k / 24) for k in range(int(beats * 24) - 8, int(beats * 24))]
    assert set(last) <= set((rises(after) + stage.t - 96_000).tolist())


def test_clock_counts_on_from_where_the_one_was_put() -> None:
    stage = Volts(patch_of(clock=Cv(kind="clock")))
    stage.timeline(beat=40.003)
    stage.volts(11_800)
    line = stage.timeline(beat=0.003)
    first = stage.t
    ticks = [line.frame_at(k / 24) - first for k in range(1, 25)]
    assert rises(stage.volts(24_000)["clock"]).tolist() == ticks


def test_run_and_reset_begin_with_a_bar_and_a_successor_waits_for_the_next() -> None:
    stage = Volts(patch_of(run=Cv(kind="run"), reset=Cv(kind="reset"), clock=Cv(kind="clock")))
    line = stage.timeline(beat=1.5)  # bars are 96000 frames, phrases two bars
    out = stage.volts(250_000)
    at = [line.frame_at(beat) - line.frame for beat in (4, 8)]
    assert rises(out["run"]).tolist() == at[:1]
    assert out["run"][-1] == 5.0
    assert rises(out["reset"]).tolist() == at
    stage.resume(stage.engine.state, gap=50_000)
    begun = stage.t
    out = stage.volts(200_000)
    bar = line.next_boundary(begun, Boundary.BAR)
    assert rises(out["run"]).tolist() == [bar - begun]
    assert rises(out["reset"])[0] == bar - begun
    ticks = [line.frame_at(k / 24) - begun for k in range(24 * 24)]
    assert rises(out["clock"]).tolist() == [f for f in ticks if 0 <= f < 200_000]


def test_leaving_takes_pulses_and_run_down() -> None:
    stage = Volts(patch_of(run=Cv(kind="run"), clock=Cv(kind="clock")))
    stage.timeline(beat=3.999)
    assert stage.volts(200)["run"][-1] == 5.0
    stage.engine.cv.gates_down(stage.t)
    out = stage.volts(9600)
    assert not out["run"].any()
    assert not out["clock"].any()


def test_envelope_has_its_four_parts() -> None:
    given = Cv(source="lead", kind="envelope", volts=8.0, **ADSR)
    stage = Volts(patch_of(envelope=given))
    stage.strike(60, after=100, lasting=2000)
    x = stage.volts(4000)["envelope"] / 8.0
    a, d, r, up, down = 144, 384, 960, 148, 2148
    e = np.arange(4000.0)
    part = np.clip((e - up) / a, 0, 1)
    fall = np.clip(1 - (e - up - a) / d, 0, 1) ** 2
    held = np.where(e < up + a, part, 0.5 + 0.5 * fall)
    left = 0.5 * np.clip(1 - (e - down) / r, 0, 1) ** 2
    wanted = np.where(e < down, held, left)
    np.testing.assert_allclose(x, wanted, atol=1e-6)


def test_envelope_struck_again_goes_on_from_where_it_is() -> None:
    stage = Volts(patch_of(envelope=Cv(source="lead", kind="envelope", **ADSR)))
    for after in (0, 500, 1000, 1100, 1177):
        stage.strike(60 + after % 5, after, 300)
    x = stage.volts(4000)["envelope"]
    assert np.abs(np.diff(x)).max() < 5.0 / 100
    assert x[-1] == 0.0


def test_triggers_are_seen_one_by_one() -> None:
    stage = Volts(patch_of(trigger=Cv(source="lead", kind="trigger", width_ms=5.0)))
    for after in (0, 100, 900):  # the second while the first's pulse stands
        stage.strike(60, after, 50)
    x = stage.volts(2000)["trigger"]
    assert rises(x).tolist() == [48, 148, 948]
    assert not x[100:148].any()
    assert np.count_nonzero(x[148:]) == 480


@pytest.mark.parametrize("shape", SHAPES)
def test_synced_lfo_keeps_to_the_beat(shape: str) -> None:
    stage = Volts(patch_of(lfo=Cv(kind="lfo", shape=shape, beats=2.0, phase=0.25, volts=3.0)))
    line = stage.timeline(beat=0.7, bpm=97.0)
    x = stage.volts(90_000)["lfo"]
    beats = line.beat + np.arange(len(x)) / line.frames_per_beat
    p = (beats / 2 + 0.25) % 1
    plain = {
        "sine": np.sin(2 * np.pi * p),
        "triangle": 1 - 4 * np.abs((p + 0.25) % 1 - 0.5),
        "rise": 2 * p - 1,
        "fall": 1 - 2 * p,
        "square": np.where(p < 0.5, 1.0, -1.0),
    }
    assert np.abs(x).max() <= 3.0 + 1e-6
    if shape in plain:
        near_edge = (p < 1e-4) | (p > 1 - 1e-4) | (np.abs(p - 0.5) < 1e-4)
        assert np.abs(x - 3 * plain[shape])[~near_edge].max() < 1e-5
        return
    cycle = np.floor(beats / 2 + 0.25)
    firsts = [x[cycle == c][0] for c in np.unique(cycle)[1:]]
    assert len(set(firsts)) == len(firsts)
    if shape == "random":
        assert all(np.ptp(x[cycle == c]) == 0 for c in np.unique(cycle))
    else:
        assert np.abs(np.diff(x)).max() < 6 * 1.5 * 2 / (2 * line.frames_per_beat)


def test_free_lfo_is_where_it_would_be_without_a_death() -> None:
    patch = patch_of(lfo=Cv(kind="lfo", hz=0.9), wild=Cv(kind="lfo", shape="smooth", hz=7.0))
    whole, broken = Volts(patch), Volts(patch)
    wanted = whole.volts(30_000)
    broken.volts(10_000)
    broken.resume(broken.engine.state, gap=5000)
    for name, x in broken.volts(15_000).items():
        assert np.array_equal(x, wanted[name][15_000:])


def test_gate_of_stems_stands_while_one_of_the_role_sounds() -> None:
    stage = Volts(patch_of(gate=Cv(source="stems.bass", kind="gate")))
    loop = np.full((2, 500), 0.1, np.float32)
    stage.stem(loop, frame=stage.t + 333, id=1, slot=0, y=500.0)
    stage.stem(loop, frame=stage.t + 1200, id=2, slot=1, offset=1000)  # once: 500 frames
    stage.command(CommandKind.STEM_STOP, slot=0, frame=stage.t + 1300, a=64)
    x = stage.volts(2500)["gate"]
    assert rises(x).tolist() == [333]
    assert np.flatnonzero(x)[-1] == 1699


def test_dry_and_panic_take_the_gates_of_stems_down() -> None:
    for kind in (SafeKind.DRY_ON, SafeKind.PANIC):
        stage = Volts(patch_of(gate=Cv(source="stems.bass", kind="gate")))
        stage.stem(np.full((2, 500), 0.1, np.float32), y=500.0)
        assert stage.volts(256)["gate"][-1] == 5.0
        stage.safe(kind)
        assert not stage.volts(2400)["gate"].any()


def test_gate_of_a_stem_that_sounds_on_rises_again_when_dry_is_over() -> None:
    """Of one that came or went meanwhile too; nothing is struck."""
    kinds = {k: Cv(source="stems.bass", kind=k) for k in ("gate", "envelope", "trigger")}
    for first, length, up in ((0, 500, True), (900, 500, True), (0, 0, False)):
        stage = Volts(patch_of(**kinds))
        loop = np.full((2, 500), 0.1, np.float32)
        stage.stem(loop, y=float(length), frame=stage.t + first)  # 0: once
        stage.volts(256)
        stage.safe(SafeKind.DRY_ON)
        assert not stage.volts(24_000)["gate"].any()
        stage.safe(SafeKind.DRY_OFF)
        after = stage.volts(2400)
        assert (after["gate"].all(), after["envelope"][-1] > 1.0) == (up, up)
        assert not after["trigger"].any()


def test_successor_of_a_dead_process_starts_with_everything_down_but_pitch() -> None:
    stage = Volts(EVERYTHING)
    stage.timeline(beat=3.99)
    stage.stem(np.full((2, 500), 0.1, np.float32), y=500.0)
    stage.strike(67, 0, 90_000)
    out = stage.volts(1024)
    down = ("gate", "trigger", "envelope", "run", "stems")
    assert min(out[name].max() for name in down) > 1.0
    stage.resume(stage.engine.state, gap=7000)
    out = stage.volts(512)
    assert [name for name in down if out[name].any()] == []
    np.testing.assert_allclose(out["pitch"], 7 / 12, atol=1e-6)


def test_level_follows_what_is_heard() -> None:
    stage = Volts(patch_of(level=Cv(source="input.mic", kind="level", volts=10.0)))
    loud = stage.play(np.full((9600, 1), 0.5, np.float32))[:, 2] * 10
    assert loud[-1] == pytest.approx(5.0, abs=0.01)
    assert np.abs(np.diff(loud)).max() < 0.05
    quiet = stage.play(RATE)[:, 2] * 10
    assert quiet[-1] < 0.001

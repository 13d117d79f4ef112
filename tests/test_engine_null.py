"""Risk: the mix changes what it should pass, or the block size changes a sample."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from engine.channel_map import plain_map
from engine.layout import COMMAND, NOTE, CommandKind, NoteKind
from engine.patch import Cv, Input, MidiIn, Output, Patch, Player, Role, Strip, Voice
from engine.performance import LivePerformance
from engine.shm import Shared

RATE = 48000
SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
FRAMES = 6000
START = 10_000

DRY = Patch(inputs={"in": Input(channel=1, to={"main": 0.0})}, outputs={"main": Output((1, 2))})
FULL = Patch(
    inputs={
        "a": Input(channel=1, to={"main": -3.0, "monitor1": 0.0}),
        "b": Input(channel=2, trim_db=-2.0, to={"main": -6.0}),
    },
    midi={"keys": MidiIn(port="x", voice="lead")},
    voices={"lead": Voice(to={"main": -90.0})},
    roles={"drums": Role(to={"main": 0.0, "cue": -6.0})},
    outputs={"main": Output((1, 2)), "monitor1": Output((3,)), "cue": Output((4, 5))},
    cv={
        "pitch": Cv(channel=6, source="lead", kind="pitch"),
        "gate": Cv(channel=7, source="lead", kind="gate"),
    },
)


def play(
    patch: Patch,
    audio: np.ndarray,
    block: int,
    prepare: object = None,
    soundfont: Path | None = None,
) -> tuple[np.ndarray, LivePerformance]:
    """audio (frames, channels) through forward in blocks, from frame START on."""
    shared = Shared.private(patch)
    engine = LivePerformance(patch, shared, plain_map(patch), RATE, soundfont)
    if callable(prepare):
        prepare(shared)
    out = []
    for a in range(0, len(audio), block):
        piece = np.ascontiguousarray(audio[a : a + block])
        engine.hear(piece, len(piece))
        out.append(engine.forward(START + a).out.copy())
    return np.concatenate(out), engine


def noise(channels: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.uniform(-0.5, 0.5, (FRAMES, channels))).astype(np.float32)


def command(**fields: float) -> np.ndarray:
    record = np.zeros(1, COMMAND)
    for name, value in fields.items():
        record[name] = value
    return record


@pytest.mark.parametrize("block", [32, 64, 128, 131, 1024])
def test_dry_input_at_unity_nulls_bit_for_bit(block: int) -> None:
    audio = noise(1)
    out, _ = play(DRY, audio, block)
    assert np.array_equal(out, np.repeat(audio, 2, axis=1))


@pytest.mark.parametrize("block", [32, 64, 128, 131, 1024])
def test_unity_stem_nulls_bit_for_bit_and_starts_at_its_frame(block: int) -> None:
    patch = Patch(roles={"drums": Role(to={"main": 0.0})}, outputs={"main": Output((1, 2))})
    stem = noise(2, seed=2)[:1500]

    def prepare(shared: Shared) -> None:
        shared.arena[100 : 100 + 1500] = stem[:, 0]
        shared.arena[1600:3100] = stem[:, 1]
        play_it = command(
            kind=CommandKind.STEM_PLAY, slot=3, frame=START + 777, a=100, b=1500, x=1.0, id=9
        )
        shared.ring("commands").push(play_it)

    out, _ = play(patch, np.zeros((FRAMES, 1), np.float32), block, prepare)
    expected = np.zeros_like(out)
    expected[777 : 777 + 1500] = stem
    assert np.array_equal(out, expected)


def everything(shared: Shared) -> None:
    """A loop of a fractional length, ramps, notes with CV: all at odd frames."""
    rng = np.random.default_rng(3)
    shared.arena[: 2 * 1001] = rng.uniform(-0.3, 0.3, 2002)
    push = shared.ring("commands").push
    push(
        command(
            kind=CommandKind.STEM_PLAY,
            slot=0,
            frame=START + 333,
            b=1001,
            x=0.7,
            y=1000.6129,
        )
    )
    push(command(kind=CommandKind.STEM_STOP, slot=0, frame=START + 5001, a=321))
    push(command(kind=CommandKind.GAIN, slot=0, c=0, frame=START + 999, a=1500, x=0.2))
    notes = np.zeros(4, NOTE)
    notes["frame"] = START + np.array([201, 1313, 1500, 4000])
    notes["kind"] = [NoteKind.ON, NoteKind.OFF, NoteKind.ON, NoteKind.OFF]
    notes["key"] = [60, 60, 67, 67]
    notes["velocity"] = 90
    shared.ring("midi_notes").push(notes)


@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_mixer_stems_ramps_and_cv_do_not_depend_on_the_block_size(block: int) -> None:
    audio = noise(2)
    expected, _ = play(FULL, audio, 128, everything, SOUNDFONT)
    out, _ = play(FULL, audio, block, everything, SOUNDFONT)
    assert np.abs(expected).max() > 0.1
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_strips_do_not_depend_on_the_block_size(block: int) -> None:
    strip = Strip(highpass_hz=80, gate_db=-60, low_db=3, mid_db=-2, high_db=1, compressor_db=-18)
    patch = dataclasses.replace(DRY, inputs={"in": Input(channel=1, strip=strip, to={"main": 0.0})})
    audio = noise(1)[: 1031 * 5]
    expected, _ = play(patch, audio, 128)
    out, _ = play(patch, audio, block)
    assert not np.array_equal(out[:, 0], audio[:, 0])
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("block", [128, 192, 1024])
def test_sampler_does_not_depend_on_blocks_that_are_multiples_of_64(block: int) -> None:
    patch = dataclasses.replace(FULL, voices={"lead": Voice(to={"main": 0.0})})
    audio = noise(2)
    start = START - START % 64

    def from_an_aligned_frame(size: int) -> np.ndarray:
        shared = Shared.private(patch)
        engine = LivePerformance(patch, shared, plain_map(patch), RATE, SOUNDFONT)
        everything(shared)
        out = []
        for a in range(0, 64 * 90, size):
            piece = audio[a : min(a + size, 64 * 90)]
            engine.hear(piece, len(piece))
            out.append(engine.forward(start + a).out.copy())
        return np.concatenate(out)

    assert np.array_equal(from_an_aligned_frame(64), from_an_aligned_frame(block))


def test_loop_k_starts_at_round_k_times_its_exact_length() -> None:
    patch = Patch(roles={"drums": Role(to={"main": 0.0})}, outputs={"main": Output((1, 2))})
    loop = 371.612903

    def prepare(shared: Shared) -> None:
        shared.arena[0] = 1.0  # left: an impulse at the loop's start
        shared.ring("commands").push(
            command(kind=CommandKind.STEM_PLAY, frame=START, b=372, x=0.5, y=loop)
        )

    out, _ = play(patch, np.zeros((FRAMES, 1), np.float32), 128, prepare)
    hits = np.flatnonzero(out[:, 0])
    expected = [round(k * loop) for k in range(FRAMES) if round(k * loop) < FRAMES]
    assert hits.tolist() == expected


def test_generated_voice_belongs_to_ai_and_live_voice_does_not() -> None:
    from engine.mixer import is_generated

    patch = Patch(
        midi={"keys": MidiIn(voice="piano")},
        voices={"piano": Voice(), "answer": Voice()},
        players={"duo": Player(model="notochord", listens="keys", voice="answer")},
    )
    assert is_generated(patch, "voice.answer")
    assert not is_generated(patch, "voice.piano")

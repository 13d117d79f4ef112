"""recording_share: what recording 16 inputs and a main bus costs the audio process, as a share of a
128-frame block: CPU time of `forward` with the recorder's rings less without, median of pairs of
blocks that follow each other (the disk is another process's).

replay: {equal, speed} of the standard load (engine/bench/standard_load.py: strips, 16 stems,
textures, sampler, effects, CV), recorded for SECONDS with the audio process replaced in the middle,
and rendered again: is main what was recorded, bit for bit, and how many times faster than it was
played.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.bench.measures import MeasureError
from engine.bench.standard_load import RATE, STEM_S, STEMS, standard_patch
from engine.channel_map import plain_map
from engine.layout import BLOCK_FRAMES, COMMAND, NOTE, CommandKind, NoteKind, audio_dtype
from engine.patch import Input, Output, Patch
from engine.performance import LivePerformance
from engine.recording import Recording, new_take
from engine.replay import Replay
from engine.replay_check import check
from engine.session import read_session
from engine.shm import Shared
from engine.soundfont import find_soundfont

INPUTS = 16
PAIRS = 4000
WARM = 200
BLOCK = 128
SECONDS = 20.0
GAP_FRAMES = 24_000
STRIKE_BLOCKS = 35


def measure() -> dict[str, Any]:
    soundfont = find_soundfont(standard_patch(BLOCK))
    if soundfont is None:
        raise MeasureError("no SoundFont found: install timgm6mb-soundfont")
    with tempfile.TemporaryDirectory(prefix="segue-bench-") as folder:
        equal, speed = _replay(Path(folder), soundfont)
    facts = {"equal": equal, "speed": round(speed, 2)}
    return {"recording_share": round(recording_share(), 5), "replay": facts}


def recording_share() -> float:
    """Of a block's time."""
    patch = Patch(
        inputs={f"in{i + 1}": Input(channel=i + 1, to={"main": -12.0}) for i in range(INPUTS)},
        outputs={"main": Output((1, 2))},
    )
    shareds = [Shared.private(patch), Shared.private(patch, session="")]
    engines = [LivePerformance(patch, s, plain_map(patch), RATE, None) for s in shareds]
    audio = np.random.default_rng(3).uniform(-0.1, 0.1, (BLOCK, INPUTS)).astype(np.float32)
    costs = np.zeros((PAIRS, 2))
    for b in range(WARM + PAIRS):
        for i in (0, 1) if b % 2 else (1, 0):
            engines[i].hear(audio, BLOCK)
            begun = time.thread_time_ns()
            engines[i].forward(b * BLOCK)
            costs[b - WARM, i] = time.thread_time_ns() - begun
        for ring in ("tap.listener", "reports"):
            for s in shareds:
                s.ring(ring).clear()
        for ring in ("tap.recorder", "admitted"):
            shareds[1].ring(ring).clear()
    return float(np.median(costs[:, 1] - costs[:, 0])) / (BLOCK / RATE * 1e9)


def _replay(folder: Path, soundfont: Path) -> tuple[bool, float]:
    patch = standard_patch(BLOCK)
    shared = Shared.private(patch, session=str(folder))
    take = new_take(folder)
    recording = Recording(shared, take, RATE)
    engine = LivePerformance(patch, shared, plain_map(patch), RATE, soundfont)
    _load_stems(shared)
    rng = np.random.default_rng(5)
    t = 0
    blocks = round(SECONDS * RATE / BLOCK)
    for b in range(blocks):
        if b == blocks // 2:
            state = engine.state.copy()
            engine = LivePerformance(patch, shared, plain_map(patch), RATE, soundfont, state)
            t += GAP_FRAMES
        _feed(shared, t, b, rng)
        inputs = rng.normal(0, 0.05, (BLOCK, engine.channels.channels_in)).astype(np.float32)
        engine.hear(inputs, BLOCK)
        engine.forward(t)
        t += BLOCK
        for ring in ("tap.listener", "reports", "tap.first", "tap.second"):
            shared.ring(ring).clear()
        recording.turn()
    recording.close()
    session = read_session(take)
    found = check(session, Replay(session))
    return found.equal and found.frames == blocks * BLOCK, found.speed


def _load_stems(shared: Shared) -> None:
    """All sounding, loops of a fractional length."""
    frames = round(STEM_S * RATE)
    places = shared.arena.size // (2 * frames)
    if not places:
        raise MeasureError("the arena of the standard load holds none of its stems")
    rng = np.random.default_rng(1)
    for i in range(STEMS):
        offset = (i % places) * 2 * frames
        shared.arena[offset : offset + 2 * frames] = rng.normal(0, 0.01, 2 * frames)
    for i in range(STEMS):
        command = np.zeros(1, COMMAND)
        command["kind"], command["slot"], command["frame"] = CommandKind.STEM_PLAY, i, RATE // 2
        command["a"], command["b"], command["x"] = (i % places) * 2 * frames, frames, 0.5
        command["y"], command["id"], command["c"] = frames - 0.387, i, i % 4
        shared.ring("commands").push(command)


def _feed(shared: Shared, t: int, b: int, rng: np.random.Generator) -> None:
    for name in ("first", "second"):
        record = np.zeros(1, audio_dtype(2))
        record["frame"], record["count"] = t, BLOCK_FRAMES
        record["data"] = rng.normal(0, 0.01, (2, BLOCK_FRAMES))
        shared.ring(f"texture.{name}").push(record)
    if b % STRIKE_BLOCKS == 0:
        notes = np.zeros(2, NOTE)
        notes["frame"], notes["epoch"] = t + 50, shared.ring("midi_notes").epoch
        notes["kind"] = [NoteKind.OFF, NoteKind.ON]
        notes["key"], notes["velocity"] = 40 + 2 * (b // STRIKE_BLOCKS % 16), 80
        shared.ring("midi_notes").push(notes)

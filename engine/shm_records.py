"""What lies in the shared folder (engine/shm.py): sections, rings, the ledger's rows, the words
between audio process and dry path. Tables and plain records; nothing here maps or waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from engine import layout
from engine.capture import capture_rows, captured
from engine.patch import PERFORMER, Patch
from engine.sources import guarded_sources
from engine.state import MAX_SOURCES, STATE, TIMELINE
from engine.timeline import Timeline
from engine.tracks import tap_dtype


class AudioPhase(IntEnum):
    """What the audio process is at (clock section)."""

    STARTING = 0
    WAITING = 1  # no device; says so and tries again
    RUNNING = 2


# Words of 64 bits between the audio process and the dry path (devices/audio/dry.c), which plays the
# inputs while the audio process does not. Frames are the sound server's own.
DRY_COVERING = 0  # the dry path's: 1 while it plays
DRY_DONE = 1  # the audio process's: the frame after its last block
DRY_HAND = 2  # the audio process's: it fades in from this frame on, and the dry path out
DRY_MAY = 3  # the supervisor's: pid of the audio process that may take over, its ports connected

CLIENT_FILE = "client"  # what the sound server calls the audio process
LEDGER_ROWS = 1 << 18  # eleven minutes of 128-frame blocks
STAGES = ("admit", "inputs", "sampler", "mix", "outputs")

CLOCK = np.dtype(
    [
        ("t", "<i8"),
        ("mono_ns", "<i8"),
        ("callbacks", "<i8"),
        ("gap_frames", "<i8"),
        ("missed", "<i8"),
        ("rate", "<f8"),
        ("block", "<i4"),
        ("pid", "<i4"),
        ("state", "<i4"),
        ("dry", "<i4"),
    ]
)
LEVELS = np.dtype(
    [
        ("sources", "<f4", (MAX_SOURCES,)),
        ("buses", "<f4", (32,)),
        ("limited", "<i8"),
        ("not_finite", "<i8", (MAX_SOURCES,)),
    ]
)
# Written by the conductor: what players may do, and their steering. hold: a texture stands still.
# frozen: nothing is listened to (standby).
SWITCH = np.dtype(
    [
        ("generate", "u1", (layout.MAX_PLAYERS,)),
        ("hold", "u1", (layout.MAX_PLAYERS,)),
        ("controls", "<f4", (layout.MAX_PLAYERS, layout.MAX_LATENTS)),
        ("frozen", "u1"),
    ]
)
LEDGER = np.dtype(
    [
        ("frame", "<i8"),
        ("cpu_ns", "<u4"),
        ("wall_ns", "<u4"),
        ("late_us", "<i4"),
        ("frames", "<i4"),
        ("stages", "<u4", (len(STAGES),)),
    ]
)
SECTIONS = {
    "clock": CLOCK,
    "levels": LEVELS,
    "state": STATE,
    "timeline": TIMELINE,
    "switch": SWITCH,
}
PROCESSES = (
    "supervisor",
    "audio",
    "midi",
    "conductor",
    "listener",
    "pool",
    "recorder",
    "performer",
    "capture",
)


def process_names(patch: Patch) -> list[str]:
    """Every process of a performance; the index is its heartbeat's and its bell's."""
    return [*PROCESSES, *(f"player.{name}" for name in patch.players)]


@dataclass(frozen=True)
class Clock:
    """The audio process's last word: frame t began at mono_ns (CLOCK_MONOTONIC)."""

    t: int
    mono_ns: int
    rate: float
    block: int
    callbacks: int
    gap_frames: int
    missed: int
    pid: int
    dry: bool
    phase: AudioPhase


def ring_table(patch: Patch, recording: bool) -> dict[str, tuple[np.dtype, int, str]]:
    """Every ring: record type, capacity, consumer (whose bell is rung)."""
    rings: dict[str, tuple[np.dtype, int, str]] = {
        "midi_notes": (layout.NOTE, 1024, "audio"),
        "midi_safe": (layout.SAFE, 64, "audio"),
        "commands": (layout.COMMAND, 1024, "audio"),
        "reports": (layout.REPORT, 8192, "conductor"),
        "presses": (layout.PRESS, 1024, "conductor"),
        "midi_out": (layout.MIDI_OUT, 64, "midi"),
        "observations": (layout.OBSERVATION, 1024, "conductor"),
    }
    if any(role.voice for role in patch.roles.values()):
        rings["stem_notes"] = (layout.NOTE, 1024, "audio")
    listened = list(patch.clock.listen) or list(patch.inputs)
    if listened:
        rings["tap.listener"] = (layout.audio_dtype(len(listened) + 1), 1024, "listener")
    if recording:
        rings["tap.recorder"] = (tap_dtype(patch), 4096, "recorder")
        rings["admitted"] = (layout.ADMITTED, 16384, "recorder")
    guarded = guarded_sources(patch)
    if guarded:
        rings["tap.howl"] = (layout.audio_dtype(len(guarded)), 256, "listener")
    if captured(patch):
        rings["tap.capture"] = (layout.audio_dtype(capture_rows(patch)), 1024, "capture")
    for name, source in patch.inputs.items():
        if source.stream == PERFORMER:
            rings[f"stream.{name}"] = (layout.audio_dtype(1), 1024, "audio")
    for name, player in patch.players.items():
        if player.to:
            rings[f"tap.{name}"] = (layout.audio_dtype(2), 256, f"player.{name}")
            rings[f"texture.{name}"] = (layout.audio_dtype(2), 256, "audio")
        else:
            rings[f"notes.{name}"] = (layout.NOTE, 1024, f"player.{name}")
            rings[f"answers.{name}"] = (layout.NOTE, 1024, "audio")
            if player.midi_out:
                rings[f"answers_midi.{name}"] = (layout.NOTE, 1024, "midi")
    if any(source.stream == PERFORMER for source in patch.inputs.values()):
        rings["performer_notes"] = (layout.NOTE, 1024, "midi")
        rings["computer_notes"] = (layout.NOTE, 256, "midi")
    return rings


def timeline_of(record: np.ndarray) -> Timeline:
    r = record.reshape(-1)[0]
    return Timeline(
        frame=int(r["frame"]),
        beat=float(r["beat"]),
        bpm=float(r["bpm"]),
        rate=float(r["rate"]),
        beats_per_bar=int(r["beats_per_bar"]),
        bars_per_phrase=int(r["bars_per_phrase"]),
        confidence=float(r["confidence"]),
    )


def timeline_record(line: Timeline) -> np.ndarray:
    record = np.zeros(1, TIMELINE)
    for name in TIMELINE.names or ():
        record[name] = getattr(line, name)
    return record

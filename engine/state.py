"""The audio process's state: one flat record, so that a snapshot is one copy.

STATE mirrors the kernel's structs (engine/kernel.h) field by field; the engine works in place on an
instance of it and the audio process copies it to shared memory each block. A successor starts from
that copy. Single writer: the audio process.
"""

from __future__ import annotations

import numpy as np

from engine.kernel import ffi
from engine.layout import MAX_PLAYERS, MAX_STEMS, MAX_VOICES
from engine.voice_memory import VOICE_MEMORY, forget

MAX_SOURCES = 80  # a patch may have 76: 32 inputs, 16 voices, 8 players, 16 roles, and four more
MAX_BUSES = 16
MAX_CV = 16
MAX_STREAMS = 32 + MAX_PLAYERS  # inputs and textures
MAX_CV_IN = 8
MAX_ROUTES = 16
MAX_STRIPS = 32
MAX_GROUPS = 4
MAX_PEDALS = 8
FOREVER = 2**62

RAMP = np.dtype([("f0", "<i8"), ("f1", "<i8"), ("g0", "<f8"), ("g1", "<f8")])
STEM = np.dtype(
    [
        ("start", "<i8"),
        ("stop", "<i8"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("loop", "<f8"),
        ("gain", "<f8"),
        ("fade", "<i8"),
        ("id", "<u4"),
        ("role", "<i4"),
        ("state", "<i4"),
        ("ease", "<i4"),
        ("beat", "<f8"),
        ("per_beat", "<f8"),
        ("slice", "<i8"),
        ("shift", "<i8"),
        ("before", "<i8"),
        ("join", "<i8"),
        ("likeness", "<f8"),
        ("hush", "<i8"),
        ("unhush", "<i8"),
    ]
)
LIMITER = np.dtype([("gain", "<f8"), ("active", "<u8")])
STREAM = np.dtype(
    [
        ("last", "<f8", (2,)),
        ("hold", "<f8", (2,)),
        ("fade", "<f8"),
        ("missing", "<u8"),
        ("epoch", "<u4"),
        ("pad", "<u4"),
    ]
)
# Settings, then state, of one input strip: see engine/strip.py.
STRIP = np.dtype(
    [
        ("f0", "<i8"),
        ("f1", "<i8"),
        ("from", "<f8", (4, 5)),
        ("to", "<f8", (4, 5)),
        ("gate", "<f8"),
        ("gate_attack", "<f8"),
        ("gate_release", "<f8"),
        ("gate_hold", "<i8"),
        ("threshold", "<f8"),
        ("slope", "<f8"),
        ("knee", "<f8"),
        ("attack", "<f8"),
        ("release", "<f8"),
        ("state", "<f8", (4, 2)),
        ("gate_gain", "<f8"),
        ("gate_left", "<i8"),
        ("peak", "<f8"),
        ("reduction", "<f8"),
    ]
)
PEDAL = np.dtype([("wet", "<f8"), ("absent", "<i8"), ("there", "<i8")])
DUCK = np.dtype(
    [
        ("open", "<f8"),
        ("depth", "<f8"),
        ("attack", "<f8"),
        ("release", "<f8"),
        ("hold", "<i8"),
        ("gain", "<f8"),
        ("left", "<i8"),
    ]
)
CV = np.dtype(
    [
        ("value", "<f8"),
        ("frames", "<i8", (16,)),
        ("volts", "<f8", (16,)),
        ("at", "<i8"),
        ("tick", "<i8"),
        ("count", "<i4"),
        ("on", "<i4"),
        ("shown", "<f8"),
    ]
)
MOD = np.dtype(
    [
        ("value", "<f8"),
        ("last", "<f8", (2,)),
        ("x", "<f8", (3,)),
        ("step", "<i8"),
        ("high", "<i4"),
        ("frozen", "<i4"),
    ]
)
ROUTE = np.dtype([("from", "<f8"), ("to", "<f8"), ("on", RAMP)])
TIMELINE = np.dtype(
    [
        ("frame", "<i8"),
        ("beat", "<f8"),
        ("bpm", "<f8"),
        ("rate", "<f8"),
        ("confidence", "<f8"),
        ("beats_per_bar", "<i4"),
        ("bars_per_phrase", "<i4"),
    ]
)
# How far a producer's notes have been read: its ring's index, and its epoch then.
INTAKE = np.dtype([("read", "<u8"), ("epoch", "<u4"), ("pad", "<u4")])
STATE = np.dtype(
    [
        ("t", "<i8"),  # the next block's first frame
        ("mono_ns", "<i8"),  # CLOCK_MONOTONIC when the last block began
        ("frame_offset", "<i8"),  # Timestamp minus the sound server's own frame count
        ("gains", RAMP, (MAX_SOURCES, MAX_BUSES)),
        ("master", RAMP),
        ("ai", RAMP),  # 1, or 0 under DRY
        ("fade", RAMP),  # of everything that leaves: start and stop without a click
        ("stems", STEM, (MAX_STEMS,)),
        ("limiters", LIMITER, (MAX_BUSES,)),
        ("streams", STREAM, (MAX_STREAMS,)),
        ("cv", CV, (MAX_CV,)),
        ("mods", MOD, (MAX_CV_IN,)),
        ("routes", ROUTE, (MAX_ROUTES,)),
        ("timeline", TIMELINE),
        ("notes", "u1", (MAX_VOICES, 128)),  # velocity of what sounds
        ("voices", VOICE_MEMORY, (MAX_VOICES,)),  # what they were told beside notes
        ("intakes", INTAKE, (2 + MAX_PLAYERS,)),  # midi, players, stems
        ("dry", "u1"),
        ("click", "u1"),
        ("panic", "<i8"),  # frame at which a panic's fade is over, or 0
        ("asked", "<u8", (2,)),  # how far midi_safe and commands have been read
        ("strips", STRIP, (MAX_STRIPS,)),  # one an input
        ("strip_settings", "<f8", (MAX_STRIPS, 6)),  # what a hand sees of them: engine/strip.py
        ("faders", RAMP, (MAX_SOURCES,)),
        ("mutes", RAMP, (MAX_SOURCES,)),
        ("guards", RAMP, (MAX_SOURCES,)),
        ("groups", RAMP, (MAX_GROUPS,)),
        ("bus_levels", RAMP, (MAX_BUSES,)),
        ("duck", DUCK),
        ("pedals", PEDAL, (MAX_PEDALS,)),
        ("inserts", RAMP, (MAX_SOURCES,)),
    ],
    align=True,
)

for _name, _dtype in (
    ("seg_ramp", RAMP),
    ("seg_stem", STEM),
    ("seg_limiter_state", LIMITER),
    ("seg_stream", STREAM),
    ("seg_cv", CV),
    ("seg_mod", MOD),
    ("seg_route_state", ROUTE),
    ("seg_strip", STRIP),
    ("seg_timeline", TIMELINE),
    ("seg_duck", DUCK),
    ("seg_pedal_state", PEDAL),
):
    if ffi.sizeof(_name) != _dtype.itemsize:
        raise ImportError(f"{_name} is {ffi.sizeof(_name)} bytes in C, {_dtype.itemsize} in NumPy")


def fresh() -> np.ndarray:
    """A state of shape (1,): everything silent, master and fade at unity."""
    state = np.zeros(1, STATE)
    forget(state["voices"])
    levels = ("faders", "mutes", "guards", "groups", "bus_levels", "inserts")
    for name in ("master", "ai", "fade", *levels):
        state[0][name]["g0"] = state[0][name]["g1"] = 1.0
    state[0]["routes"]["on"]["g0"] = state[0]["routes"]["on"]["g1"] = 1.0
    state[0]["duck"]["gain"] = 1.0
    state[0]["limiters"]["gain"] = 1.0
    return state

"""What lies in shared memory: every record type, and which process writes which ring.

All processes of one performance share a folder under /dev/shm that the supervisor alone makes and
removes (engine/shm.py). It holds the rings of RINGS (engine/ring.py), single-producer and
single-consumer, fixed-size records, and the sections of `engine/shm.py`.

Frames are Timestamps of the audio device. A NOTE that arrives after its frame sounds at once.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

BLOCK_FRAMES = 128  # frames in one AUDIO record, at most
MAX_VOICES = 16
MAX_STEMS = 32  # playing or scheduled stems in the audio process
AUDITION_SLOTS = (MAX_STEMS - 2, MAX_STEMS - 1)  # of them, kept for pre-listening
MAX_LATENTS = 16
MAX_PLAYERS = 8


class NoteKind(IntEnum):
    OFF = 0
    ON = 1
    CC = 2
    BEND = 3  # value: 0..16383, 8192 is the middle
    PROGRAM = 4
    ALL_OFF = 5  # every note of `voice` (0xFFFF: of all voices this producer feeds), its pedal up


ALL_VOICES = 0xFFFF

# One musical event for one sampler voice. `voice` indexes Patch.voices; `id` is the producer's own
# number for a note, so an off finds its on; `epoch` rises when the producer starts anew, and makes
# the consumer release what the old one left sounding.
NOTE = np.dtype(
    [
        ("frame", "<i8"),
        ("id", "<u4"),
        ("value", "<i4"),
        ("epoch", "<u4"),
        ("voice", "<u2"),
        ("kind", "u1"),
        ("channel", "u1"),
        ("key", "u1"),
        ("velocity", "u1"),
        ("pad", "<u2"),
    ],
)


class SafeKind(IntEnum):
    """What reaches the audio process without the conductor."""

    DRY_ON = 1
    DRY_OFF = 2
    DRY_TOGGLE = 3
    PANIC = 4
    MASTER = 5  # value: linear gain 0..2


SAFE = np.dtype([("kind", "<i4"), ("value", "<f4")])


class CommandKind(IntEnum):
    """Conductor to audio. `frame` is when (0: now); the fields used are named at each. TIMELINE,
    CLICK, GAIN and LEVEL hold from exactly there, or from the next block on if that is past."""

    TIMELINE = 1  # frame, x=beat there, y=bpm, a=beats_per_bar, b=bars_per_phrase, z=confidence
    STEM_PLAY = 2  # slot, frame=start, a=arena offset (floats), b=length (frames), x=gain,
    #                y=exact loop length (frames, fractional; 0: once), id=stem, c=role index,
    #                z=frames a beat (0: it follows no tempo), w=beat of the timeline at its start,
    #                d=ease (frames over which an offset at its first sample comes in)
    STEM_STOP = 3  # slot, frame, a=fade (frames)
    GAIN = 4  # slot=source index, c=bus index, frame, a=ramp (frames), x=linear gain
    SAFE = 5  # slot=SafeKind, x=value: DRY, panic, master asked for by screen or keys
    VOICE_OFF = 6  # slot=voice index: release all its notes
    CLICK = 7  # slot=0 off, 1 on: metronome on the click bus; frame
    STEM_HUSH = 8  # slot, frame, b=until (frame): it plays on unheard in between (under a fill)
    LEVEL = 9  # slot: of what, c=LevelKind, frame, a=ramp (frames), x=linear gain
    STRIP = 10  # slot=input index, c=index in engine.strip.SETTINGS, x=value (NaN: stage off)
    CV_FREEZE = 11  # slot=1 freeze every chaos of cv_in, 0 let it go


class LevelKind(IntEnum):
    """What a source's sends are multiplied by: after its fader main and effects alone, after mute
    and guard monitors too; the cue bus is before all of them. Then levels of whole buses."""

    FADER = 0  # slot=source index
    MUTE = 1  # slot=source index
    GUARD = 2  # slot=source index: lowered while it howls
    GROUP = 3  # slot=index in engine.mixer.GROUPS
    BUS = 4  # slot=bus index
    INSERT = 5  # slot=source index: how much of its insert is heard, 1 all, 0 the strip itself
    ROUTE = 6  # slot=place among the routes to sends: how far it is followed, 1 or 0


COMMAND = np.dtype(
    [
        ("frame", "<i8"),
        ("a", "<i8"),
        ("b", "<i8"),
        ("x", "<f8"),
        ("y", "<f8"),
        ("z", "<f8"),
        ("id", "<u4"),
        ("kind", "<u2"),
        ("slot", "<u2"),
        ("c", "<u2"),
        ("d", "<u2"),
        ("pad", "<u2", (2,)),
        ("w", "<f8"),
    ],
)


ALL_COMMANDS = 0xFFFF


def command(kind: CommandKind, **fields: float) -> np.ndarray:
    """One COMMAND record; what is not given is 0."""
    record = np.zeros(1, COMMAND)
    record["kind"] = kind
    for name, value in fields.items():
        record[name] = value
    return record


class ReportKind(IntEnum):
    """Audio to conductor: facts, each with its frame."""

    GAP = 1  # frame=first lost, a=frames lost
    STEM_STARTED = 2  # slot, frame of the first sample, id
    STEM_ENDED = 3  # slot, frame after the last sample, id
    NOT_FINITE = 4  # slot=source index, a=values stopped
    NOTE_LATE = 5  # slot=voice, a=frames late: more than engine.performance.LATE_S
    STREAM_LATE = 6  # slot=source index, a=frames missing
    RESUMED = 7  # frame=first frame of this audio process, a=1 if from a snapshot
    DRY = 8  # slot=1 on, 0 off
    PANIC = 9
    MISSED = 10  # frame, a=microseconds past the deadline
    DROPPED = 11  # a=records refused, slot=producer of notes (place in AudioState.intakes) or
    #               ALL_COMMANDS
    NOTE_ON = 12  # slot=voice, a=key, b=velocity: what really sounded
    NOTE_OFF = 13  # slot=voice, a=key
    STEM_REFUSED = 14  # slot, id: a=frames it came too late, or -1: it does not fit the arena
    CV_GATE = 15  # frame, slot=index in Patch.cv_in, a=1 up, 0 down
    HANDOVER = 16  # frame, a=frames: the dry path beside us fades out, and we in if b=1
    XRUN = 17  # frame=about: the sound server says that somebody, perhaps we, held it up
    INSERT_ON = 18  # slot=source index, a=frames it is late
    INSERT_OFF = 19  # slot=source index, a=InsertOff


class InsertOff(IntEnum):
    """Why the strip is heard without its insert."""

    FAILED = 1  # the plug-in raised an error
    NOT_FINITE = 2  # NaN, infinity or too few frames
    ENDED_US = 3  # audio processes ended in it
    ABSENT = 4  # nothing comes back from the pedal
    UNPROVED = 5  # no process of its own has proved it for this performance


REPORT = np.dtype(
    [("frame", "<i8"), ("a", "<i8"), ("b", "<i8"), ("id", "<u4"), ("kind", "<u2"), ("slot", "<u2")],
)

# A press, turn or pedal from any MIDI controller. `mono_ns` is CLOCK_MONOTONIC on arrival.
# data is the raw short message (status, data1, data2); port indexes the midi process's port table.
PRESS = np.dtype([("mono_ns", "<i8"), ("frame", "<i8"), ("port", "<u2"), ("data", "u1", (6,))])

MIDI_BYTES_MAX = 1016
# Raw MIDI to one output port (LED SysEx and the like).
MIDI_OUT = np.dtype(
    [("port", "<u2"), ("size", "<u2"), ("pad", "<u4"), ("data", "u1", (MIDI_BYTES_MAX,))],
)


class ObservationKind(IntEnum):
    BEAT = 1  # frame of the beat, x=bpm, y=confidence 0..1
    ONSET = 2  # frame, x=strength
    PITCH = 3  # frame, x=MIDI note (fractional), y=confidence
    LEVEL = 4  # frame, x=dBFS (RMS over the last half second)
    HOWL = (
        5  # frame, x=Hz, y=dBFS; input=source index: what a texture or an effect gives back howls
    )


OBSERVATION = np.dtype(
    [
        ("frame", "<i8"),
        ("x", "<f8"),
        ("y", "<f8"),
        ("kind", "<u2"),
        ("input", "<u2"),
        ("pad", "<u4"),
    ],
)


def audio_dtype(channels: int) -> np.dtype:
    """A stretch of audio: `count` frames from `frame`, planar float32, BLOCK_FRAMES at most."""
    return np.dtype(
        [
            ("frame", "<i8"),
            ("count", "<i4"),
            ("epoch", "<u4"),
            ("data", "<f4", (channels, BLOCK_FRAMES)),
        ],
    )


ADMITTED_BYTES = 96  # of the largest record: COMMAND
# What a block took in, for the recorder; mirrors seg_admitted (engine/kernel.h), kinds and meaning
# in engine/admitted.py.
ADMITTED = np.dtype(
    [
        ("t", "<i8"),
        ("n", "<u4"),
        ("seq", "<u4"),
        ("kind", "u1"),
        ("which", "u1"),
        ("size", "<u2"),
        ("pad", "<u4"),
        ("data", "u1", (ADMITTED_BYTES,)),
    ],
)

"""What the shipped weights learn from: music by our own rules, and Freedoom's MIDI (BSD-3).

Everything is in units of 16 ms on Orpheus's tempo grid (tokens.py). Instruments are mapped to one
patch for each General MIDI family, durations to DURATIONS, so that few rows of the vocabulary
carry the small model; ROWS lists them.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from engine.stem import StemRequest
from models.orpheus.tokens import (
    DRUMS,
    OUTRO,
    PAD,
    SOS,
    UNITS_PER_BEAT,
    Event,
    durvel_token,
    encode,
    from_notes,
    octave_of,
    pitch_token,
)
from models.rules.adapter import PARTS, RulesMaker

# First program of a family -> the patch that stands for it.
FAMILIES = ((0, 0), (8, 11), (16, 16), (24, 25), (29, 30), (32, 33), (40, 48), (56, 61), (64, 73),
            (80, 81), (88, 89))  # fmt: skip
PROGRAM_END = 104  # ethnic, percussive and effects: left out
PATCH_OF_PART = {"bass": 33, "chords": 0, "pads": 89, "arp": 81, "melody": 73}
DURATIONS = (
    2,
    4,
    6,
    8,
    12,
    16,
    20,
    24,
    28,
    32,
    40,
    48,
    56,
    64,
    80,
    96,
    112,
    128,
    160,
    192,
    224,
    255,
)
KEY_LOW, KEY_HIGH = 21, 108
DRUM_LOW, DRUM_HIGH = 27, 87

WADS = (
    Path("/usr/share/games/doom/freedoom1.wad"),
    Path("/usr/share/games/doom/freedoom2.wad"),
)


def family(program: int) -> int:
    """The patch that stands for a program's family; for those left out, the nearest that is in."""
    return next(patch for first, patch in reversed(FAMILIES) if first <= program)


def rows() -> list[int]:
    """The tokens the small model knows, in order."""
    patches = sorted({patch for _, patch in FAMILIES})
    out = list(range(256))
    out += [pitch_token(p, k) for p in patches for k in range(KEY_LOW, KEY_HIGH + 1)]
    out += [pitch_token(DRUMS, k) for k in range(DRUM_LOW, DRUM_HIGH + 1)]
    out += [durvel_token(d, o) for d in DURATIONS for o in range(8)]
    return [*out, SOS, OUTRO, OUTRO + 1, PAD]


def snap(event: Event) -> Event | None:
    """An event within ROWS' durations and ranges, or None."""
    low, high = (DRUM_LOW, DRUM_HIGH) if event.patch == DRUMS else (KEY_LOW, KEY_HIGH)
    if not low <= event.pitch <= high:
        return None
    return event._replace(duration=min(DURATIONS, key=lambda d: abs(d - event.duration)))


def rule_request(rng: random.Random, part: str) -> StemRequest:
    return StemRequest(
        id=0,
        role=part,
        bars=16,
        bpm=120.0,
        beats_per_bar=rng.choice((4, 4, 4, 4, 4, 4, 3, 3, 2, 5, 6, 7)),
        key=rng.randrange(12),
        minor=rng.random() < 0.5,
        density=rng.random(),
        vibe=rng.choice(("", "a", "b", "c", "d", "e", "f")),
        seed=rng.randrange(1 << 30),
    )


def rule_events(request: StemRequest) -> list[Event]:
    maker = RulesMaker()
    maker.load(None, 48000, {"drums": request.role == "drums"})
    notes = maker.generate(request, lambda _: None, lambda: False)
    return from_notes(notes, PATCH_OF_PART.get(request.role, 0))


def rule_piece(rng: random.Random) -> list[Event]:
    """Up to sixteen bars of one part, or, one time in five, of two to four together."""
    parts = rng.sample(PARTS, rng.randint(2, 4)) if rng.random() < 0.2 else [rng.choice(PARTS)]
    first = rule_request(rng, parts[0])
    events: list[Event] = []
    for part in parts:
        changes = {"role": part, "seed": rng.randrange(1 << 30)}
        events += rule_events(StemRequest(**{**first.__dict__, **changes}))
    start = rng.choice((0, 0, 0, 1, 2)) * first.beats_per_bar * UNITS_PER_BEAT
    return [e._replace(onset=e.onset - start) for e in events if e.onset >= start]


def wad_lumps(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every lump of a WAD file."""
    data = path.read_bytes()
    count, where = struct.unpack_from("<4xii", data)
    for i in range(count):
        at, size, name = struct.unpack_from("<ii8s", data, where + 16 * i)
        yield name.rstrip(b"\0").decode("ascii", "replace"), data[at : at + size]


def freedoom(parity: int = 0, wads: tuple[Path, ...] = WADS) -> list[list[Event]]:
    """One list of events for each MIDI lump, without duplicates. parity: 0 for names with an even
    CRC-32 (training), 1 for the odd ones (held out)."""
    seen: set[int] = set()
    songs = []
    for wad in wads:
        for name, data in wad_lumps(wad):
            digest = zlib.crc32(data)
            if not data.startswith(b"MThd") or digest in seen:
                continue
            if zlib.crc32(name.encode()) % 2 != parity:
                continue
            seen.add(digest)
            songs.append(midi_events(data))
    return [s for s in songs if s]


def midi_events(data: bytes) -> list[Event]:
    """Events of a MIDI file we trust, retimed from ticks to units by beats."""
    import mido

    song = mido.MidiFile(file=io.BytesIO(data))
    programs: dict[int, int] = defaultdict(int)
    open_notes: dict[tuple[int, int], tuple[int, int, int]] = {}
    out: list[Event] = []
    tick = 0
    for message in mido.merge_tracks(song.tracks):
        tick += message.time
        at = round(tick / song.ticks_per_beat * UNITS_PER_BEAT)
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in ("note_on", "note_off"):
            where = (message.channel, message.note)
            if where in open_notes:
                onset, patch, octave = open_notes.pop(where)
                event = snap(Event(onset, patch, message.note, max(1, at - onset), octave))
                if event:
                    out.append(event)
            if message.type == "note_on" and message.velocity:
                program = programs[message.channel]
                if message.channel == 9:
                    open_notes[where] = (at, DRUMS, octave_of(message.velocity))
                elif program < PROGRAM_END:
                    open_notes[where] = (at, family(program), octave_of(message.velocity))
    return sorted(out)


def freedoom_piece(songs: list[list[Event]], rng: random.Random) -> list[Event]:
    """A stretch of a song from a bar line, transposed; half the time one instrument alone."""
    song = rng.choice(songs)
    bar = 4 * UNITS_PER_BEAT
    start = rng.randrange(max(1, song[-1].onset // bar - 4)) * bar
    part = [e for e in song if start <= e.onset < start + 12 * bar]
    if rng.random() < 0.6 and part:
        patch = rng.choice([e.patch for e in part])
        part = [e for e in part if e.patch == patch]
    by = rng.randint(-5, 6)
    moved = [
        e._replace(onset=e.onset - start, pitch=e.pitch + (0 if e.patch == DRUMS else by))
        for e in part
    ]
    return [e for e in map(snap, moved) if e]


def sequence(songs: list[list[Event]], rng: random.Random, length: int) -> list[int]:
    """One training sequence of `length` tokens of ROWS: start of song, a piece, padding."""
    tokens: list[int] = []
    while len(tokens) < 24:
        if songs and rng.random() < 0.2:
            events = freedoom_piece(songs, rng)
        else:
            events = [e for e in map(snap, rule_piece(rng)) if e]
        tokens = encode(events)
    tokens = [SOS, *tokens][:length]
    return tokens + [PAD] * (length - len(tokens))

"""Notes to audio of exactly so many bars, that loops without a seam.

The sampler plays the loop over and over; the last pass is kept, so the tails of its end are already
under its beginning. Rendering is split at every event and at multiples of 16 frames of a pass, so
the same request gives the same bits. Runs in a worker; allocates freely, not real-time safe.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from engine.adapter import AdapterError
from engine.stem import Stem, StemNote, StemRequest
from engine.tuning import A4_HZ, semitones

LOUDNESS_LUFS = -18.0
PEAK_MAX_DB = -1.05  # dBFS, of samples
GAIN_MAX_DB = 40.0  # quieter renders than this can lift are refused
TAIL_SECONDS = 4.0  # heard before the pass that is kept
SEAM_FRAMES = 256  # the head is faded in from what really follows the end
GRID_FRAMES = 16  # the sampler's gain stands still between: at 64 a short release clicks
METER_SECONDS = 3.0  # loudness is measured over at least this much of the loop
SECONDS_MAX = 240.0
SOUNDFONT_BYTES_MAX = 512 << 20
MAX_SAMPLER_VOICES = 128


class RenderError(AdapterError):
    """A stem that cannot be rendered: says what was found and what to do."""


def frames_exact(request: StemRequest, rate: int) -> float:
    """Length of a request in frames, fractional: bars * beats * 60 / bpm * rate."""
    if not (math.isfinite(request.bpm) and 20.0 <= request.bpm <= 400.0):
        raise RenderError(f"stem tempo is {request.bpm}, expected 20 to 400 beats a minute")
    seconds = request.beats * 60.0 / request.bpm
    if not 0.0 < seconds <= SECONDS_MAX:
        raise RenderError(
            f"stem is {seconds:.1f} s long, expected above 0 and at most {SECONDS_MAX:.0f} s"
        )
    return seconds * rate


def render(
    request: StemRequest,
    notes: list[StemNote],
    soundfont: Path,
    rate: int,
    program: int,
    drums: bool,
    tuning_hz: float = A4_HZ,
) -> Stem:
    """A Stem with audio float32 (2, round(frames_exact)) at -18 LUFS, peaks below -1 dBFS.

    program 0-127 (General MIDI), or the drum kit, which has no tuning. tuning_hz: A4.
    Raises RenderError: a bad SoundFont, silence.
    """
    exact = frames_exact(request, rate)
    frames = round(exact)
    events = _events(notes, request, exact, frames)
    synth = _synth(soundfont, rate, program, drums)
    if not drums:
        synth.set_tuning(0, semitones(tuning_hz))  # type: ignore[attr-defined]
    warm = max(1, math.ceil(TAIL_SECONDS * rate / frames))
    for _ in range(warm):
        _play(synth, events, frames, frames)
    kept = _play(synth, events, frames, frames)
    seam = min(SEAM_FRAMES, frames)
    after = _play(synth, events, frames, seam)
    fade = np.linspace(0.0, 1.0, seam, endpoint=False, dtype=np.float32)
    kept[:, :seam] = after * (1.0 - fade) + kept[:, :seam] * fade
    audio, loudness = level(kept, rate, request)
    return Stem(request, notes, audio, exact, loudness)


def _events(
    notes: list[StemNote], request: StemRequest, exact: float, frames: int
) -> list[tuple[int, int, int, int]]:
    """(frame, 0 off or 1 on, key, velocity) of one pass, in order, offs first. A note that ends
    with the loop ends at the next pass's first frame."""
    per_beat = exact / request.beats
    out = []
    for n in notes:
        if not (0 <= n.start < request.beats and 0 <= n.key <= 127 and 1 <= n.velocity <= 127):
            raise RenderError(f"note outside the stem or MIDI's range: {n}")
        on = min(frames - 1, round(n.start * per_beat))
        off = max(on + 1, round((n.start + n.duration) * per_beat))
        out.append((on, 1, n.key, n.velocity))
        out.append((off % frames if off >= frames else off, 0, n.key, 0))
    return sorted(out)


def _synth(soundfont: Path, rate: int, program: int, drums: bool) -> object:
    """A fresh sampler with the instrument on channel 0."""
    import tinysoundfont

    if not 0 <= program <= 127:
        raise RenderError(f"program is {program}, expected 0 to 127")
    try:
        size = soundfont.stat().st_size
    except OSError as error:
        raise RenderError(f"SoundFont {soundfont}: {error.strerror}; give a .sf2 file") from error
    if size > SOUNDFONT_BYTES_MAX:
        raise RenderError(
            f"SoundFont {soundfont}: {size} bytes, at most {SOUNDFONT_BYTES_MAX} allowed"
        )
    with soundfont.open("rb") as file:
        magic = file.read(12)
    if magic[:4] != b"RIFF" or magic[8:] != b"sfbk":
        raise RenderError(f"SoundFont {soundfont}: not a SoundFont 2 file; give a .sf2 file")
    synth = tinysoundfont.Synth(samplerate=rate)
    try:
        font = synth.sfload(str(soundfont), max_voices=MAX_SAMPLER_VOICES)
        synth.program_select(0, font, 128 if drums else 0, 0 if drums else program, drums)
    except Exception as error:
        raise RenderError(
            f"SoundFont {soundfont}: cannot play {'drums' if drums else f'program {program}'} "
            f"({error})"
        ) from error
    return synth


def _cuts(events: list[tuple[int, int, int, int]], frames: int) -> Iterator[tuple[int, int]]:
    """(from, to) stretches of a pass between events and multiples of GRID_FRAMES."""
    edges = {e[0] for e in events if e[0] < frames}
    edges |= set(range(0, frames, GRID_FRAMES)) | {frames}
    ordered = sorted(edges)
    yield from pairwise(ordered)


def _play(
    synth: object, events: list[tuple[int, int, int, int]], frames: int, until: int
) -> np.ndarray:
    """The next `until` frames of the loop, from its start: float32 (2, until)."""
    out = np.empty((until, 2), dtype=np.float32)
    due = iter(events)
    event = next(due, None)
    for start, end in _cuts(events, frames):
        if start >= until:
            break
        while event is not None and event[0] <= start:
            _, on, key, velocity = event
            if on:
                synth.noteon(0, key, velocity)  # type: ignore[attr-defined]
            else:
                synth.noteoff(0, key)  # type: ignore[attr-defined]
            event = next(due, None)
        count = min(end, until) - start
        block = synth.generate(count)  # type: ignore[attr-defined]
        out[start : start + count] = np.frombuffer(block, dtype=np.float32).reshape(count, 2)
    return out.T.copy()


def level(audio: np.ndarray, rate: int, request: StemRequest) -> tuple[np.ndarray, float]:
    """Gain to LOUDNESS_LUFS, less where a peak would pass PEAK_MAX_DB. Returns (audio, LUFS)."""
    import pyloudnorm

    peak = float(np.abs(audio).max())
    if not math.isfinite(peak):
        raise RenderError("the sampler gave values that are not numbers; try another SoundFont")
    repeats = max(1, math.ceil(METER_SECONDS * rate / audio.shape[1]))
    heard = np.tile(audio, (1, repeats)).T
    loudness = pyloudnorm.Meter(rate).integrated_loudness(heard) if peak > 0 else -math.inf
    if not math.isfinite(loudness) or loudness < LOUDNESS_LUFS - GAIN_MAX_DB:
        raise RenderError(
            f"stem {request.role} is silent ({loudness:.1f} LUFS): no notes, or notes that this "
            "program of the SoundFont does not sound"
        )
    room = PEAK_MAX_DB - 20.0 * math.log10(peak)
    gain_db = min(LOUDNESS_LUFS - loudness, room)
    return (audio * np.float32(10.0 ** (gain_db / 20.0))).astype(np.float32), loudness + gain_db

"""Training material for the shipped texture, made from numbers and the TimGM6mb SoundFont.

A clip is CLIP_FRAMES of mono float32 at 48 kHz with its pitch at every frame (Hz; 0: none).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.rave.model import RATE

CLIP_FRAMES = 2 * RATE
SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
# Brass, reeds, flutes, strings, voices, organs and warm pads: sounds that last.
PROGRAMS: tuple[int, ...] = (
    16,
    19,
    21,
    40,
    41,
    42,
    48,
    52,
    53,
    56,
    57,
    58,
    59,
    60,
    61,
    64,
    65,
    66,
    67,
    68,
)
PROGRAMS += (69, 70, 71, 73, 75, 79, 82, 88, 89, 91, 94)

Clip = tuple[np.ndarray, np.ndarray]


def swell(rng: np.random.Generator) -> np.ndarray:
    """An envelope (CLIP_FRAMES,) in 0..1: rise, plateau that breathes, fall."""
    rise, fall = rng.uniform(0.02, 0.9), rng.uniform(0.05, 0.8)
    t = np.arange(CLIP_FRAMES) / RATE
    shape = np.minimum(np.clip(t / rise, 0, 1), np.clip((2.0 - t) / fall, 0, 1)) ** rng.uniform(
        1, 2
    )
    return shape * (1 + rng.uniform(0, 0.3) * np.sin(2 * np.pi * rng.uniform(0.3, 5) * t))


def coloured(rng: np.random.Generator) -> np.ndarray:
    """Noise (CLIP_FRAMES,) with a random tilt and two random resonances; RMS 1."""
    hz = np.fft.rfftfreq(CLIP_FRAMES, 1 / RATE) + 20
    gain = (hz / 1000) ** rng.uniform(-1.5, 0.3)
    for _ in range(2):
        centre, width = rng.uniform(150, 6000), rng.uniform(0.1, 1.0)
        gain *= 1 + rng.uniform(0, 20) * np.exp(-((np.log2(hz / centre) / width) ** 2))
    spectrum = np.fft.rfft(rng.standard_normal(CLIP_FRAMES)) * gain
    noise = np.fft.irfft(spectrum, CLIP_FRAMES)
    return noise / np.sqrt(np.mean(noise**2))


def noise_clip(rng: np.random.Generator) -> Clip:
    return coloured(rng) * swell(rng), np.zeros(CLIP_FRAMES)


def tone_clip(rng: np.random.Generator, low: bool = False) -> Clip:
    """A bowed or blown tone: harmonics under a tilt and two formants, vibrato, glide, breath.

    low: 45 to 260 Hz with strong formants and a weak fundamental, as low brass has it.
    """
    t = np.arange(CLIP_FRAMES) / RATE
    octave = rng.uniform(np.log2(45), np.log2(260 if low else 1100))
    bend = rng.choice([0.0, rng.uniform(-1, 1)]) * np.clip((t - 0.6) / rng.uniform(0.1, 0.8), 0, 1)
    vibrato = rng.uniform(0, 0.03) * np.sin(2 * np.pi * rng.uniform(4, 7) * t) * np.clip(t, 0, 1)
    hz = np.clip(2 ** (octave + bend + vibrato), 42, 1250)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    envelope = swell(rng)
    # As a trombone does, louder is brighter.
    tilt = rng.uniform(0.6, 2.5) + rng.uniform(0, 1.0) * (1 - envelope)
    formants = [(rng.uniform(250, 4000), rng.uniform(0.3, 1.0), rng.uniform(0, 6)) for _ in (0, 1)]
    weak = np.ones(41)
    if low:
        formants = [
            (rng.uniform(250, 1800), rng.uniform(0.2, 1.2), rng.uniform(0, 40)) for _ in (0, 1)
        ]
        weak[1:4] = rng.uniform(0.02, 1.0, 3)
    odd = rng.choice([1.0, 1.0, rng.uniform(0.05, 0.6)])
    out = np.zeros(CLIP_FRAMES)
    for k in range(1, 41):
        if k * hz.min() > 18000:
            break
        at = k * hz
        gain = weak[k] * k ** (-tilt) * (odd if k % 2 == 0 else 1.0) * (at < 20000)
        for centre, width, height in formants:
            gain = gain * (1 + height * np.exp(-((np.log2(at / centre) / width) ** 2)))
        out += gain * np.sin(k * phase + rng.uniform(0, 6.28))
    out /= np.sqrt(np.mean(out**2))
    breath = 10 ** (rng.uniform(-60, -15) / 20) * coloured(rng)
    return (out + breath) * envelope, np.where(envelope > 0.02, hz, 0.0)


def soundfont_clip(rng: np.random.Generator) -> Clip:
    """One or two notes of a lasting instrument of TimGM6mb."""
    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=RATE)
    font = synth.sfload(str(SOUNDFONT))
    synth.program_select(0, font, 0, int(rng.choice(PROGRAMS)))
    hz = np.zeros(CLIP_FRAMES)
    parts: list[np.ndarray] = []
    key = int(rng.integers(34, 80))
    for frames in rng.permutation([RATE * 3 // 4, CLIP_FRAMES - RATE * 3 // 4]):
        synth.noteon(0, key, int(rng.integers(50, 127)))
        start = sum(map(len, parts))
        for count in (int(frames) - 4800, 4800):
            stereo = np.frombuffer(synth.generate(count), np.float32).reshape(-1, 2)
            parts.append(stereo.mean(1))
            synth.notes_off(0)
        hz[start : start + int(frames)] = 440 * 2 ** ((key - 69) / 12)
        key = int(np.clip(key + rng.integers(-7, 8), 34, 80))
    return np.concatenate(parts).astype(np.float64), hz


def low_clip(rng: np.random.Generator) -> Clip:
    return tone_clip(rng, low=True)


Kind = Callable[[np.random.Generator], Clip]
MIXED: tuple[Kind, ...] = (tone_clip, soundfont_clip, tone_clip, soundfont_clip, noise_clip)
LOWER: tuple[Kind, ...] = (
    tone_clip,
    soundfont_clip,
    low_clip,
    soundfont_clip,
    noise_clip,
    low_clip,
)


def clips(count: int, seed: int, kinds: tuple[Kind, ...]) -> tuple[np.ndarray, np.ndarray]:
    """-> sound float32 (count, CLIP_FRAMES), pitch in Hz float32 of the same shape (0: none)."""
    rng = np.random.default_rng(seed)
    sound = np.zeros((count, CLIP_FRAMES), np.float32)
    pitch = np.zeros((count, CLIP_FRAMES), np.float32)
    for i in range(count):
        audio, hz = kinds[i % len(kinds)](rng)
        loud = np.sqrt(np.mean(audio**2)) + 1e-9
        audio = audio * 10 ** (rng.uniform(-42, -11) / 20) / loud
        audio += 10 ** (rng.uniform(-95, -65) / 20) * rng.standard_normal(CLIP_FRAMES)
        sound[i], pitch[i] = np.clip(audio, -1, 1), hz
    return sound, pitch

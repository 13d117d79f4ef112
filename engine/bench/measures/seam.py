"""seam {step_db, level_db, flux_ratio, joins, bounds, within}: what is heard of a stem's joins.

Stems of the rules, one a part, rendered as on stage, play against a clock whose tempo swings by 3 %
either way (moving.py). Each crossfade is compared with the two runs of the stem that it joins, as
they would have sounded by themselves:

  step_db     largest step from sample to sample, over the largest in either run
  level_db    power over the mean of both runs', either way
  flux_ratio  spectral flux (half-wave rectified, of magnitudes to the power 0.5; 20 ms windows,
              5 ms apart) beyond that of either run there, over the flux of the stem's own changes
              (what one in twenty of its windows passes)

Each is the 95th percentile of all joins. `within`: all are inside `bounds`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.bench.measures import MeasureError
from engine.bench.measures.moving import BARS, BPM, RATE, Moved, perform
from engine.patch import Patch
from engine.slices import FADE_S
from engine.soundfont import find_soundfont
from engine.stem import StemRequest
from engine.stem_render import render
from engine.worker import load_maker

SECONDS = 30.0
PARTS = {"drums": 0, "bass": 33, "chords": 4, "pads": 89, "arp": 11, "melody": 73}
BOUNDS = {"step_db": 1.0, "level_db": 3.0, "flux_ratio": 0.5}
WINDOW, HOP = 960, 240


def parts(maker: str = "rules") -> dict[str, np.ndarray]:
    """Each part's stem, float32 (2, frames): BARS bars at BPM. Raises MeasureError."""
    soundfont = find_soundfont(Patch())
    if soundfont is None:
        raise MeasureError("no SoundFont found: install timgm6mb-soundfont")
    out = {}
    for i, (role, program) in enumerate(PARTS.items()):
        request, drums = StemRequest(i + 1, role, BARS, BPM, seed=i + 1), role == "drums"
        made = load_maker(maker, None, RATE, {"program": program, "drums": drums})
        notes = made.generate(request, lambda _: None, lambda: False)
        audio = render(request, notes, soundfont, RATE, program, drums).audio
        assert audio is not None
        out[role] = audio
    return out


def flux(x: np.ndarray) -> np.ndarray:
    """Spectral flux of mono audio, one value a HOP."""
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    spectra = np.sqrt(np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)))
    rise: np.ndarray = np.maximum(np.diff(spectra, axis=0), 0.0).sum(axis=1)
    return rise


def _db(power: float) -> float:
    return float(10.0 * np.log10(max(power, 1e-20)))


def joins_of(stem: np.ndarray, moved: Moved) -> np.ndarray:
    """(joins, 3): step_db, level_db, flux_ratio of each join heard of a stem (2, frames)."""
    size, fade = stem.shape[1], round(FADE_S * RATE)
    usual = np.percentile(flux(np.tile(stem.sum(axis=0), 2)), 95)
    loud = float(np.mean(stem**2))
    rows = []
    for frame, before, after in moved.joins:
        around = np.arange(frame - WINDOW - HOP, frame + fade + WINDOW + HOP)
        if around[-1] >= moved.audio.shape[1]:
            break
        heard = moved.audio[:, around]
        runs = [stem[:, (around + shift) % size] for shift in (before, after)]
        inner = slice(WINDOW + HOP - 1, WINDOW + HOP + fade + 1)  # the steps into it and out
        steps = [np.abs(np.diff(x[:, inner])).max() for x in (heard, *runs)]
        powers = [float(np.mean(x[:, inner] ** 2)) for x in (heard, *runs)]
        rise = [flux(x.sum(axis=0)) for x in (heard, *runs)]
        floor = loud * 1e-4  # 40 dB below the stem nothing is heard of a seam
        rows.append(
            (
                _db((steps[0] ** 2 + floor) / (max(steps[1:]) ** 2 + floor)),
                abs(_db((powers[0] + floor) / ((powers[1] + powers[2]) / 2 + floor))),
                (rise[0] - np.maximum(rise[1], rise[2])).max() / usual,
            )
        )
    return np.array(rows)


def measure() -> dict[str, Any]:
    rows = np.concatenate([joins_of(x, perform(x, SECONDS)) for x in parts().values()])
    if not len(rows):
        raise MeasureError("nothing was joined; run the tests")
    values = [round(float(v), 3) for v in np.percentile(rows, 95, axis=0)]
    figures = dict(zip(BOUNDS, values, strict=True))
    within = all(figures[name] <= bound for name, bound in BOUNDS.items())
    return {"seam": {**figures, "joins": len(rows), "bounds": BOUNDS, "within": within}}

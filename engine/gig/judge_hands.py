"""What the judge holds against what hands did: DRY, captures, fills. Pure functions on captures, as
those of engine/gig/judge.py; each finding is (kind, bus, frame, frames).

dry_late        stretches of generated sound from DRY_SECONDS after DRY was pressed until it is
                pressed again
capture_errors  captures that are not heard at the phrase they were to come in at, or are not the
                bars that were played: the bus is cut into windows of 0.1 s, and each is looked for
                in the dry channel at the beat it was captured from, REACH_SECONDS either way: the
                drummer drifts, so bars that come again are longer or shorter than they were. A
                window is found where the two agree (normalised correlation) to ALIKE, within
                TOGETHER_SECONDS of the offset that most of those have that can tell (a held note
                agrees at many places). FOUND of the windows that sound have to be found, and the
                offset has to be within ENTRY_SECONDS
fill_errors     fills that do not begin within ENTRY_SECONDS of their bar line or sound for less
                than half of it; and sound on a fill's bus where none was asked for

A press that had nothing to do (nothing generated sounded before DRY) proves nothing: proofs() names
those, and they are listed as skipped.
"""

from __future__ import annotations

import numpy as np

from engine.gig.night import Captured, Fill, Night, Span

Wrong = tuple[str, str, int, int]
HAND_KEYS = ("dry_late", "capture_errors", "fill_errors")
SILENCE = 1e-3  # -60 dBFS
DRY_SECONDS = 0.050
BEFORE_SECONDS = 0.5  # generated sound this soon before DRY proves that DRY took it
WINDOW_SECONDS = 0.1
REACH_SECONDS = 0.15
TOGETHER_SECONDS = 0.03
ALIKE = 0.85
TELLS = 0.05  # so much less does a window that can tell the time agree elsewhere
FOUND = 0.6
ENTRY_SECONDS = 0.070
RING_SECONDS = 0.6  # a drum that was struck before the end of its fill


def loud_spans(bus: np.ndarray, span: Span, apart: float) -> list[Span]:
    """Stretches of a mono bus over SILENCE in a span; those closer than `apart` frames are one."""
    first, last = max(span[0], 0), min(span[1], len(bus))
    loud = first + np.flatnonzero(np.abs(bus[first:last]) > SILENCE)
    if not len(loud):
        return []
    cuts = np.flatnonzero(np.diff(loud) > apart)
    starts = loud[np.concatenate([[0], cuts + 1])]
    ends = loud[np.concatenate([cuts, [len(loud) - 1]])]
    return [(int(a), int(b) + 1) for a, b in zip(starts, ends, strict=True)]


def find_dry_late(night: Night) -> list[Wrong]:
    """See the module."""
    late = round(DRY_SECONDS * night.rate)
    return [
        ("dry_late", name, a, b - a)
        for pressed, until in night.dries
        for name, bus in night.ai.items()
        for a, b in loud_spans(bus, (pressed + late, until), night.rate)
    ]


def proofs(night: Night) -> list[str]:
    """What hands did that shows nothing, for people."""
    near = round(BEFORE_SECONDS * night.rate)
    return [
        f"DRY at {pressed / night.rate:.1f} s: nothing generated sounded before it"
        for pressed, _ in night.dries
        if not any(loud_spans(b, (pressed - near, pressed), night.rate) for b in night.ai.values())
    ]


def likeness(window: np.ndarray, around: np.ndarray) -> np.ndarray:
    """How a window agrees with each place in `around`: normalised correlations."""
    size = 1 << int(np.ceil(np.log2(len(around) + len(window))))
    spectrum = np.fft.rfft(around, size) * np.conj(np.fft.rfft(window, size))
    places = len(around) - len(window) + 1
    products = np.fft.irfft(spectrum, size)[:places]
    total = np.concatenate([[0.0], np.cumsum(around**2)])
    energy = (total[len(window) :] - total[: -len(window)])[:places]
    own = float(np.sum(window**2))
    return np.asarray(products / np.sqrt(np.maximum(energy * own, 1e-18)))


def placed(
    heard: np.ndarray, played: np.ndarray, where: np.ndarray, rate: int
) -> tuple[float, float]:
    """(share of the sounding windows of `heard` that are found, seconds by which it is late against
    where it belongs). where: for each frame of `heard` the frame of `played` that belongs there,
    float64; `played` reaches REACH_SECONDS farther on both sides."""
    size, reach, together = (
        round(s * rate) for s in (WINDOW_SECONDS, REACH_SECONDS, TOGETHER_SECONDS)
    )
    curves, telling, best = [], [], []
    for first in range(0, len(heard) - size + 1, size // 2):  # a note begins within one of them
        window = heard[first : first + size].astype(np.float64)
        at = round(float(where[first]))
        around = played[max(at - reach, 0) : at + size + reach].astype(np.float64)
        if np.abs(window).max() <= SILENCE and np.abs(around[reach:-reach]).max() <= SILENCE:
            continue
        curve = likeness(window, around)
        peak = int(np.argmax(curve))
        rest = np.concatenate([curve[: max(peak - together, 0)], curve[peak + together :]])
        curves.append(curve)
        best.append(peak)
        telling.append(curve[peak] >= max(ALIKE, rest.max(initial=-1.0) + TELLS))
    if not any(telling):
        return 0.0, 0.0
    middle = int(np.median(np.array(best)[telling]))
    near = slice(max(middle - together, 0), middle + together + 1)
    return float(np.mean([c[near].max() >= ALIKE for c in curves])), (reach - middle) / rate


def _belongs(night: Night, taken: Captured) -> np.ndarray:
    """For each frame from `enters` on, over as many beats as were captured, the frame that was
    captured at its beat (float64)."""
    song = next(s for s in night.songs if s.first <= taken.first <= s.last)
    numbers = np.arange(len(song.beats))
    first, last, enters = np.interp([taken.first, taken.last, taken.enters], song.beats, numbers)
    end = int(np.interp(enters + last - first, numbers, song.beats))
    beats = np.interp(np.arange(taken.enters, end), song.beats, numbers) - enters
    return np.interp(first + beats, numbers, song.beats)


def _capture_wrong(night: Night, taken: Captured) -> bool:
    rate = night.rate
    bus, dry = night.stems[taken.bus], night.dry[taken.source]
    near, reach = round(ENTRY_SECONDS * rate), round(REACH_SECONDS * rate)
    where = _belongs(night, taken)
    end = taken.enters + len(where)
    if taken.first < reach or max(taken.last + reach, end) > night.frames or not len(where):
        return True
    early = loud_spans(bus, (taken.enters - 4 * near, taken.enters - near), rate)
    share, late = placed(bus[taken.enters : end], dry.heard, where, rate)
    return bool(early) or share < FOUND or abs(late) > ENTRY_SECONDS


def find_capture_errors(night: Night) -> list[Wrong]:
    """See the module."""
    return [
        ("capture_errors", taken.bus, taken.enters, taken.last - taken.first)
        for taken in night.captures
        if _capture_wrong(night, taken)
    ]


def _fill_wrong(night: Night, fill: Fill) -> bool:
    near = round(ENTRY_SECONDS * night.rate)
    spans = loud_spans(night.stems[fill.bus], (fill.first - near, fill.last), night.rate)
    if not spans:
        return True
    begins, ends = spans[0][0], spans[-1][1]
    return abs(begins - fill.first) > near or ends - begins < (fill.last - fill.first) / 2


def find_fill_errors(night: Night) -> list[Wrong]:
    """See the module."""
    wrong: list[Wrong] = [
        ("fill_errors", fill.bus, fill.first, fill.last - fill.first)
        for fill in night.fills
        if _fill_wrong(night, fill)
    ]
    near, ring = (round(s * night.rate) for s in (ENTRY_SECONDS, RING_SECONDS))
    for name in {fill.bus for fill in night.fills}:
        mine = [f for f in night.fills if f.bus == name]
        bounds = sorted([0, night.frames, *(f.first - near for f in mine),
                         *(f.last + ring for f in mine)])  # fmt: skip
        for span in zip(bounds[::2], bounds[1::2], strict=True):
            found = loud_spans(night.stems[name], span, night.rate)
            wrong += [("fill_errors", name, a, b - a) for a, b in found]
    return wrong


def find_of_hands(night: Night) -> list[Wrong]:
    """All findings of this module."""
    return find_dry_late(night) + find_capture_errors(night) + find_fill_errors(night)

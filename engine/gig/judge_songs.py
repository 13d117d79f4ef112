"""What the judge holds against songs, scenes and standby. Pure functions on captures, as those of
engine/gig/judge.py; each finding is (kind, bus, frame, frames).

count_in_errors        a count-in without exactly one click a beat, each within CLICK_SECONDS of the
                       drummer's own beat; and clicks outside every count-in
count_in_in_hall       count-ins in which the hall hears something that none of the buses feeding it
                       carries (over RESIDUE): the click has got out
click_off_its_bus      count-ins whose clicks are to be heard in any other single bus: what a dry
                       channel carries beyond its input, or a generated bus at all, agrees with
                       the click (normalised correlation over AGREES)
ai_sound_in_standby    stretches of generated sound while the band is in standby
scene_errors           stretches of generated sound on a bus that a scene has off
"""

from __future__ import annotations

import numpy as np

from engine.gig.night import Night, Span

Wrong = tuple[str, str, int, int]
SILENCE = 1e-3  # -60 dBFS
RESIDUE = 3e-3  # -50 dBFS: float32 sums, and the limiter at rest, stay far below
CLICK_SECONDS = 0.060  # of a hand's press, a pedal's way and a drummer's hit
APART_SECONDS = 0.1  # sounds closer than this are one
AGREES = 0.3
SONG_KEYS = (
    "count_in_errors",
    "count_in_in_hall",
    "click_off_its_bus",
    "ai_sound_in_standby",
    "scene_errors",
)


def struck(bus: np.ndarray, rate: int) -> np.ndarray:
    """Frames at which a bus begins to sound after at least APART_SECONDS of silence."""
    loud = np.flatnonzero(np.abs(bus) > SILENCE)
    if not len(loud):
        return loud
    return loud[np.diff(loud, prepend=loud[0] - 10 * rate) > APART_SECONDS * rate]


def find_count_in_errors(night: Night) -> list[Wrong]:
    """See the module."""
    if night.click is None:
        return []
    heard = struck(night.click, night.rate)
    near = CLICK_SECONDS * night.rate
    wrong: list[Wrong] = []
    inside = np.zeros(len(heard), bool)
    for first, one in night.count_ins:
        mine = (heard > first - near) & (heard < one - near)
        inside |= mine
        beats = next(s.beats_per_bar for s in night.songs if s.first <= one <= s.last)
        wanted = first + (one - first) * np.arange(beats) / beats
        good = mine.sum() == beats and np.abs(heard[mine] - wanted).max() <= near
        if not good:
            wrong.append(("count_in_errors", "click", first, one - first))
    return wrong + [("count_in_errors", "click", int(f), 1) for f in heard[~inside]]


def find_count_in_in_hall(night: Night) -> list[Wrong]:
    """Main is the sum of its feeds, each captured alone at the gain it has there."""
    wrong: list[Wrong] = []
    for first, one in night.count_ins:
        hall = night.main[first:one].mean(axis=1)
        feeds = [p.heard[first:one] for p in night.dry.values()]
        feeds += [bus[first:one] for bus in night.ai.values()]
        residue = np.abs(hall - np.sum(feeds, axis=0)) > RESIDUE
        if residue[~night.excused_mask(night.rate // 100)[first:one]].any():
            wrong.append(("count_in_in_hall", "main", first, int(residue.sum())))
    return wrong


def find_click_off_its_bus(night: Night) -> list[Wrong]:
    """See the module. All outputs of one client leave together, so clicks would stand there at the
    same frames."""
    if night.click is None:
        return []
    wrong: list[Wrong] = []
    for first, one in night.count_ins:
        click = night.click[first:one].astype(np.float64)
        excused = night.excused_mask(night.rate // 100)[first:one]
        rests = {name: bus[first:one] for name, bus in night.ai.items()}
        for name, path in night.dry.items():
            own = path.played[first - path.delay : one - path.delay]
            rests[name] = path.heard[first:one] - path.gain * own
        for name, rest in rests.items():
            mono = np.where(excused, 0.0, rest if rest.ndim == 1 else rest.mean(axis=1))
            size = np.sqrt((mono**2).sum() * (click**2).sum())
            agrees = size > 0.0 and (mono * click).sum() / size > AGREES
            if agrees and np.abs(mono).max() > SILENCE:
                wrong.append(("click_off_its_bus", name, first, one - first))
    return wrong


def _sounding(bus: np.ndarray, span: Span, rate: int) -> list[Span]:
    first, last = span
    loud = first + np.flatnonzero(np.abs(bus[first:last]) > SILENCE)
    if not len(loud):
        return []
    cuts = np.flatnonzero(np.diff(loud) > rate)
    starts = loud[np.concatenate([[0], cuts + 1])]
    ends = loud[np.concatenate([cuts, [len(loud) - 1]])]
    return [(int(a), int(b) + 1) for a, b in zip(starts, ends, strict=True)]


def find_of_songs(night: Night) -> list[Wrong]:
    """All findings of this module."""
    wrong = find_count_in_errors(night) + find_count_in_in_hall(night)
    wrong += find_click_off_its_bus(night)
    for name, bus in night.ai.items():
        for kind, spans in (
            ("ai_sound_in_standby", night.standbys),
            ("scene_errors", night.muted.get(name, ())),
        ):
            for span in spans:
                for a, b in _sounding(bus, span, night.rate):
                    wrong.append((kind, name, a, b - a))
    return wrong

"""The gig's three songs as a plan: when the drummer's beats fall, and what hands and keys do when.

Musical times are bars and beats of the drummer, who drifts; `Truth` turns them into frames. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

BEATS_PER_BAR = 4
PHRASE_BARS = 4
LEAD = (0.02, 8.0, 16.0)  # share of the night, seconds at least and at most, before the first song
APPLAUSE = (0.06, 24.0, 40.0)  # between two, in standby
OUTRO_S = 10.0  # after the last note
TAIL_S = 4.0  # answers and textures may ring so long
BARS_MIN = 16
FADE_BARS = 2.0  # of the last song's ending
CAPTURE_BAR = 8  # of the first song: a phrase after the trombone has begun
CAPTURED_BARS = 2  # as the role in patches/gig.yaml has it
LOOPS_BARS = 8  # so long a captured stem plays in a song that has room for more


class Do(Enum):
    """What happens at a cue. `what` of a cue is a role where one is meant."""

    ONE = "this is one"
    TAP = "tap"
    LET_IN = "let in"  # toggles
    QUEUE = "queue a stem"
    STOP = "stop a role"
    DRY = "DRY"  # toggles
    KILL = "kill the conductor"
    SCENE = "next scene"
    END = "end"
    SONG = "next song"
    STANDBY = "standby"  # toggles; the end of a song is one, too
    CAPTURE = "capture"  # into a role: the last bars of what it listens to
    PAGE = "look at a role"
    FILL = "fill"  # of a role: as the last bar of the phrase


@dataclass(frozen=True)
class Cue:
    """bar: of the song, fractional; 0 is the first after the count-in."""

    bar: float
    do: Do
    what: str = ""


@dataclass(frozen=True)
class SongPlan:
    """bpm: what the drummer means to play. drift: share by which the tempo wanders, over
    drift_beats. count_in: segue counts in, for a bar. calls: bars in which the keyboard plays.
    trombone: the bar in which it begins, or None."""

    name: str
    bpm: float
    drift: float
    drift_beats: float
    bars: int
    cues: tuple[Cue, ...]
    calls: tuple[int, ...]
    trombone: int | None = None
    count_in: bool = False
    ends_with_fill: bool = False


def first_one(plan: SongPlan) -> float:
    """The bar that phrases are counted from: where a hand says the one is."""
    return next((c.bar for c in plan.cues if c.do is Do.ONE), 0.0)


@dataclass(frozen=True)
class Truth:
    """Frames of the drummer's beats: index 0 is the first beat after the count-in; `lead` beats
    come before it and some follow after the song's end. Frames count from the night's begin."""

    plan: SongPlan
    frames: np.ndarray
    lead: int = BEATS_PER_BAR

    def at(self, bar: float) -> int:
        """The frame of a bar (fractional; negative: in the count-in)."""
        return round(self.at_beat(bar * BEATS_PER_BAR))

    def at_beat(self, beat: float) -> float:
        place = np.arange(len(self.frames)) - self.lead
        return float(np.interp(beat, place, self.frames))

    def bar_at(self, frame: float) -> float:
        """The bar (fractional) at a frame."""
        place = np.arange(len(self.frames)) - self.lead
        return float(np.interp(frame, self.frames, place)) / BEATS_PER_BAR

    @property
    def beats(self) -> np.ndarray:
        """Frames of the song's own beats, a few beyond its end included."""
        return np.round(self.frames[self.lead :]).astype(np.int64)

    @property
    def end(self) -> int:
        """The frame of the bar line that ends the song."""
        return self.at(self.plan.bars)


def truth(plan: SongPlan, rate: int, first: float) -> Truth:
    """The beats of a song whose count-in begins at frame `first`. Tempo: a slow sine around what
    was meant, so two beats in a row differ by a few thousandths at most."""
    count = BEATS_PER_BAR * (plan.bars + 3)
    phase = 2.0 * math.pi * (np.arange(count - 1) - BEATS_PER_BAR) / plan.drift_beats
    bpm = plan.bpm * (1.0 + plan.drift * np.sin(phase))
    steps = np.cumsum(60.0 * rate / bpm)
    return Truth(plan, first + np.concatenate([[0.0], steps]))


def _queues(first: int, last: int, roles: tuple[str, ...]) -> list[Cue]:
    """Late in the bar before each phrase from `first` to `last`, the next role gets a stem; in the
    first phrase two do."""
    cues = []
    for k, bar in enumerate(range(first, last + 1, PHRASE_BARS)):
        cues.append(Cue(bar - 1.5, Do.QUEUE, roles[k % len(roles)]))
        if k == 0 and len(roles) > 1:
            cues.append(Cue(bar - 1.2, Do.QUEUE, roles[-1]))
    return cues


def scene_bar(bars: int) -> int:
    """The bar line of the first song at which its scene changes."""
    return PHRASE_BARS * max(2, bars // (2 * PHRASE_BARS)) + 2


def follow_song(bars: int) -> SongPlan:
    """Stems, answers and a texture, on a clock that follows the drummer; two bars of the trombone
    are captured and come again, a fill leads into a phrase. bars: a multiple of 4."""
    cues = [
        Cue(0.0, Do.ONE),
        Cue(0.6, Do.LET_IN),
        *_queues(4, bars - 4, ("bass", "chords", "percussion")),
        Cue(CAPTURE_BAR - 0.4, Do.PAGE, "loops"),
        Cue(CAPTURE_BAR + 0.15, Do.CAPTURE, "loops"),
        Cue(CAPTURE_BAR + 1.6, Do.FILL, "fill"),
        Cue(scene_bar(bars) - 0.6, Do.SCENE),
        Cue(bars - 1.5, Do.END),
    ]
    if bars > CAPTURE_BAR + PHRASE_BARS + LOOPS_BARS:
        cues.append(Cue(CAPTURE_BAR + PHRASE_BARS + LOOPS_BARS - 1.3, Do.STOP, "loops"))
    return SongPlan(
        name="follow",
        bpm=104.0,
        drift=0.015,
        drift_beats=72.0,
        bars=bars,
        cues=tuple(sorted(cues, key=lambda c: c.bar)),
        calls=tuple(range(1, bars - 4, 4)),
        trombone=4,
    )


def wrong_tempo_song(bars: int) -> SongPlan:
    """The song's tempo in the patch is 12 % too slow; four taps correct it. Phrases are counted
    from bar 1 on. The conductor is killed in the middle; a fill ends it. bars: a multiple of 4, and
    one."""
    middle = 1 + PHRASE_BARS * ((bars // 2) // PHRASE_BARS) + 1.5
    cues = [
        *(Cue(beat / BEATS_PER_BAR, Do.TAP) for beat in range(4)),
        Cue(1.0, Do.ONE),
        Cue(1.6, Do.LET_IN),
        *_queues(5, bars - 4, ("bass", "percussion")),
        Cue(middle, Do.KILL),
        Cue(bars - 1.5, Do.END),
    ]
    return SongPlan(
        name="wrong tempo",
        bpm=116.0,
        drift=-0.015,
        drift_beats=80.0,
        bars=bars,
        cues=tuple(sorted(cues, key=lambda c: c.bar)),
        calls=tuple(range(2, bars - 4, 4)),
        ends_with_fill=True,
    )


def ending_song(bars: int) -> SongPlan:
    """Counted in by segue; four bars of DRY, then an ending: a fade over the last two bars. bars:
    as the first song's."""
    dry = PHRASE_BARS * max(2, bars // (2 * PHRASE_BARS)) + 1
    roles = ("chords", "bass")
    cues = [
        *_queues(4, bars - 4, roles),
        Cue(float(dry), Do.DRY),
        Cue(dry + 3.0, Do.DRY),
        Cue(bars - FADE_BARS - 0.5, Do.END),
    ]
    return SongPlan(
        name="ending",
        bpm=96.0,
        drift=0.02,
        drift_beats=96.0,
        bars=bars,
        cues=tuple(sorted(cues, key=lambda c: c.bar)),
        calls=tuple(range(1, bars - 4, 4)),
        trombone=2,
        count_in=True,
    )


def bars_for(seconds: float, bpm: float) -> int:
    """The most phrases that fit into so many seconds, in bars; at least BARS_MIN."""
    phrase = PHRASE_BARS * BEATS_PER_BAR * 60.0 / bpm
    return max(BARS_MIN, PHRASE_BARS * int(seconds / phrase))


@dataclass
class Evening:
    """The whole plan. frames: its length. songs: each with its truth, in order."""

    rate: int
    frames: int
    songs: list[Truth] = field(default_factory=list)


def evening(minutes: float, rate: int) -> Evening:
    """Three songs, applause between them, in `minutes` (longer when they are too few)."""
    lead, applause = (min(max(a * minutes * 60.0, b), c) for a, b, c in (LEAD, APPLAUSE))
    share = (minutes * 60.0 - lead - 2 * applause - OUTRO_S) / 3.0
    plans = [
        follow_song(bars_for(share, 104.0)),
        wrong_tempo_song(bars_for(share, 116.0) + 1),
        ending_song(bars_for(share, 96.0)),
    ]
    songs = []
    at = lead * rate
    for plan in plans:
        song = truth(plan, rate, at)
        songs.append(song)
        at = song.end + applause * rate
    length = max(round(minutes * 60.0 * rate), songs[-1].end + round(OUTRO_S * rate))
    return Evening(rate, length, songs)

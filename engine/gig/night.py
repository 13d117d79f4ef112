"""A night as the audience's own recorder has it: what independent JACK clients captured, and truth.

Nothing here comes from segue but which cycles it says it missed. All frames are indices into the
arrays; JACK frame = start + index. All arrays are float32 and equally long; a bus of n channels is
(frames, n).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Span = tuple[int, int]  # first frame, frame after the last


@dataclass(frozen=True)
class Song:
    """first, last: its span. beats: frames of the drummer's true beats in order, beats[0] a bar
    line (after any count-in). tail: frames after `last` in which AI sound may still ring out."""

    name: str
    first: int
    last: int
    beats: np.ndarray
    beats_per_bar: int = 4
    tail: int = 0

    @property
    def bars(self) -> np.ndarray:
        """Frames of its bar lines."""
        return self.beats[:: self.beats_per_bar]

    def bar_frames(self, frame: int) -> float:
        """Length in frames of the bar at a frame (of the nearest whole bar at the edges)."""
        bars = self.bars
        k = int(np.clip(np.searchsorted(bars, frame, "right") - 1, 0, len(bars) - 2))
        return float(bars[k + 1] - bars[k])


@dataclass(frozen=True)
class DryPath:
    """played: the input as its player sent it. heard: the channel that carries it alone, dry.
    gain: linear. delay: frames from played to heard."""

    played: np.ndarray
    heard: np.ndarray
    gain: float = 1.0
    delay: int = 0


@dataclass(frozen=True)
class Fault:
    """What was done to segue on purpose: `name` (conductor killed, wrong tempo ...) at `frame`."""

    name: str
    frame: int


@dataclass(frozen=True)
class Captured:
    """Bars that a hand captured. source: the dry input; bus: the stems bus that carries nothing
    else. first, last: true bar lines around what was played; enters: where it is to come again."""

    source: str
    bus: str
    first: int
    last: int
    enters: int


@dataclass(frozen=True)
class Fill:
    """A fill that was asked for. bus: the stems bus that carries fills alone. first, last: the true
    bar lines it goes from and to."""

    bus: str
    first: int
    last: int


@dataclass(frozen=True)
class Loops:
    """Looping stems that hands had come in in a song, one at a time. bus: the stems bus that
    carries nothing else. beats: of a pass. lines: the true phrase lines at which one had to come
    in, in order; after `end` they are not judged as they are, and from `gone` on (None: from there)
    nothing of them is left. hidden: spans in which they may not be heard as they are (DRY, a fill
    in their place). struck: every note of theirs begins sharply."""

    bus: str
    song: str
    beats: int
    lines: tuple[int, ...]
    end: int
    hidden: tuple[Span, ...] = ()
    struck: bool = False
    gone: int | None = None


@dataclass(frozen=True)
class Voltages:
    """What a voice tells a synthesizer, in volts: pitch (1 V/octave, 0 V: MIDI note 60) and gate.
    bus: the answers bus that carries that voice alone."""

    bus: str
    pitch: np.ndarray
    gate: np.ndarray
    gate_volts: float = 5.0


@dataclass
class Night:
    """What judge() hears.

    rate: Hz. start: JACK frame of index 0. songs: in order. dry: by input. main: what the hall
    hears. stems, answers, textures: buses that carry only that, by name. notes: for each answers
    bus the frames of every note on and off that was played to it. excused: spans in which a native
    client, or the recorder itself, missed cycles too. skipped: names of what the gig left out.
    click: the bus that counts in. count_ins: from its first beat to the song's. standbys: spans in
    which nothing generated may be heard. muted: spans in which a scene has an AI bus off, by name.
    dries: from a hand's press of DRY to the next. captures, loops, fills: what hands asked for;
    buses of fills are silent otherwise. voltages: control voltages of voices. missed: first frames
    of cycles that segue says it missed (judge_misses.py); block: frames of the server's period.
    """

    rate: int
    start: int
    songs: Sequence[Song]
    main: np.ndarray
    dry: dict[str, DryPath] = field(default_factory=dict)
    stems: dict[str, np.ndarray] = field(default_factory=dict)
    answers: dict[str, np.ndarray] = field(default_factory=dict)
    textures: dict[str, np.ndarray] = field(default_factory=dict)
    notes: dict[str, np.ndarray] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    excused: Sequence[Span] = ()
    skipped: Sequence[str] = ()
    click: np.ndarray | None = None
    count_ins: Sequence[Span] = ()
    standbys: Sequence[Span] = ()
    muted: dict[str, Sequence[Span]] = field(default_factory=dict)
    dries: Sequence[Span] = ()
    captures: Sequence[Captured] = ()
    loops: Sequence[Loops] = ()
    fills: Sequence[Fill] = ()
    voltages: Sequence[Voltages] = ()
    missed: Sequence[int] = ()
    block: int = 128

    @property
    def frames(self) -> int:
        return len(self.main)

    @property
    def ai(self) -> dict[str, np.ndarray]:
        """Every bus that only generated sound reaches."""
        return {**self.stems, **self.answers, **self.textures}

    def excused_mask(self, around: int = 0) -> np.ndarray:
        """bool (frames,): inside an excused span, or within `around` frames of one."""
        mask = np.zeros(self.frames, bool)
        for first, last in self.excused:
            mask[max(first - around, 0) : max(last + around, 0)] = True
        return mask

    def __post_init__(self) -> None:
        arrays = {"main": self.main, **self.ai}
        for name, path in self.dry.items():
            arrays |= {f"{name} played": path.played, f"{name} heard": path.heard}
        for k, volts in enumerate(self.voltages):
            arrays |= {f"pitch {k}": volts.pitch, f"gate {k}": volts.gate}
        for name, array in arrays.items():
            if len(array) != self.frames:
                raise ValueError(f"{name} has {len(array)} frames, main has {self.frames}")
        for song in self.songs:
            if len(song.bars) < 2 or not 0 <= song.first < song.last <= self.frames:
                raise ValueError(f"song {song.name}: needs two bar lines and a span in the night")

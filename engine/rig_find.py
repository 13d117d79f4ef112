"""Which channel is played, which port is pressed: decisions, without a device. Pure.

Levels are dB of RMS over a window of WINDOW_S.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

WINDOW_S = 0.1
ABOVE_NOISE_DB = 12.0  # what is played rises so far above the channel's own noise
LEAD_DB = 6.0  # ahead of the next channel: less is the same sound twice (stereo), or bleed
QUIET_DB = -60.0  # dBFS; under it nothing is an instrument, however quiet its channel was before
WINDOWS, AGREE = 6, 4  # of the last so many windows, so many agree
FLOOR_DB = -140.0  # what silence reads

NOTE_ON, POLY_PRESSURE, CONTROL = 0x90, 0xA0, 0xB0


def levels_db(audio: np.ndarray) -> np.ndarray:
    """RMS of each channel of float32 (frames, channels), dBFS; what is not finite counts as 0."""
    x = np.nan_to_num(audio.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    power = np.mean(x**2, axis=0) if len(x) else np.zeros(x.shape[1])
    return np.asarray(10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DB / 10.0))))


def floor_db(audio: np.ndarray, rate: int) -> np.ndarray:
    """Each channel's own noise: the lower fifth of its windows, so that a few notes do no harm."""
    size = round(WINDOW_S * rate)
    windows = [levels_db(audio[a : a + size]) for a in range(0, len(audio) - size + 1, size)]
    return np.asarray(np.percentile(windows, 20.0, axis=0))


@dataclass
class ChannelFinder:
    """Hears windows of levels until one channel is the one that is played. floor: dB of each
    channel while nobody played. taken: channels (from 0) that belong to somebody else."""

    floor: np.ndarray
    taken: frozenset[int] = frozenset()
    alike: tuple[int, ...] = ()  # channels that rose together, when none was ahead
    _last: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOWS))
    _loudest: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._loudest = np.full(len(self.floor), FLOOR_DB)

    def feed(self, levels: np.ndarray) -> int | None:
        """The channel (from 0) once it is certain, else None."""
        own = np.array([c not in self.taken for c in range(len(levels))])
        risen = own & (levels > self.floor + ABOVE_NOISE_DB) & (levels > QUIET_DB)
        self._loudest = np.maximum(self._loudest, np.where(risen, levels, FLOOR_DB))
        order = np.argsort(np.where(risen, levels, FLOOR_DB))[::-1]
        if not len(order) or not risen[order[0]]:
            return None
        first = int(order[0])
        rivals = [int(c) for c in order[1:] if risen[c] and levels[c] > levels[first] - LEAD_DB]
        self.alike = (first, *rivals) if rivals else ()
        self._last.append(-1 if rivals else first)
        channel, count = Counter(self._last).most_common(1)[0]
        return channel if channel >= 0 and count >= AGREE else None

    @property
    def peak_db(self) -> float:
        """The loudest window heard of any channel that was not taken."""
        return float(self._loudest.max(initial=FLOOR_DB))


@dataclass
class PortFinder:
    """Hears MIDI messages until one port is the one that is pressed: the most presses of a whole
    step, for a controller may send on several ports of its own."""

    ignored: frozenset[str] = frozenset()

    def feed(self, messages: list[tuple[str, bytes]]) -> str | None:
        """The port, or None while nothing was pressed. Clock, sensing, releases do not count."""
        counts = Counter(p for p, data in messages if p not in self.ignored and is_press(data))
        if not counts:
            return None
        return counts.most_common(1)[0][0]


def is_press(data: bytes) -> bool:
    """A note that begins, a pad's pressure or a controller that moves off 0."""
    return len(data) == 3 and data[0] & 0xF0 in (NOTE_ON, POLY_PRESSURE, CONTROL) and data[2] > 0


def parse_choice(answer: str, count: int) -> int | None:
    """A number from 1 to count as a person types it -> from 0; None for anything else."""
    text = answer.strip().rstrip(".")
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        return None
    return int(text) - 1 if 1 <= int(text) <= count else None

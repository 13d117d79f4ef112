"""Hears a path that begins to howl: from what textures and effects give back, hop by hop.

A howl is one narrow peak that grows steadily, or anything that stays near full level, as many
modes do together once a limiter holds them. The first by criteria after T. van Waterschoot and M.
Moonen, "Fifty Years of Acoustic Feedback Control", Proc. IEEE 99(2), 2011: the part of the power
that lies in the peak, and the slope of its level from hop to hop. Music passes where its partials
share the power, where a note that begins then stands, and below STANDING_DB; a pure tone that
swells for longer than GROWING_HOPS does not.

Pure: audio in, findings out; a clock is the number of frames. Not real-time safe; any thread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 2048
HOP = 512
LOWEST_HZ, HIGHEST_HZ = 80.0, 12000.0
LOWEST_DB = -45.0  # dBFS of the RMS; what is quieter is not followed
HEARD_DB = -24.0  # what grows is let be until it is so loud at the loudspeakers
WIDTH = 3  # bins on either side that belong to the peak
SHARE = 0.9  # of the power
GROWING_HOPS = 12  # 128 ms at 48 kHz, in thirds that each rise by RISE_DB, the last as well
RISE_DB = 0.5
STEADY = 0.6  # the last third rises by so much of the first: sound that fills a reverb slows down
STANDING_HOPS, STANDING_DB = 14, -10.0  # 150 ms; dBFS of the RMS at the loudspeakers


@dataclass(frozen=True)
class Howl:
    """row: of the audio. frame: the end of the window. db: dBFS, RMS."""

    row: int
    frame: int
    hertz: float
    db: float


class HowlDetector:
    """rate: frames a second. gains: linear, with which each signal goes to the loudspeakers."""

    def __init__(self, rate: float, gains: list[float]) -> None:
        self._rate, rows = rate, len(gains)
        self._gains_db = 20.0 * np.log10(np.maximum(gains, 1e-9))
        self._window = np.hanning(WINDOW).astype(np.float32)
        self._past = np.zeros((rows, WINDOW), np.float32)
        self._fresh = 0  # frames of it that no window has seen
        self._bins: list[list[int]] = [[] for _ in range(rows)]
        self._levels: list[list[float]] = [[] for _ in range(rows)]
        self._loud = [0] * rows  # hops in turn
        self._low = round(LOWEST_HZ * WINDOW / rate)
        self._high = min(round(HIGHEST_HZ * WINDOW / rate), WINDOW // 2 - WIDTH)

    def feed(self, frame: int, audio: np.ndarray) -> list[Howl]:
        """The frames (rows, n) from `frame` on; what howls now."""
        found: list[Howl] = []
        done = 0
        while done < audio.shape[1]:
            part = audio[:, done : done + HOP - self._fresh]
            n = part.shape[1]
            self._past = np.concatenate([self._past[:, n:], part], axis=1)
            self._fresh += n
            done += n
            if self._fresh == HOP:
                self._fresh = 0
                found += self._look(frame + done)
        return found

    def _look(self, frame: int) -> list[Howl]:
        level = 20.0 * np.log10(np.sqrt((self._past**2).mean(axis=1)) + 1e-9)
        out = []
        for row, db in enumerate(level.tolist()):
            outside = db + max(0.0, float(self._gains_db[row]))
            self._loud[row] = self._loud[row] + 1 if outside > STANDING_DB else 0
            top, grows = self._grows(row, db) if db > LOWEST_DB else (0, False)
            if db <= LOWEST_DB:
                self._bins[row].clear()
                self._levels[row].clear()
            if (grows and outside > HEARD_DB) or self._loud[row] >= STANDING_HOPS:
                out.append(Howl(row, frame, top * self._rate / WINDOW, db))
        return out

    def _grows(self, row: int, db: float) -> tuple[int, bool]:
        """The strongest bin, and whether it is a howl's."""
        bins, levels = self._bins[row], self._levels[row]
        power = np.abs(np.fft.rfft(self._past[row] * self._window)) ** 2
        top = self._low + int(np.argmax(power[self._low : self._high]))
        narrow = power[top - WIDTH : top + WIDTH + 1].sum() > SHARE * power.sum()
        if not narrow or (bins and abs(top - bins[-1]) > 1):
            bins.clear()
            levels.clear()
        if not narrow:
            return top, False
        bins.append(top)
        levels.append(db)
        del bins[:-GROWING_HOPS], levels[:-GROWING_HOPS]
        if len(levels) < GROWING_HOPS:
            return top, False
        rises = np.diff(levels[:: GROWING_HOPS // 3] + levels[-1:])
        return top, bool(min(rises) > RISE_DB and rises[-1] > STEADY * rises[0])

"""A picture of a performance: what sounded when, and why. PNG, drawn with Pillow.

The caller gathers lanes from the session's log and buses; nothing here knows the engine. Times are
seconds from the recording's start. Not real-time safe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH = 1600
SCALE = 2  # drawn larger and reduced, for smooth edges
LEFT, RIGHT = 176, 28
TOP = 128
RULER = 40
LANE = 58
LEVEL_LANE = 96
SPAN = 20
LINE = 19  # of the list
LIST_MOST = 60  # lines; what exceeds it is counted
LEVEL_LOW_DB, LEVEL_HIGH_DB = -60.0, 0.0

INK = "#1f2430"
SOFT = "#6b7280"
PAPER = "#ffffff"
STRIPE = "#f4f5f8"
BAR_LINE = "#e3e6ec"
PHRASE_LINE = "#b4bccb"

# What Pillow's font has no letters for, and logs use.
SPELLED = str.maketrans({"−": "-", "µ": "u", "μ": "u", "→": ">", "≥": ">", "≤": "<", "\n": " "})

# role -> (colour, what the legend calls it)
ROLES: dict[str, tuple[str, str]] = {
    "played": ("#0f766e", "played by a person"),
    "answer": ("#7c3aed", "answered in notes"),
    "texture": ("#2563eb", "texture made of the sound"),
    "stem": ("#d97706", "stem made ahead of time"),
    "asked": ("#d97706", "asked for, waiting"),
    "main": ("#475569", "what the room hears"),
    "hand": ("#be185d", "done by hand (tap, DRY, panic)"),
    "fault": ("#dc2626", "gap, late or failed"),
}


@dataclass(frozen=True)
class Span:
    """Something that lasted. role: a key of ROLES; "asked" is hatched."""

    start_s: float
    end_s: float
    label: str
    role: str


@dataclass(frozen=True)
class Mark:
    """Something that happened, with its reason in words; numbered, and listed below the lanes."""

    at_s: float
    text: str
    role: str


@dataclass(frozen=True)
class Lane:
    """One row. levels: dBFS at equal steps over the whole length (any number), or None."""

    name: str
    role: str
    spans: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    levels: np.ndarray | None = None
    note: str = ""  # small, under the name


@dataclass(frozen=True)
class Picture:
    """bars: the second at which each bar starts, from bar `first_bar` on (bars count from 1);
    numbers: their numbers, where several pieces follow each other."""

    title: str
    subtitle: str
    seconds: float
    lanes: list[Lane]
    bars: list[float] = field(default_factory=list)
    bars_per_phrase: int = 4
    first_bar: int = 1
    numbers: list[int] = field(default_factory=list)

    def number(self, k: int) -> int:
        """Of the k-th bar of `bars`."""
        return self.numbers[k] if self.numbers else self.first_bar + k


def draw(picture: Picture, path: Path) -> None:
    """Write the PNG, 1600 pixels wide and as high as it needs. ValueError for a length that is
    none or an unknown role."""
    if not (math.isfinite(picture.seconds) and picture.seconds > 0):
        raise ValueError(f"picture is {picture.seconds} s long, expected more than 0")
    _Canvas(picture).draw().save(path, "PNG", optimize=True)


class _Canvas:
    """Pixels are logical; `_p` scales them."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        marks = [(m, lane) for lane in picture.lanes for m in lane.marks]
        self.marks = sorted(marks, key=lambda pair: pair[0].at_s)
        heights = [LEVEL_LANE if lane.role == "main" else LANE for lane in picture.lanes]
        self.tops = [TOP + RULER + sum(heights[:k]) for k in range(len(heights) + 1)]
        self.heights = heights
        listed = min(len(self.marks), LIST_MOST)
        self.rows = math.ceil(listed / 2)
        height = self.tops[-1] + 44 + (44 + self.rows * LINE if self.marks else 0) + 20
        self.image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def draw(self) -> Image.Image:
        self._head()
        self._grid()
        for k, lane in enumerate(self.picture.lanes):
            self._lane(lane, self.tops[k], self.heights[k])
        self._numbers()
        self._seconds()
        self._list()
        size = (self.image.width // SCALE, self.image.height // SCALE)
        return self.image.resize(size, Image.Resampling.LANCZOS)

    # -- parts -----------------------------------------------------------------------------

    def _head(self) -> None:
        self._text(LEFT - 148, 22, self.picture.title, 26, INK)
        self._text(LEFT - 148, 58, self.picture.subtitle, 14, SOFT)
        x = float(LEFT - 148)
        used = {s.role for lane in self.picture.lanes for s in lane.spans}
        used |= {m.role for m, _ in self.marks} | {lane.role for lane in self.picture.lanes}
        if unknown := used - set(ROLES):
            raise ValueError(f"role {sorted(unknown)[0]!r}, expected one of {', '.join(ROLES)}")
        for role, (colour, words) in ROLES.items():
            if role in used:
                self._box(x, 90, x + 22, 104, colour, role == "asked")
                self._text(x + 28, 89, words, 13, INK)
                x += 28 + self._width(words, 13) + 24

    def _grid(self) -> None:
        bottom = self.tops[-1]
        for k in range(len(self.picture.lanes)):
            if k % 2 == 0:
                self._fill(0, self.tops[k], WIDTH, self.tops[k + 1], STRIPE)
        per = self.picture.bars_per_phrase
        gap = self._bar_gap()
        phrases_to = bars_to = 0.0  # no word is written over the one before it
        for k, second in enumerate(self.picture.bars):
            if not 0 <= second <= self.picture.seconds:
                continue
            x, bar = self._x(second), self.picture.number(k)
            phrase = (bar - 1) % per == 0
            if phrase:
                self._line(x, TOP, x, bottom, PHRASE_LINE, 1.2)
                words = f"phrase {(bar - 1) // per + 1}"
                if gap * per > 44 and x > phrases_to:
                    self._text(x + 4, TOP + 1, words, 12, SOFT)
                    phrases_to = x + 8 + self._width(words, 12)
            elif gap > 5:
                self._line(x, TOP + 20, x, bottom, BAR_LINE, 1.0)
            if (phrase or gap > 26) and x > bars_to:
                self._text(x + 4, TOP + 19, str(bar), 13, INK if phrase else SOFT)
                bars_to = x + 8 + self._width(str(bar), 13)
        self._text(LEFT - 14, TOP + 19, "bar", 13, SOFT, right=True)

    def _lane(self, lane: Lane, top: float, height: float) -> None:
        colour = ROLES[lane.role][0]
        lift = 9 if lane.note else 0
        self._text(LEFT - 14, top + height / 2 - 9 - lift, lane.name, 15, INK, right=True)
        if lane.note:
            self._text(LEFT - 14, top + height / 2 + 4, lane.note, 11, SOFT, right=True)
        self._line(0, top + height, WIDTH, top + height, BAR_LINE, 1.0)
        if lane.role == "main":
            self._text(WIDTH - RIGHT + 2, top + height - 15, "dBFS", 9, SOFT)
            for db in (-6, -18, -30, -42):
                y = self._level_y(db, top, height)
                self._line(LEFT, y, WIDTH - RIGHT, y, BAR_LINE, 1.0)
                self._text(WIDTH - RIGHT + 2, y - 6, str(db), 10, SOFT)
        if lane.levels is not None and len(lane.levels):
            self._levels(lane.levels, top, height, colour)
        for span in sorted(lane.spans, key=lambda s: s.role != "asked"):
            self._span(span, top + height - SPAN - 5, top + height - 5)

    def _levels(self, levels: np.ndarray, top: float, height: float, colour: str) -> None:
        """The loudest of the levels that share a pixel, as a filled shape."""
        clean = np.nan_to_num(levels, nan=LEVEL_LOW_DB, neginf=LEVEL_LOW_DB, posinf=LEVEL_HIGH_DB)
        wide = WIDTH - RIGHT - LEFT
        edges = np.linspace(0, len(clean), wide + 1).astype(int)
        if height == LANE:  # above the spans
            height -= SPAN + 4
        base = self._level_y(LEVEL_LOW_DB, top, height)
        points = [(LEFT, base)]
        for k in range(wide):
            here = clean[edges[k] : max(edges[k] + 1, edges[k + 1])]
            points.append((LEFT + k, self._level_y(float(here.max()), top, height)))
        points.append((WIDTH - RIGHT, base))
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.pen.polygon(scaled, fill=_tint(colour, 0.62))

    def _span(self, span: Span, top: float, bottom: float) -> None:
        x0, x1 = self._x(span.start_s), max(self._x(span.end_s), self._x(span.start_s) + 2)
        self._box(x0, top, x1, bottom, ROLES[span.role][0], span.role == "asked")
        words = self._fit(span.label, x1 - x0 - 10, 12)
        if words:
            waiting = span.role == "asked"
            if waiting:  # hatching under letters cannot be read
                self._fill(x0 + 3, top + 3, x0 + 9 + self._width(words, 12), bottom - 3, PAPER)
            self._text(x0 + 6, top + 3, words, 12, INK if waiting else PAPER)

    def _numbers(self) -> None:
        """Numbered flags at the top of their lane, moved right where they would overlap."""
        ends: dict[str, float] = {}
        for number, (mark, lane) in enumerate(self.marks, start=1):
            top = self.tops[self.picture.lanes.index(lane)]
            at = self._x(mark.at_s)
            x = max(at, ends.get(lane.name, 0.0))
            wide = self._width(str(number), 11) + 10
            x = min(x, WIDTH - RIGHT - wide)
            ends[lane.name] = x + wide + 2
            colour = ROLES[mark.role][0]
            self._line(at, top + 4, at, top + LANE - 6, colour, 1.4)
            self._box(x, top + 4, x + wide, top + 19, colour, False)
            self._text(x + 5, top + 5, str(number), 11, PAPER)

    def _seconds(self) -> None:
        y = self.tops[-1] + 4
        steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)
        step = next((s for s in steps if self.picture.seconds / s <= 16), steps[-1])
        for k in range(int(self.picture.seconds // step) + 1):
            x = self._x(k * step)
            self._line(x, y - 4, x, y + 2, SOFT, 1.0)
            self._text(x + 3, y, _clock(k * step), 12, SOFT)
        self._text(LEFT - 14, y, "time", 12, SOFT, right=True)

    def _list(self) -> None:
        if not self.marks:
            return
        y0 = self.tops[-1] + 44
        self._text(LEFT - 148, y0, "What happened, and why", 17, INK)
        half = (WIDTH - RIGHT - (LEFT - 148)) / 2
        for number, (mark, lane) in enumerate(self.marks[:LIST_MOST], start=1):
            column, row = divmod(number - 1, self.rows)
            x, y = LEFT - 148 + column * half, y0 + 34 + row * LINE
            wide = self._width(str(number), 11) + 10
            self._box(x + 24 - wide, y, x + 24, y + 15, ROLES[mark.role][0], False)
            self._text(x + 29 - wide, y + 1, str(number), 11, PAPER)
            self._text(x + 32, y, self._place(mark.at_s), 12, SOFT)
            words = self._fit(f"{lane.name}: {mark.text}", half - 168, 13)
            self._text(x + 150, y - 1, words, 13, INK)
        if (left := len(self.marks) - LIST_MOST) > 0:
            self._text(LEFT - 148 + half, y0, f"and {left} more", 13, SOFT)

    # -- geometry and ink --------------------------------------------------------------------

    def _place(self, second: float) -> str:
        begun = sum(1 for b in self.picture.bars if b <= second + 1e-3)
        bar = f"bar {self.picture.number(begun - 1)}" if begun else "before"
        return f"{bar} · {_clock(second, tenths=True)}"

    def _bar_gap(self) -> float:
        bars = self.picture.bars
        if len(bars) < 2:
            return 0.0
        return float(np.median(np.diff([self._x(b) for b in bars])))  # pauses between pieces

    def _x(self, second: float) -> float:
        share = min(max(second / self.picture.seconds, 0.0), 1.0)
        return LEFT + share * (WIDTH - RIGHT - LEFT)

    @staticmethod
    def _level_y(db: float, top: float, height: float) -> float:
        share = (min(max(db, LEVEL_LOW_DB), LEVEL_HIGH_DB) - LEVEL_LOW_DB) / (
            LEVEL_HIGH_DB - LEVEL_LOW_DB
        )
        return top + height - 4 - share * (height - 8)

    def _fit(self, words: str, width: float, size: int) -> str:
        """The words, cut with an ellipsis; nothing where not even three letters fit."""
        if self._width(words, size) <= width:
            return words
        low, high = 0, len(words)  # letters that fit, and that may
        while low < high:
            middle = (low + high + 1) // 2
            if self._width(words[:middle] + "…", size) <= width:
                low = middle
            else:
                high = middle - 1
        return words[:low].rstrip() + "…" if low >= 3 else ""

    @staticmethod
    def _width(words: str, size: int) -> float:
        return float(_font(size).getlength(words.translate(SPELLED))) / SCALE

    def _text(
        self, x: float, y: float, words: str, size: int, colour: str, right: bool = False
    ) -> None:
        if right:
            x -= self._width(words, size)
        self.pen.text((x * SCALE, y * SCALE), words.translate(SPELLED), colour, _font(size))

    def _line(self, x0: float, y0: float, x1: float, y1: float, colour: str, width: float) -> None:
        ends = (x0 * SCALE, y0 * SCALE, x1 * SCALE, y1 * SCALE)
        self.pen.line(ends, colour, max(1, round(width * SCALE)))

    def _fill(self, x0: float, y0: float, x1: float, y1: float, colour: str) -> None:
        self.pen.rectangle((x0 * SCALE, y0 * SCALE, x1 * SCALE, y1 * SCALE), colour)

    def _box(self, x0: float, y0: float, x1: float, y1: float, colour: str, hatched: bool) -> None:
        corners = (x0 * SCALE, y0 * SCALE, x1 * SCALE, y1 * SCALE)
        if not hatched:
            self.pen.rounded_rectangle(corners, 3 * SCALE, colour)
            return
        self.pen.rectangle(corners, PAPER, _tint(colour, 0.3), SCALE)
        rise = y1 - y0
        slant = x0 - rise
        while slant < x1:  # 45 degrees, cut at the sides
            a, b = max(slant, x0), min(slant + rise, x1)
            if b > a:
                self._line(a, y1 - (a - slant), b, y1 - (b - slant), _tint(colour, 0.45), 1.0)
            slant += 6.0


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: the same picture on every machine."""
    return ImageFont.load_default(size * SCALE)


def _clock(second: float, tenths: bool = False) -> str:
    minutes, rest = divmod(second, 60.0)
    return f"{int(minutes)}:{rest:04.1f}" if tenths else f"{int(minutes)}:{int(rest):02d}"


def _tint(colour: str, white: float) -> str:
    parts = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(p + (255 - p) * white):02x}" for p in parts)

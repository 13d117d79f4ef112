"""A Launchpad Pro MK3 from above, as a PNG: every cell in its colour, with what is printed on it.

Pure but for the file written. Not real-time safe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from devices.launchpad.mk3 import CELLS, LOGO, PADS
from engine.surface import OFF, RGB, Cells

PRINTED: Final[dict[int, str]] = {
    90: "Shift",
    93: "Session",
    94: "Note",
    95: "Chord",
    96: "Custom",
    97: "Sequencer",
    98: "Projects",
    60: "Clear",
    50: "Duplicate",
    40: "Quantise",
    30: "Fixed Length",
    20: "Play",
    10: "Record",
    89: "Patterns",
    79: "Steps",
    69: "Pattern Settings",
    59: "Velocity",
    49: "Probability",
    39: "Mutation",
    29: "Micro Step",
    19: "Print to Clip",
    **{101 + i: str(1 + i) for i in range(8)},
    1: "Record Arm",
    2: "Mute",
    3: "Solo",
    4: "Volume",
    5: "Pan",
    6: "Sends",
    7: "Device",
    8: "Stop Clip",
}

ARROWS: Final = {80: (0, -1), 70: (0, 1), 91: (-1, 0), 92: (1, 0)}  # where they point: x, y

COLUMNS: Final = 10  # left buttons, eight pads, right buttons
ROWS: Final = 11  # top buttons, eight pads, two rows of buttons
STEP: Final = 64  # pixels from cell to cell
GAP: Final = 3  # around a cell
MARGIN: Final = 16
GAMMA: Final = 2.2
BODY: Final = (20, 20, 22)
UNLIT_PAD, UNLIT_BUTTON = (58, 58, 62), (36, 36, 40)
PRINT_LIGHT, PRINT_DARK = (190, 190, 195), (0, 0, 0)
FONTS: Final = (11, 10, 9, 8)  # pixels: the largest in which no word needs cutting
TEXT_LINES: Final = 3


def place(index: int) -> tuple[int, int]:
    """Column (0-9, from the left) and row (0-10, from the top) of a cell."""
    if index > 100:
        return index - 100, 9
    if index < 10:
        return index, 10
    return index % 10, 9 - index // 10


def screen_colour(index: int, colour: RGB) -> RGB:
    """A cell's colour (0-127, as light) for a screen (0-255): with a screen's gamma, so that what
    is dim on the unit is seen. Dark cells have the colour of their plastic."""
    if colour == OFF:
        return UNLIT_PAD if index in PADS else UNLIT_BUTTON
    r, g, b = (round(255 * (c / 127.0) ** (1.0 / GAMMA)) for c in colour)
    return (r, g, b)


def draw(cells: Cells, path: Path | str, labels: Mapping[int, str] | None = None) -> None:
    """Write a PNG. cells: colours 0-127; those not named are dark. labels: to be written on cells
    instead of what is printed there; words are wrapped. Raises OSError when it cannot be written.
    """
    width, height = (n * STEP + 2 * MARGIN for n in (COLUMNS, ROWS))
    picture = Image.new("RGB", (width, height), BODY)
    pen = ImageDraw.Draw(picture)
    fonts = [ImageFont.load_default(size) for size in FONTS]
    labels = labels or {}
    side = STEP - 2 * GAP
    for index in CELLS:
        column, row = place(index)
        x, y = MARGIN + column * STEP + GAP, MARGIN + row * STEP + GAP
        fill = screen_colour(index, cells.get(index, OFF))
        ink = PRINT_DARK if _bright(fill) else PRINT_LIGHT
        box = (x, y, x + side, y + side)
        if index == LOGO:
            pen.ellipse((x + 16, y + 16, x + side - 16, y + side - 16), fill=fill)
            continue
        pen.rounded_rectangle(box, radius=6, fill=fill)
        middle = (x + side / 2, y + side / 2)
        text = labels.get(index, PRINTED.get(index, ""))
        if index in ARROWS and index not in labels:
            pen.polygon(_arrow(middle, ARROWS[index]), fill=ink)
        elif text:
            wide = max(text.split(), key=len)
            font = next((f for f in fonts if f.getlength(wide) <= side - 4), fonts[-1])
            wrapped = _wrap(text, partial(_fits, font, side - 4))
            pen.multiline_text(middle, wrapped, fill=ink, font=font, anchor="mm", align="center")
    picture.save(path, "PNG")


def _fits(font: Any, pixels: int, words: str) -> bool:
    return bool(font.getlength(words) <= pixels)


def _bright(colour: RGB) -> bool:
    r, g, b = colour
    return 0.3 * r + 0.6 * g + 0.1 * b > 100


def _arrow(middle: tuple[float, float], to: tuple[int, int]) -> list[tuple[float, float]]:
    (x, y), (dx, dy), size = middle, to, 9
    tip = (x + dx * size, y + dy * size)
    base_x, base_y = x - dx * size, y - dy * size
    return [tip, (base_x + dy * size, base_y + dx * size), (base_x - dy * size, base_y - dx * size)]


def _wrap(text: str, fits: Callable[[str], bool]) -> str:
    """Words in as few lines as they need; what does not fit is cut."""
    lines: list[str] = []
    for word in text.split():
        while word and not fits(word):
            word = word[:-1]
        if lines and fits(f"{lines[-1]} {word}"):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines[:TEXT_LINES])

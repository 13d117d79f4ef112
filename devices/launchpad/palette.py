"""The 128 colours a Launchpad knows by number, as (red, green, blue), 0-127 each.

Novation prints them and gives no numbers: these are the values in common use, good for telling
colours apart on a screen, not for matching a unit's LEDs. Pure data.
"""

from __future__ import annotations

from typing import Final

from engine.surface import RGB


def _half(colour: int) -> RGB:
    """0xRRGGBB in 7 bits."""
    return (colour >> 17 & 0x7F, colour >> 9 & 0x7F, colour >> 1 & 0x7F)


def _shades(red: int, green: int, blue: int) -> list[RGB]:
    """A hue (0-127) as the palette has it: pale, full, dim, dark."""
    pale, full = (38 + red * 7 // 10, 38 + green * 7 // 10, 38 + blue * 7 // 10), (red, green, blue)
    dim = (red * 35 // 100, green * 35 // 100, blue * 35 // 100)
    dark = (red // 10, green // 10, blue // 10)
    return [pale, full, dim, dark]


_GREYS: Final = (0x000000, 0x1E1E1E, 0x7F7F7F, 0xFFFFFF)
# 4-59: fourteen hues, four shades each
_HUES: Final = (
    (127, 0, 0),
    (127, 42, 0),
    (127, 127, 0),
    (42, 127, 0),
    (0, 127, 0),
    (0, 127, 12),
    (0, 127, 42),
    (0, 127, 76),
    (0, 84, 127),
    (0, 42, 127),
    (0, 0, 127),
    (42, 0, 127),
    (127, 0, 127),
    (127, 0, 42),
)
# fmt: off
_OTHERS: Final = (  # 60-127
    0xFF1500, 0x993500, 0x795100, 0x436400, 0x033900, 0x005735, 0x00547F, 0x0000FF,
    0x00454F, 0x2500CC, 0x7F7F7F, 0x202020, 0xFF0000, 0xBDFF2D, 0xAFED06, 0x64FF09,
    0x108B00, 0x00FF87, 0x00A9FF, 0x002AFF, 0x3F00FF, 0x7A00FF, 0xB21A7D, 0x402100,
    0xFF4A00, 0x88E106, 0x72FF15, 0x00FF00, 0x3BFF26, 0x59FF71, 0x38FFCC, 0x5B8AFF,
    0x3151C6, 0x877FE9, 0xD31DFF, 0xFF005D, 0xFF7F00, 0xB9B000, 0x90FF00, 0x835D07,
    0x392B00, 0x144C10, 0x0D5038, 0x15152A, 0x16205A, 0x693C1C, 0xA8000A, 0xDE513D,
    0xD86A1C, 0xFFE126, 0x9EE12F, 0x67B50F, 0x1E1E30, 0xDCFF6B, 0x80FFBD, 0x9A99FF,
    0x8E66FF, 0x404040, 0x757575, 0xE0FFFF, 0xA00000, 0x350000, 0x1AD000, 0x074200,
    0xB9B000, 0x3F3100, 0xB35F00, 0x4B1502,
)
# fmt: on

COLOURS: Final[tuple[RGB, ...]] = (
    *(_half(grey) for grey in _GREYS),
    *(shade for hue in _HUES for shade in _shades(*hue)),
    *(_half(other) for other in _OTHERS),
)

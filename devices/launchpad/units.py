"""Which Launchpads there are: how each is found, greeted, left, and how it answers who it is.

Pure data. An inquiry (mk3.INQUIRY) is answered
F0 7E <device> 06 02 <maker: 1 or 3 bytes> <family: 2> <member: 2> <version: 4> F7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from devices.launchpad import mk3, pro
from engine.surface import Cells


@dataclass(frozen=True)
class Unit:
    """port: pattern of its port's name. hello: into Programmer mode; sent again and again, as a
    replugged unit is in its own mode and says nothing. goodbye: back. family: in its answer. cells:
    its own indices of what the pages light; light: the message that does."""

    name: str
    port: str
    hello: tuple[bytes, ...]
    goodbye: tuple[bytes, ...]
    family: bytes
    cells: frozenset[int]
    light: Callable[[Cells], bytes]


MK3: Final = Unit(
    "Launchpad Pro MK3",
    "LPProMK3 MIDI|Launchpad Pro MK3 MIDI 1",
    (mk3.INQUIRY, mk3.PROGRAMMER_MODE),
    (mk3.LIVE_MODE,),
    b"\x23\x01",
    frozenset(mk3.CELLS),
    mk3.bulk,
)
PRO: Final = Unit(
    "Launchpad Pro",
    "Launchpad Pro(?! MK3).*(Standalone|MIDI 2)",
    (mk3.INQUIRY, pro.STANDALONE, pro.PROGRAMMER_LAYOUT),
    (pro.NOTE_LAYOUT,),
    b"\x51\x00",
    frozenset(pro.UNIT_TO_CELLS),
    pro.light,
)
# By Surface.driver
UNITS: Final[dict[str, Unit]] = {"mk3": MK3, "launchpad-py": MK3, "pro": PRO}

NOVATION: Final = b"\x00\x20\x29"
OTHERS: Final = {
    b"\x03\x01": "Launchpad X",
    b"\x13\x01": "Launchpad Mini MK3",
    b"\x69\x00": "Launchpad MK2",
}


@dataclass(frozen=True)
class Identity:
    """Who answered. name: for people. version: of its firmware, four digits."""

    name: str
    family: bytes
    version: str
    novation: bool


def identity(message: bytes) -> Identity | None:
    """The identity in an answer to an inquiry; None for any other message."""
    if message[:2] != b"\xf0\x7e" or message[3:5] != b"\x06\x02" or message[-1:] != b"\xf7":
        return None
    maker_size = 3 if message[5:6] == b"\x00" else 1
    if len(message) != 5 + maker_size + 2 + 2 + 4 + 1:
        return None
    maker, rest = message[5 : 5 + maker_size], message[5 + maker_size : -1]
    family, version = rest[:2], "".join(f"{digit:x}" for digit in rest[4:8])
    novation = maker == NOVATION
    name = {unit.family: unit.name for unit in UNITS.values()} | OTHERS
    if novation and family in name:
        return Identity(name[family], family, version, True)
    unknown = f"a device of maker {maker.hex(' ')}, family {family.hex(' ')}"
    return Identity(unknown, family, version, novation)

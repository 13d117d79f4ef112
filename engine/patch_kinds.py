"""The kinds of values that a patch and a rig are made of, and the ranges both share.

Ranges are inclusive; `expected` is what an error says to somebody who wrote something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.tuning import A4_HIGH_HZ, A4_LOW_HZ

NAME = r"[A-Za-z][A-Za-z0-9_-]{0,31}"
MAX_TEXT = 256  # characters of a name, pattern or path


@dataclass(frozen=True)
class Number:
    low: float
    high: float
    unit: str = ""
    whole: bool = False

    @property
    def expected(self) -> str:
        what = "a whole number" if self.whole else "a number"
        unit = f" {self.unit}" if self.unit else ""
        return f"{what} from {self.low:g} to {self.high:g}{unit}"


@dataclass(frozen=True)
class Flag:
    expected: str = "true or false"


@dataclass(frozen=True)
class Text:
    """regex: must compile as a regular expression. empty: '' is allowed."""

    what: str = "text"
    regex: bool = False
    empty: bool = False

    @property
    def expected(self) -> str:
        return self.what


@dataclass(frozen=True)
class Choice:
    values: tuple[Any, ...]

    @property
    def expected(self) -> str:
        return "one of " + ", ".join(str(v) for v in self.values)


@dataclass(frozen=True)
class Channel:
    """A device channel from 1, or a regular expression over port names."""

    expected: str = "a channel from 1 to 64 or a pattern of port names"


@dataclass(frozen=True)
class ListOf:
    item: Kind
    least: int
    most: int

    @property
    def expected(self) -> str:
        return f"a list of {self.least} to {self.most}, each {self.item.expected}"


@dataclass(frozen=True)
class SendsTo:
    """Bus or effect name -> dB."""

    gain: Number
    expected: str = "a mapping of buses and effects to dB, such as {main: 0, reverb: -12}"


@dataclass(frozen=True)
class Free:
    """A model's own keys: finite numbers, text, lists and mappings of them."""

    expected: str = "a mapping of the model's own keys"


@dataclass(frozen=True)
class Table:
    """A nested dataclass."""

    of: type
    expected: str = "a mapping"


@dataclass(frozen=True)
class Named:
    """User-chosen names, each a table. names: the only ones allowed, if given. pattern, form: what
    a name looks like, for machines and for people."""

    of: type
    most: int
    names: tuple[str, ...] = ()
    pattern: str = NAME
    form: str = "a letter, then letters, digits, _ or - (32 at most)"

    @property
    def expected(self) -> str:
        return f"a mapping of at most {self.most} names, each a mapping"


@dataclass(frozen=True)
class MapOf:
    """Names, each with one value. names: the only ones allowed, if given; else references, checked
    by engine/patch_check.py."""

    item: Flag | Number | SendsTo | ListOf
    expected: str
    names: tuple[str, ...] = ()
    most: int = 64


Kind = Number | Flag | Text | Choice | Channel | ListOf | SendsTo | Free | Table | Named | MapOf


@dataclass(frozen=True)
class Field:
    """required: must be given. optional: may be null (None)."""

    kind: Kind
    required: bool = False
    optional: bool = False


GAIN = Number(-90, 24, "dB")
PORT = Text("a pattern (regular expression) of MIDI port names", regex=True)
TUNING = Number(A4_LOW_HZ, A4_HIGH_HZ, "Hz (A4)")
DEVICE = Text("a pattern (regular expression) of audio device names", regex=True, empty=True)
RATE = Number(8000, 192000, "Hz", whole=True)
BLOCK = Number(32, 1024, "frames", whole=True)
ROUND_TRIP = Number(0, 500, "ms")
DRY = Choice(("hardware", "jack", "segue"))
CHANNELS = ListOf(Channel(), 1, 64)
FULL_SCALE = Number(0.1, 20, "V")
OFFSET = Number(-10, 10, "V")
POLARITY = Choice((1, -1))

"""Calibration of a pitch voltage: which output value gives which note, in Silent Way's text format.

    Silent Way Calibration Data
    version: 1
    36 -0.2
    37 -0.19166667

A MIDI note and the output value (digital full scale, -1 to 1) that makes the oscillator sound it,
a line each, notes rising (Expert Sleepers, Silent Way user manual, "Calibration files"). Not
real-time safe; any thread.
"""

from __future__ import annotations

import bisect
import itertools
import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path

HEADER = "Silent Way Calibration Data"
VERSION = "version: 1"
MAX_BYTES = 65_536
GAP_NOTES = 12  # neighbours further apart than this leave too much to guess
NOTE_MAX = 127
OCTAVE_VOLTS = (0.02, 12.0)  # between neighbours; hertz-per-volt instruments go from 0.1 to 6

Table = Sequence[tuple[float, float]]  # (MIDI note, output value or volts), notes rising


class CalibrationError(Exception):
    """A file that is no usable calibration: names file, line, what was found, what was expected."""


def read_calibration(path: Path) -> list[tuple[float, float]]:
    """(MIDI note, output value) of a file. Raises CalibrationError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CalibrationError(f"{path}: found no plain file, expected a calibration file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise CalibrationError(f"{path}: found nothing that can be read ({error})") from None
    if len(data) > MAX_BYTES:
        raise CalibrationError(f"{path}: found more than {MAX_BYTES} bytes, expected a small file")
    return parse_calibration(data.decode("utf-8-sig", "replace"), str(path))


def parse_calibration(text: str, name: str) -> list[tuple[float, float]]:
    """name: of the file, for messages. Raises CalibrationError at the first fault."""
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    rows = [(i, line) for i, line in enumerate(lines, 1) if line]
    for i, expected in enumerate((HEADER, VERSION)):
        number, found = rows[i] if i < len(rows) else (len(lines), "nothing")
        if found != expected:
            raise _fault(name, number, found, repr(expected))
    table: list[tuple[float, float]] = []
    for number, line in rows[2:]:
        note, value = _row(name, number, line)
        if table:
            _follows(name, number, table[-1], note, value)
        if len(table) > 1 and (table[1][1] > table[0][1]) != (value > table[-1][1]):
            raise _fault(name, number, line, "values that go on rising, or falling, with the notes")
        table.append((float(note), value))
    if len(table) < 2:
        raise _fault(name, len(lines), f"{len(table)} notes", "at least two notes with their value")
    return table


def _row(name: str, number: int, line: str) -> tuple[int, float]:
    expected = f"a MIDI note from 0 to {NOTE_MAX} and an output value from -1 to 1"
    try:
        note_text, value_text = line.split()
        note, value = int(note_text), float(value_text)
    except ValueError:
        raise _fault(name, number, line, expected) from None
    if not 0 <= note <= NOTE_MAX or not -1.0 <= value <= 1.0:  # false for NaN
        raise _fault(name, number, line, expected)
    return note, value


def _follows(name: str, number: int, before: tuple[float, float], note: int, value: float) -> None:
    if note <= before[0]:
        found = f"note {note} after {before[0]:.0f}"
        raise _fault(name, number, found, "each note once, in rising order")
    if note - before[0] > GAP_NOTES:
        found = f"a gap: note {note} after {before[0]:.0f}"
        raise _fault(name, number, found, f"neighbours at most {GAP_NOTES} semitones apart")
    if value == before[1]:
        found = f"the same value for notes {before[0]:.0f} and {note}"
        raise _fault(name, number, found, "another value for each note")


def _fault(name: str, line: int, found: str, expected: str) -> CalibrationError:
    found = found if len(found) <= 60 else found[:60] + "..."
    return CalibrationError(f"{name}:{line}: found {found}, expected {expected}")


def write_calibration(path: Path, table: Table) -> None:
    """table: (MIDI note, output value). Whole or not at all. Raises OSError, or CalibrationError
    for a table that could not be read again."""
    rows = "".join(f"{note:.0f} {value:.8f}\n" for note, value in table)
    text = f"{HEADER}\n{VERSION}\n{rows}"
    parse_calibration(text, str(path))
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    os.replace(temporary, path)


def volts_table(
    table: Table, volts_full_scale: float, offset_volts: float, polarity: int
) -> tuple[tuple[float, float], ...]:
    """(MIDI note, volts) of (MIDI note, output value) on a channel."""
    scale = volts_full_scale / polarity
    return tuple((note, value * scale - offset_volts) for note, value in table)


def value_table(
    table: Table, volts_full_scale: float, offset_volts: float, polarity: int
) -> list[tuple[float, float]]:
    """(MIDI note, output value) of (MIDI note, volts) on a channel."""
    return [(note, (volts + offset_volts) * polarity / volts_full_scale) for note, volts in table]


def interpolate(table: Table, note: float) -> float:
    """Straight lines between neighbours; beyond the ends the last octave's mean slope goes on."""
    notes = [n for n, _ in table]
    at = bisect.bisect_right(notes, note)
    if at == 0:
        return _beyond(table[0], table[min(len(table) - 1, _octave(notes, 0))], note)
    if at == len(table):
        return _beyond(table[-1], table[_octave(notes, -1)], note)
    (a, low), (b, high) = table[at - 1], table[at]
    return low + (high - low) * (note - a) / (b - a)


def _beyond(end: tuple[float, float], inner: tuple[float, float], note: float) -> float:
    slope = (end[1] - inner[1]) / (end[0] - inner[0])
    return end[1] + slope * (note - end[0])


def _octave(notes: list[float], end: int) -> int:
    """Index of the note furthest from an end within an octave of it, never the end itself."""
    if end == 0:
        return max(1, bisect.bisect_right(notes, notes[0] + 12) - 1)
    return min(len(notes) - 2, bisect.bisect_left(notes, notes[-1] - 12))


def strange_step(table: Table) -> str | None:
    """What no instrument asks for between two neighbours of a table (notes, volts), or None."""
    least, most = OCTAVE_VOLTS
    for (a, low), (b, high) in itertools.pairwise(table):
        octave = 12 * abs(high - low) / (b - a)
        if not least <= octave <= most:
            said = f"{low:.4g} V for note {a:g} and {high:.4g} V for note {b:g}"
            return f"{said}, which is {octave:.3g} V an octave"
    return None


def is_usable(table: Table) -> bool:
    """What a file must be, of a table in a patch: notes rising, without gaps, values steady."""
    finite = all(math.isfinite(n) and math.isfinite(v) for n, v in table)
    pairs = list(itertools.pairwise(table))
    steps = [b[1] - a[1] for a, b in pairs]
    one_way = all(s > 0 for s in steps) or all(s < 0 for s in steps)
    return (
        finite and bool(pairs) and one_way and all(0 < b[0] - a[0] <= GAP_NOTES for a, b in pairs)
    )

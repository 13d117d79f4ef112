"""Faders: which value a position stands for, and which value is in force. Pure.

Levels and sends follow a square law that ends at `high` (0 dB where the control does not say), so a
fader's own top is never louder than the patch; a control that says `low` runs evenly in dB between
the two. A strip's setting runs over its whole range, in octaves where it is a frequency; densities
and players' controls run evenly over theirs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.mixer import BUS_ORDER
from engine.patch import GROUPS
from engine.patch_controls import Control
from engine.sources import source_names
from engine.strip import SETTINGS, WITHOUT

if TYPE_CHECKING:
    from engine.conductor import Conductor

OFF_DB = -90.0
RANGES = {"density": (0.0, 1.0), "control": (-1.0, 1.0)}


def value_at(control: Control, position: float) -> float:
    """dB, or the setting's unit. position: 0..1."""
    if _even(control):
        low, high = _ends(control)
        if _octaves(control):
            return low * float((high / low) ** position)
        return low + (high - low) * position
    top = 0.0 if control.high is None else control.high
    return OFF_DB if position <= 0.0 else max(OFF_DB, top + 40.0 * math.log10(position))


def position_of(control: Control, value: float) -> float:
    """value_at backwards, 0..1; what lies beyond an end is at that end."""
    if _even(control):
        low, high = _ends(control)
        if _octaves(control):
            position = math.log(max(value, low) / low) / math.log(high / low)
        else:
            position = (value - low) / (high - low)
    else:
        top = 0.0 if control.high is None else control.high
        position = 0.0 if value <= OFF_DB else float(10.0 ** ((value - top) / 40.0))
    return min(1.0, max(0.0, position))


def _even(control: Control) -> bool:
    return control.do == "strip" or control.do in RANGES or control.low is not None


def _ends(control: Control) -> tuple[float, float]:
    usual = SETTINGS[control.setting or ""] if control.do == "strip" else (OFF_DB, 0.0)
    low, high = RANGES.get(control.do, usual)
    low = low if control.low is None else max(low, control.low)
    return low, high if control.high is None else control.high


def _octaves(control: Control) -> bool:
    return (control.setting or "").endswith("_hz")


def in_force(conductor: Conductor, control: Control) -> float | None:
    """The value that a fader would move; None: the patch has nothing of that name."""
    kind, _, name = (control.source or "").partition(".")
    names = source_names(conductor.patch)
    if control.do == "level":
        return level_in_force(conductor, str(control.source))
    if control.do in RANGES:
        return _steered(conductor, control)
    if control.source not in names:
        return None
    index = names.index(control.source)
    if control.do == "send" and control.bus in BUS_ORDER:
        gain = conductor.programme.mix.in_force((index, BUS_ORDER.index(control.bus)))
        return OFF_DB if gain <= 0.0 else max(OFF_DB, 20.0 * math.log10(gain))
    if control.do == "strip" and kind == "input":
        return strip_in_force(conductor, name, control.setting or "")
    return None


def _steered(conductor: Conductor, control: Control) -> float | None:
    steering, patch = conductor.steering, conductor.patch
    if control.do == "density":
        known = control.role in patch.roles
        return steering.density_of(patch, str(control.role), None) if known else None
    if control.what not in patch.players:
        return None
    own = steering.controls.get(control.what, [])
    at = (control.number or 1) - 1
    return own[at] if at < len(own) else 0.0


def level_in_force(conductor: Conductor, source: str) -> float | None:
    """dB of a source's fader, a group (group.ai) or a bus (bus.main)."""
    kind, _, name = source.partition(".")
    patch = conductor.patch
    if source in conductor.mix.levels:
        return conductor.mix.levels[source]
    if kind == "group" and name in GROUPS:
        return float(getattr(patch.groups, name))
    if kind == "bus" and name in patch.outputs:
        return patch.outputs[name].level_db
    return 0.0 if source in source_names(patch) else None


def strip_in_force(conductor: Conductor, name: str, setting: str) -> float:
    """A setting of an input's strip; a stage that is off: what sounds the same."""
    told = conductor.mix.strips.get(f"{name}.{setting}")
    value = told if told is not None else getattr(conductor.patch.inputs[name].strip, setting)
    return WITHOUT.get(setting, 0.0) if value is None else float(value)

"""A rig: what stands at this venue, under the names by which a patch calls it. Immutable, checked.

engine/rig_load.py reads one from YAML by the table in engine/rig_fields.py, engine/rig_place.py
lays it over a patch. None is "the rig does not say": the patch's own value stands. Names that the
patch does not have are no fault: a rig serves every patch that is played here.

Gains are dB where the name ends in _db; channels count from 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.patch_controls import Control


@dataclass(frozen=True)
class RigAudio:
    """round_trip_ms: from an output through the room or a cable back to an input, as measured."""

    device: str | None = None
    rate: int | None = None
    block: int | None = None
    round_trip_ms: float | None = None


@dataclass(frozen=True)
class RigInput:
    """noise_db: dBFS RMS of its silence before the trim. ring_out_db: for each bus, by how many dB
    the way from it into this microphone may still be raised before it howls. late_ms: what comes
    back from a pedal here, after what goes out to it. As measured by `segue soundcheck`; they
    change nothing but what is said."""

    channel: int | str | None = None
    trim_db: float | None = None
    dry: str | None = None
    noise_db: float | None = None
    ring_out_db: dict[str, float] = field(default_factory=dict)
    late_ms: float | None = None


@dataclass(frozen=True)
class RigOutput:
    channels: tuple[int | str, ...] = ()
    limit: bool | None = None


@dataclass(frozen=True)
class RigPort:
    """A surface's MIDI port: a regular expression over port names."""

    port: str | None = None


@dataclass(frozen=True)
class RigMidi:
    """A performer's MIDI port. controls: by key, what they do here, over those of the patch."""

    port: str | None = None
    controls: dict[str, Control] = field(default_factory=dict)


@dataclass(frozen=True)
class RigController:
    """A MIDI port that stands here whatever patch is played: pedals, buttons, faders, no voice.
    foot_switches: CC 64, 66 and 67 are this-is-one, next scene and DRY, as on a patch's own. Where
    a patch has a MIDI input of that name, this is where it stands."""

    port: str = ""
    channel: int | None = None
    foot_switches: bool = False
    controls: dict[str, Control] = field(default_factory=dict)


@dataclass(frozen=True)
class RigCvIn:
    channel: int | str | None = None
    volts_full_scale: float | None = None
    offset_volts: float | None = None
    polarity: int | None = None


@dataclass(frozen=True)
class RigCv(RigCvIn):
    """calibration: the path of a file that `segue cv calibrate` wrote."""

    calibration: str | None = None


@dataclass(frozen=True)
class Rig:
    """tuning_hz: A4, as the players tune here."""

    name: str = ""
    tuning_hz: float | None = None
    audio: RigAudio = field(default_factory=RigAudio)
    inputs: dict[str, RigInput] = field(default_factory=dict)
    outputs: dict[str, RigOutput] = field(default_factory=dict)
    midi: dict[str, RigMidi] = field(default_factory=dict)
    controllers: dict[str, RigController] = field(default_factory=dict)
    surfaces: dict[str, RigPort] = field(default_factory=dict)
    cv: dict[str, RigCv] = field(default_factory=dict)
    cv_in: dict[str, RigCvIn] = field(default_factory=dict)

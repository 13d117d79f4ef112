"""The table of what a rig may hold, as engine/patch_fields.py has it for a patch."""

from __future__ import annotations

from engine.control_fields import CONTROLS
from engine.patch import BUSES
from engine.patch_kinds import (
    BLOCK,
    CHANNELS,
    DEVICE,
    DRY,
    FULL_SCALE,
    GAIN,
    OFFSET,
    POLARITY,
    PORT,
    RATE,
    ROUND_TRIP,
    TUNING,
    Channel,
    Field,
    Flag,
    Named,
    Number,
    SendsTo,
    Table,
    Text,
)
from engine.rig import (
    Rig,
    RigAudio,
    RigController,
    RigCv,
    RigCvIn,
    RigInput,
    RigMidi,
    RigOutput,
    RigPort,
)

VOLTAGE: dict[str, Field] = {
    "channel": Field(Channel(), optional=True),
    "volts_full_scale": Field(FULL_SCALE, optional=True),
    "offset_volts": Field(OFFSET, optional=True),
    "polarity": Field(POLARITY, optional=True),
}
RIG_FIELDS: dict[type, dict[str, Field]] = {
    Rig: {
        "name": Field(Text("a name of the place")),
        "tuning_hz": Field(TUNING, optional=True),
        "audio": Field(Table(RigAudio)),
        "inputs": Field(Named(RigInput, 64)),
        "outputs": Field(Named(RigOutput, len(BUSES), BUSES)),
        "midi": Field(Named(RigMidi, 64)),
        "controllers": Field(Named(RigController, 16)),
        "surfaces": Field(Named(RigPort, 16)),
        "cv": Field(Named(RigCv, 64)),
        "cv_in": Field(Named(RigCvIn, 64)),
    },
    RigAudio: {
        "device": Field(DEVICE, optional=True),
        "rate": Field(RATE, optional=True),
        "block": Field(BLOCK, optional=True),
        "round_trip_ms": Field(ROUND_TRIP, optional=True),
    },
    RigInput: {
        "channel": Field(Channel(), optional=True),
        "trim_db": Field(GAIN, optional=True),
        "dry": Field(DRY, optional=True),
        "noise_db": Field(Number(-200, 24, "dBFS"), optional=True),
        "ring_out_db": Field(SendsTo(Number(-90, 150, "dB"))),
        "late_ms": Field(Number(0, 1000, "ms"), optional=True),
    },
    RigOutput: {
        "channels": Field(CHANNELS),
        "limit": Field(Flag(), optional=True),
    },
    RigMidi: {
        "port": Field(PORT, optional=True),
        "controls": Field(CONTROLS),
    },
    RigController: {
        "port": Field(PORT, required=True),
        "channel": Field(Number(1, 16, whole=True), optional=True),
        "foot_switches": Field(Flag()),
        "controls": Field(CONTROLS),
    },
    RigPort: {
        "port": Field(PORT, optional=True),
    },
    RigCv: {
        **VOLTAGE,
        "calibration": Field(Text("the path of a calibration file"), optional=True),
    },
    RigCvIn: VOLTAGE,
}

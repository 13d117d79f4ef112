"""What `segue doctor` says of the rig: whether it loads, and what of it is not here. Nothing is
opened; what devices there are is handed in. Pure but for reading the rig's files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.rig import Rig
from engine.rig_load import PatchError, load_rig

LITTLE_DB = 6.0  # margin before feedback that somebody at a microphone may eat up


@dataclass(frozen=True)
class Here:
    """What the machine has. audio: (name as `audio.device` is matched against it, inputs, outputs)
    of each device. midi: names of the MIDI inputs."""

    audio: Sequence[tuple[str, int, int]]
    midi: Sequence[str]


def rig_problems(path: Path, here: Here) -> list[str]:
    """A line for everything that is wrong with a rig or not here, [] if it is all there."""
    try:
        loaded = load_rig(path)
    except PatchError as error:
        return [str(p) for p in error.problems]
    return [*_missing(loaded.rig, here), *loaded.missing, *_measured(loaded.rig)]


def _missing(rig: Rig, here: Here) -> list[str]:
    lines = []
    wanted = rig.audio.device
    device = next((d for d in here.audio if wanted and re.search(wanted, d[0])), None)
    if wanted and device is None:
        lines.append(f"no audio device matches {wanted}")
    if device is not None:
        name, inputs, outputs = device
        numbers = [(f"input {n}", i.channel, inputs) for n, i in rig.inputs.items()]
        numbers += [(f"output {n}", c, outputs) for n, o in rig.outputs.items() for c in o.channels]
        numbers += [(f"cv {n}", cv.channel, outputs) for n, cv in rig.cv.items()]
        lines += [
            f"{what}: channel {channel}, and {name} has {count}"
            for what, channel, count in numbers
            if isinstance(channel, int) and channel > count
        ]
    for kind, ports in (("midi", rig.midi), ("surface", rig.surfaces)):
        for name, given in ports.items():
            if given.port and not any(re.search(given.port, port) for port in here.midi):
                lines.append(f"{kind} {name}: no MIDI port matches {given.port}")
    return lines


def _measured(rig: Rig) -> list[str]:
    """What the sound check has found out, where it is no good news."""
    return [
        f"input {name}: {margin:.0f} dB before it howls in {bus}"
        for name, given in rig.inputs.items()
        for bus, margin in given.ring_out_db.items()
        if margin < LITTLE_DB
    ]

"""A rig laid over a patch: the patch says what is played, the rig where it stands here.

The rig's word counts where it says something. What the patch has and neither of them places is
missing: said at the start, silent, and no reason to stop.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from engine.patch import MidiIn, Patch
from engine.rig import Rig, RigController

# Of a rig's entry only these reach the patch; the rest is what was measured, for people.
PLACED = {
    "audio": ("device", "rate", "block", "round_trip_ms"),
    "inputs": ("channel", "trim_db", "dry", "late_ms"),
    "outputs": ("channels", "limit"),
    "midi": ("port",),
    "surfaces": ("port",),
    "cv": ("channel", "volts_full_scale", "offset_volts", "polarity", "calibration"),
    "cv_in": ("channel", "volts_full_scale", "offset_volts", "polarity"),
}


def place(patch: Patch, rig: Rig) -> Patch:
    """The patch as it is played here. An input that a process feeds (`stream`) stays with it."""
    changed: dict[str, Any] = {"audio": _over(patch.audio, rig.audio, PLACED["audio"])}
    if rig.tuning_hz is not None:
        changed["tuning_hz"] = rig.tuning_hz
    for kind in ("inputs", "outputs", "midi", "surfaces", "cv", "cv_in"):
        here = getattr(rig, kind)
        changed[kind] = {
            name: _over(own, here[name], PLACED[kind]) if name in here else own
            for name, own in getattr(patch, kind).items()
        }
    midi = changed["midi"]
    for name, here in rig.midi.items():
        if name in midi:
            midi[name] = replace(midi[name], controls={**midi[name].controls, **here.controls})
    for name, stands in rig.controllers.items():
        own = midi.get(name)  # the patch's own input of that name is where it stands
        midi[name] = _controller(stands) if own is None else replace(
            own, port=stands.port, controls={**own.controls, **stands.controls}
        )  # fmt: skip
    return replace(patch, **changed)


def _controller(stands: RigController) -> MidiIn:
    return MidiIn(
        port=stands.port,
        channel=stands.channel,
        dry_cc=MidiIn.dry_cc if stands.foot_switches else None,
        controls=dict(stands.controls),
        foot_switches=stands.foot_switches,
    )


def _over(own: Any, here: Any, names: tuple[str, ...]) -> Any:
    said = {name: getattr(here, name) for name in names}
    if getattr(own, "stream", None) is not None:
        del said["channel"]
    if said.get("calibration") is not None:
        said["table"] = ()  # what the patch says itself was measured elsewhere
        return replace(own, **{n: v for n, v in said.items() if v is not None})
    return replace(own, **{n: v for n, v in said.items() if v not in (None, ())})


def unplaced(patch: Patch) -> list[str]:
    """A line for everything of a placed patch that has no place: what `segue run` says at start."""
    missing = [
        f"input {name}: no channel"
        for name, source in patch.inputs.items()
        if source.channel is None and source.stream is None
    ]
    missing += [f"output {n}: no channels" for n, o in patch.outputs.items() if not o.channels]
    missing += [f"cv {name}: no channel" for name, cv in patch.cv.items() if not cv.channel]
    missing += [
        f"cv_in {name}: no channel"
        for name, cv in patch.cv_in.items()
        if cv.channel is None and cv.kind != "chaos"
    ]
    missing += [f"midi {name}: no port" for name, given in patch.midi.items() if not given.port]
    return missing


def unused(patch: Patch, rig: Rig) -> list[str]:
    """Names of the rig that this patch does not have, dotted: for people, no fault."""
    return [
        f"{f.name}.{name}"
        for f in fields(rig)
        if isinstance(here := getattr(rig, f.name), dict) and f.name != "controllers"
        for name in here
        if name not in getattr(patch, f.name)
    ]

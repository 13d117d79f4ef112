"""Which processes a performance needs: one table row each.

The engine names modules of devices and models here as strings only; they are imported by the child.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.capture import captured
from engine.patch import PERFORMER, Patch

MODEL_LOAD_S = 60.0  # for a model to load, on a cold and busy machine


@dataclass(frozen=True)
class Part:
    """module is run as `python -m module FOLDER *args`. silent_s: heartbeat age at which it counts
    as hung; load_s: the same while it starts."""

    name: str
    module: str
    args: tuple[str, ...] = ()
    silent_s: float = 1.0
    load_s: float = 20.0


def roster(patch: Patch, performing: bool, recording: bool) -> list[Part]:
    """In the order of starting. performing: the demo's players perform. recording: there is a
    session folder."""
    parts = [
        Part("audio", "devices.audio.process", silent_s=1.5),
        Part("conductor", "engine.conductor_process"),
        Part("midi", "devices.midi.process"),
    ]
    if patch.inputs:
        parts.append(Part("listener", "engine.listener_host", silent_s=3.0, load_s=MODEL_LOAD_S))
    for name in patch.players:
        parts.append(
            Part(f"player.{name}", "engine.player_host", (name,), 5.0, load_s=MODEL_LOAD_S)
        )
    if patch.roles:
        parts.append(Part("pool", "engine.pool_host", silent_s=5.0))
    if captured(patch):
        parts.append(Part("capture", "engine.capture_host", silent_s=5.0))
    if recording:
        parts.append(Part("recorder", "engine.recorder", silent_s=10.0))
    if performing and any(i.stream == PERFORMER for i in patch.inputs.values()):
        parts.append(Part("performer", "engine.performer", silent_s=10.0))
    return parts

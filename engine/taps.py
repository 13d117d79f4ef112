"""What the other processes hear: inputs to the listener and the players; to the recorder what came
in as it came (before trim, strip and guard) and the buses as they left. Beside an input goes what
we play that may come back through it (Mixer.reference), to be taken away from it (engine/bleed.py).

A full ring loses blocks for its consumer only, and is counted there; consumers poll, no bell is
rung from here. The kernel writes them (seg_desk_out).
"""

from __future__ import annotations

from typing import Any

from engine.capture import captured, channels_of
from engine.mixer import BUS_ORDER, Mixer
from engine.sampler import MAX_FRAMES
from engine.shm import Shared
from engine.sources import guarded_sources
from engine.tracks import tracks_of, voltages_out


def connect_taps(shared: Shared, mixer: Mixer, voltages: list[str]) -> None:
    """Fill in the desk's taps. voltages: names of the desk's lines, in order."""
    patch = shared.patch
    plans: list[tuple[str, list[Any]]] = []

    def heard(name: str) -> Any:
        return mixer.row(mixer.index[f"input.{name}"])

    listened = list(patch.clock.listen) or list(patch.inputs)
    if listened:
        plans.append(("tap.listener", [*(heard(n) for n in listened), mixer.reference]))
    guarded = guarded_sources(patch)
    if guarded:
        plans.append(("tap.howl", [mixer.row(mixer.index[n]) for n in guarded]))
    for name, player in patch.players.items():
        if player.to:
            plans.append((f"tap.{name}", [heard(player.listens), mixer.reference]))
    if shared.has_ring("tap.recorder"):
        count = sum(t.channels for t in tracks_of(patch) if not t.leaves)
        raw = mixer.keep("float[]", max(1, count) * MAX_FRAMES)
        mixer.desk.raw = raw
        buses = [BUS_ORDER.index(n) for n in patch.outputs]
        came = [raw + i * MAX_FRAMES for i in range(count)]
        left = [mixer.bus(b, side) for b in buses for side in (0, 1)]
        for name in voltages_out(patch):
            row = mixer.keep("float[]", MAX_FRAMES)  # of one that was not found: zeros
            if name in voltages:
                mixer.desk.lines[voltages.index(name)].kept = row
            left.append(row)
        plans.append(("tap.recorder", [*came, *left]))
    if captured(patch):
        rows = []
        for name in captured(patch):
            source = mixer.index[name]
            rows += [mixer.row(source, side) for side in range(channels_of(name))]
        plans.append(("tap.capture", rows))
    taps = mixer.keep("seg_tap_plan[]", max(1, len(plans)))
    for tap, (ring, rows) in zip(taps, plans, strict=False):
        tap.ring, tap.channels = shared.ring(ring).pointer, len(rows)
        tap.rows = mixer.keep("float *[]", rows)
    mixer.desk.taps, mixer.desk.tap_count = taps, len(plans)

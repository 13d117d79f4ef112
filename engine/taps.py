"""What the other processes hear: inputs to the listener and the players, inputs and main to the
recorder. Never our own output to a listener. A full ring loses blocks for its consumer only, and is
counted there; consumers poll, no bell is rung from here. The kernel writes them (seg_desk_out).
"""

from __future__ import annotations

from typing import Any

from engine.mixer import Mixer
from engine.shm import Shared


def connect_taps(shared: Shared, mixer: Mixer) -> None:
    """Fill in the desk's taps."""
    patch = shared.patch
    plans: list[tuple[str, list[Any]]] = []

    def heard(name: str) -> Any:
        return mixer.row(mixer.index[f"input.{name}"])

    listened = list(patch.clock.listen) or list(patch.inputs)
    if listened:
        plans.append(("tap.listener", [heard(n) for n in listened]))
    for name, player in patch.players.items():
        if player.to:
            plans.append((f"tap.{name}", [heard(player.listens)]))
    if "main" in patch.outputs:
        inputs = [heard(n) for n in patch.inputs]
        plans.append(("tap.recorder", [mixer.bus(0, 0), mixer.bus(0, 1), *inputs]))
    taps = mixer.keep("seg_tap_plan[]", max(1, len(plans)))
    for tap, (ring, rows) in zip(taps, plans, strict=False):
        tap.ring, tap.channels = shared.ring(ring).pointer, len(rows)
        tap.rows = mixer.keep("float *[]", rows)
    mixer.desk.taps, mixer.desk.tap_count = taps, len(plans)

"""What the other processes hear: inputs to the listener and the players, inputs and main to the
recorder. Never our own output to a listener. A full ring loses blocks for its consumer only, and is
counted there; consumers poll, no bell is rung from here. Real-time safe after __init__.
"""

from __future__ import annotations

from typing import Any

from engine.kernel import ffi, lib
from engine.mixer import Mixer
from engine.shm import Shared


class Taps:
    def __init__(self, shared: Shared, mixer: Mixer) -> None:
        patch = shared.patch

        def heard(name: str) -> Any:
            return mixer.row(mixer.index[f"input.{name}"])

        self._taps: list[tuple[Any, Any, int]] = []

        def add(ring: str, rows: list[Any]) -> None:
            self._taps.append((shared.ring(ring).pointer, ffi.new("float *[]", rows), len(rows)))

        listened = list(patch.clock.listen) or list(patch.inputs)
        if listened:
            add("tap.listener", [heard(n) for n in listened])
        for name, player in patch.players.items():
            if player.to:
                add(f"tap.{name}", [heard(player.listens)])
        if "main" in patch.outputs:
            inputs = [heard(n) for n in patch.inputs]
            add("tap.recorder", [mixer.bus(0, 0), mixer.bus(0, 1), *inputs])

    def write(self, t: int, n: int) -> None:
        for ring, rows, count in self._taps:
            lib.seg_tap(ring, rows, count, t, n)

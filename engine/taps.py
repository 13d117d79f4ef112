"""What the other processes hear: inputs to the listener and the players, inputs and main to the
recorder. Never our own output to a listener. A full ring loses blocks for its consumer only, and is
counted there. Real-time safe.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernel import lib, pointer
from engine.mixer import Mixer
from engine.sampler import MAX_FRAMES
from engine.shm import Shared


class Tap:
    """rows: pointers' source arrays, copied side by side because a record is contiguous."""

    def __init__(self, shared: Shared, ring: str, rows: list[np.ndarray]) -> None:
        self._ring: Any = shared.ring(ring)
        self._rows = rows
        self._scratch = np.zeros((len(rows), MAX_FRAMES), np.float32)
        self._pointer = pointer(self._scratch)
        self._shared = shared
        self._bell = shared.consumer(ring)

    def write(self, t: int, n: int) -> None:
        for i, row in enumerate(self._rows):
            self._scratch[i, :n] = row[:n]
        lib.seg_tap(self._ring.pointer, self._pointer, MAX_FRAMES, len(self._rows), t, n)
        self._shared.hint(self._bell)


class Taps:
    def __init__(self, shared: Shared, mixer: Mixer) -> None:
        patch = shared.patch

        def heard(name: str) -> np.ndarray:
            return mixer.sources[mixer.index[f"input.{name}"], 0]

        self._taps: list[Tap] = []
        listened = list(patch.clock.listen) or list(patch.inputs)
        if listened:
            self._taps.append(Tap(shared, "tap.listener", [heard(n) for n in listened]))
        for name, player in patch.players.items():
            if player.to:
                self._taps.append(Tap(shared, f"tap.{name}", [heard(player.listens)]))
        if "main" in patch.outputs:
            rows = [mixer.buses[0, 0], mixer.buses[0, 1], *(heard(n) for n in patch.inputs)]
            self._taps.append(Tap(shared, "tap.recorder", rows))

    def write(self, t: int, n: int) -> None:
        for tap in self._taps:
            tap.write(t, n)

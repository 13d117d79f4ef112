"""Control voltages that come in, chaos made inside, and the sends they move (kernel_mod.c).

Each is a value from 0 to 1 at every frame: a row that a voltage going out or a send follows at the
exact frame. What moves slower things (latents, density, who generates) reads `value` from the
state's snapshot (engine/cv_routes.py). Real-time safe after __init__.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.kernel import ffi, pointer
from engine.mixer import BUS_ORDER, Mixer
from engine.patch import Patch
from engine.patch_cv import CvIn, routes_to_sends
from engine.sampler import MAX_FRAMES
from engine.state import MAX_CV_IN, MAX_ROUTES

KERNEL_KINDS = ("voltage", "gate", "pitch", "logistic", "lorenz")  # as in kernel_mod.c
LORENZ_CYCLE = 0.75  # time of the flow that a turn about one of its wings takes


class CvInputs:
    """channels: device channel (from 0) of each cv_in that has one. rows: name -> float *, its
    values of this block."""

    def __init__(
        self,
        patch: Patch,
        state: np.ndarray,
        channels: dict[str, int],
        rate: float,
        mixer: Mixer,
    ) -> None:
        given = patch.cv_in
        if len(given) > MAX_CV_IN or len(patch.routes) > MAX_ROUTES:
            raise ValueError(f"{len(given)} cv_in, at most {MAX_CV_IN}; or too many routes")
        self._values = np.zeros((max(1, len(given)), MAX_FRAMES), np.float32)
        self.rows = {name: pointer(self._values[i]) for i, name in enumerate(given)}
        self.desk = mixer.desk
        cells = pointer(state["mods"], "seg_mod *")
        mods = mixer.keep("seg_mod_in[]", max(1, len(given)))
        recorded = [name for name, cv in given.items() if cv.channel is not None]
        for i, (name, cv) in enumerate(given.items()):
            mod = mods[i]
            mod.mod, mod.row = cells + i, self.rows[name]
            mod.channel = channels.get(name, -1)
            mod.hold = self.rows[cv.freeze] if cv.freeze else ffi.NULL
            mod.sample = self.rows[cv.sample] if cv.sample else ffi.NULL
            mod.track = recorded.index(name) if name in recorded else -1
            _shape(mod, cv, rate)
        self.desk.mods, self.desk.mod_count = mods, len(given)
        self._mods = state["mods"]
        self._chaos = [i for i, cv in enumerate(given.values()) if cv.kind == "chaos"]
        self._lay_routes(patch, state, mixer)

    def _lay_routes(self, patch: Patch, state: np.ndarray, mixer: Mixer) -> None:
        moved = [patch.routes[name] for name in routes_to_sends(patch.routes)]
        self._gains = np.ones((max(1, len(moved)), MAX_FRAMES), np.float32)
        cells = pointer(state["routes"], "seg_route_state *")
        routes = mixer.keep("seg_route[]", max(1, len(moved)))
        for i, given in enumerate(moved):
            source, _, bus = given.to.removeprefix("send.").rpartition(".")
            route = routes[i]
            route.state, route.row = cells + i, self.rows[given.source]
            route.low, route.high, route.gain = given.low, given.high, pointer(self._gains[i])
            mixer.move(mixer.index[source], BUS_ORDER.index(bus), route.gain)
        self.desk.routes, self.desk.route_count = routes, len(moved)

    def freeze(self, still: bool) -> None:
        """By hand: every chaos stands still, or goes on from there."""
        for i in self._chaos:
            self._mods[0, i]["frozen"] = still

    def edges(self) -> list[tuple[int, int, bool]]:
        """(frame, index of the cv_in, up) of every gate that moved in this block."""
        found = self.desk.edges
        return [
            (found[i].frame, found[i].index, bool(found[i].high))
            for i in range(self.desk.edge_count)
        ]


def _shape(mod: Any, cv: CvIn, rate: float) -> None:
    """What the kernel is to know of a voltage that comes in."""
    inside = cv.kind == "chaos" and cv.channel is None
    kind = cv.map if inside else "voltage" if cv.kind == "chaos" else cv.kind
    mod.kind = KERNEL_KINDS.index(kind)
    mod.scale, mod.offset = cv.volts_full_scale / cv.polarity, cv.offset_volts
    mod.low, mod.span = cv.low_volts, cv.high_volts - cv.low_volts
    mod.smooth = 1.0
    if kind != "pitch" and cv.smooth_ms:
        mod.smooth = 1.0 - math.exp(-1000.0 / (cv.smooth_ms * rate))
    mod.rate = cv.hz / rate * (LORENZ_CYCLE if kind == "lorenz" else 1.0)
    dice = np.random.default_rng(cv.seed).uniform(0.1, 0.9, 3)
    mod.start = [16.0 * dice[0] - 8.0, 16.0 * dice[1] - 8.0, 15.0 + 20.0 * dice[2]]
    if kind == "logistic":
        mod.start = [dice[0], 0.0, 0.0]

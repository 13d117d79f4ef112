"""Routes of control voltages to what a block cannot follow: latents, density, who generates.

Pure; the conductor asks. `hear` takes the values that the audio process last published, some
milliseconds old; `see` what it let out. Not thread-safe.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from engine.patch import Patch
from engine.patch_cv import Route, volts_of
from engine.stem import StemRequest

UP = 0.5  # a condition holds from here on
CONDUCTED = ("latent", "density", "generate")  # kinds of routes that the conductor carries


class CvRoutes:
    """One patch's. Before anything was heard every source is 0. frozen, off (names of routes): by
    a hand."""

    def __init__(self, patch: Patch) -> None:
        self.frozen = False
        self.off: list[str] = []
        self._outputs = patch.cv
        self.volts = dict.fromkeys(patch.cv, 0.0)  # of what leaves
        self._sources = list(patch.cv_in)
        self._values = dict.fromkeys(self._sources, 0.0)
        self._players = list(patch.players)
        self._routes: dict[str, dict[str, tuple[str, Route]]] = {kind: {} for kind in CONDUCTED}
        for name, route in patch.routes.items():
            kind, _, target = route.to.partition(".")
            if kind in CONDUCTED:
                self._routes[kind][target] = (name, route)

    def __bool__(self) -> bool:
        return bool(self._sources or self._outputs)

    def hear(self, mods: np.ndarray) -> None:
        """mods: the state's MOD records (MAX_CV_IN,)."""
        for i, name in enumerate(self._sources):
            self._values[name] = float(mods[i]["value"])

    def see(self, cv: np.ndarray) -> None:
        """cv: the state's CV records (MAX_CV,)."""
        for i, (name, given) in enumerate(self._outputs.items()):
            self.volts[name] = volts_of(given, float(cv[i]["shown"]))

    def values(self) -> dict[str, float]:
        """Each cv_in, 0..1."""
        return dict(self._values)

    def at(self, route: Route) -> float:
        return route.low + (route.high - route.low) * self._values[route.source]

    def lets(self, name: str) -> bool:
        """Whether a player or a role may generate as far as voltages say."""
        route = self._of("generate", name)
        return route is None or self.at(route) >= UP

    def steer(self, switch: np.ndarray, allowed: bool) -> None:
        """Fill in a SWITCH record (1,): who may generate, and the latents that are routed."""
        for i, name in enumerate(self._players):
            switch[0]["generate"][i] = 1 if allowed and self.lets(name) else 0
        for target in self._routes["latent"]:
            route = self._of("latent", target)
            if route is not None:
                player, _, latent = target.partition(".")
                switch[0]["controls"][self._players.index(player), int(latent)] = self.at(route)

    def shape(self, requests: list[tuple[Any, StemRequest]]) -> None:
        """Requests for stems of roles whose density is routed get the density of this moment."""
        for i, (entry, request) in enumerate(requests):
            route = self._of("density", entry.role)
            if route is not None:
                requests[i] = (entry, replace(request, density=self.at(route)))

    def _of(self, kind: str, target: str) -> Route | None:
        """The route to a target, unless a hand took it off."""
        name, route = self._routes[kind].get(target, ("", None))
        return None if name in self.off else route

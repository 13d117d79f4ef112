"""What `segue rig` and `segue soundcheck` need of the world: an interface that plays and records at
once, MIDI ports that are listened to, somebody to talk with. devices/ and engine/terminal.py hold
the real ones, tests their own. Nothing here is real-time safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np


class VenueError(Exception):
    """Something cannot be had or measured here: says what, and what to do."""


class Interface(Protocol):
    """An audio interface. inputs, outputs: names of its channels, as people know them."""

    name: str
    rate: int
    inputs: list[str]
    outputs: list[str]

    def run(self, play: np.ndarray) -> np.ndarray:
        """Play float32 (frames, outputs) and return what came in meanwhile, float32 (frames,
        inputs): one block of both at a time, so a frame of either has the same number. Raises
        VenueError when the sound server loses it."""
        ...


class Presses(Protocol):
    """Every MIDI input there is."""

    def poll(self) -> list[tuple[str, bytes]]:
        """(port, message) of what has come in since the last time."""
        ...


class Talk(Protocol):
    """A person at the terminal."""

    def say(self, text: str) -> None: ...

    def ask(self, text: str) -> str:
        """A line they type, stripped; '' for Enter alone, and once nobody answers any more."""
        ...

    @contextmanager
    def until_enter(self) -> Iterator[Callable[[], bool]]:
        """A function that tells whether they have pressed Enter since: for waiting that somebody
        may cut short."""
        ...


def silence(interface: Interface, seconds: float) -> np.ndarray:
    """Zeros for every output, float32 (frames, outputs)."""
    frames = round(seconds * interface.rate)
    return np.zeros((frames, len(interface.outputs)), np.float32)


def listen(interface: Interface, seconds: float) -> np.ndarray:
    """What comes in while nothing is played: float32 (frames, inputs)."""
    return interface.run(silence(interface, seconds))

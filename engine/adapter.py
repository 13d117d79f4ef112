"""What a model's folder must offer; the engine knows models only through these.

Every folder under models/ has the same files:

    __init__.py   ADAPTER = "models.<name>.adapter:<Class>", KIND; imports nothing heavy
    adapter.py    the class below; the model's libraries are imported in load() only
    train.py      how the shipped weights were made (python -m models.<name>.train)
    card.md       data, licence, training, figures
    <weights>     what ships

Players run one to a process (engine/player_host.py), single-threaded: every method is called from
that process's main thread; none is real-time safe. Offline the same objects are stepped in turn.
All frames are Timestamps of the audio device.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.stem import StemNote, StemRequest


class AdapterError(Exception):
    """Bad checkpoint or configuration: says what was found, where, and what to do."""


def config_number(model: str, key: str, value: object, low: float, high: float) -> int | float:
    """A number of a model's config as it stands; a whole one where both bounds are ints. Raises
    AdapterError."""
    whole = isinstance(low, int) and isinstance(high, int)
    right = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, right) or not low <= value <= high:
        wanted = (
            f"a whole number from {low} to {high}"
            if whole
            else f"a number from {low:g} to {high:g}"
        )
        raise AdapterError(f"{model}: config {key} is {value!r}, expected {wanted}")
    return value


class Adapter(Protocol):
    """config: the player's or maker's own keys of the patch. checkpoint: None, the shipped one."""

    def load(self, checkpoint: Path | None, rate: int, config: dict[str, Any]) -> None:
        """Load and warm up. Raises AdapterError. May take seconds."""
        ...


class NotePlayer(Adapter, Protocol):
    """Answers notes with notes (Notochord). Records are layout.NOTE."""

    def feed(self, notes: np.ndarray) -> None:
        """Hear notes that were played, in order of frame."""
        ...

    def step(self, t: int, horizon: int) -> np.ndarray:
        """Notes due before frame t + horizon that were not returned yet."""
        ...

    def steer(self, controls: np.ndarray) -> None:
        """controls float32 (MAX_LATENTS,), -1..1, 0 at rest: what hands and moods ask for."""
        ...

    def release(self, t: int) -> np.ndarray:
        """Offs for everything still sounding, at frame t; what was pending is forgotten."""
        ...


class TexturePlayer(Adapter, Protocol):
    """Turns live audio into a texture (RAVE)."""

    block: int  # frames per call of process()
    latency: int  # frames: output for input at frame f is meant to sound at f + latency
    model_delay: int  # frames of that latency which are inside what process() returns
    freeze: bool  # the sound of the moment it was set stands still

    def process(self, audio: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """audio float32 (block,), controls float32 (MAX_LATENTS,), -1..1 -> float32 (2, block)."""
        ...

    def reset(self) -> None:
        """Forget the streaming state."""
        ...


class Observer(Adapter, Protocol):
    """Listens to live inputs (aubio). Returns layout.OBSERVATION records."""

    hop: int

    def observe(self, frame: int, audio: np.ndarray) -> np.ndarray:
        """audio float32 (inputs, hop) from `frame` on -> observations (maybe empty)."""
        ...


class StemMaker(Adapter, Protocol):
    """Answers a request with notes; runs in a worker that may be killed."""

    def generate(
        self,
        request: StemRequest,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> list[StemNote]:
        """Notes with 0 <= start < start + duration <= request.beats. Raises AdapterError."""
        ...

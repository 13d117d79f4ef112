"""A VST3 effect through pedalboard (JUCE): loading it, and blocks through it.

A plug-in is a program of somebody else's inside this process: it may crash, hang, or return
anything. engine/plugin_proof.py lets a process of its own find out first; nothing else may load one
that was not proved.

What pedalboard makes of a plug-in, measured on 0.9.26: reset=False keeps its state from block to
block; it is prepared anew whenever a block is longer than all before, so the longest comes first;
what it returns is shorter by its latency until that has passed, so that much silence goes first;
once it has been prepared, an array of one or two frames is not taken for one the other way round.
Every call allocates its output and some small objects and frees them, and releases the GIL. The
plug-in is told that it renders offline, which pedalboard lets nobody choose.

Not real-time safe but for Effect.run, which is as good as the plug-in.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.sampler import MAX_FRAMES

LOAD_S = 0.5  # that pedalboard waits for an instrument to sound, before we refuse it
LATENCY_MOST = 1 << 16  # frames
Value = bool | int | float | str


class PluginError(Exception):
    """A plug-in that cannot be used; says why, in words that follow its path."""


def library_of(path: Path) -> Path:
    """The shared object of a VST3 bundle (a folder) for this machine, or the file itself."""
    if path.is_dir():
        found = sorted((path / "Contents" / f"{platform.machine()}-linux").glob("*.so"))
        return found[0] if found else path
    return path


class Effect:
    """One loaded effect of 1 or 2 channels. cell: float32, what it is given: its channels' n frames
    one after the other. rate: frames a second. channels: as many as it shall have, None: two if it
    can, else one. Raises PluginError; may as well take the process down."""

    def __init__(
        self,
        path: str,
        plugin: str | None,
        parameters: Mapping[str, Value],
        rate: float,
        channels: int | None = None,
    ) -> None:
        import pedalboard

        try:
            self.effect: Any = pedalboard.VST3Plugin(
                path, plugin_name=plugin, initialization_timeout=LOAD_S
            )
        except Exception as error:
            raise PluginError(_reason(error)) from None
        if not self.effect.is_effect:
            raise PluginError("is an instrument: it takes no sound in, expected an effect")
        for name, value in parameters.items():
            self._set(name, value)
        self._rate = rate
        self.cell = np.zeros(2 * MAX_FRAMES, np.float32)
        self._n, self._block = 0, self.cell[:0]
        self.channels = self._prime((2, 1) if channels is None else (channels,))
        self.latency = int(self.effect.reported_latency_samples)
        if not 0 <= self.latency <= LATENCY_MOST:
            raise PluginError(f"says it is {self.latency} frames late, at most {LATENCY_MOST}")
        for _ in range(-(-self.latency // MAX_FRAMES)):
            self.run(MAX_FRAMES)

    @property
    def name(self) -> str:
        return str(self.effect.name)

    def _set(self, name: str, value: Value) -> None:
        known = self.effect.parameters
        if name not in known:
            raise PluginError(f"has no parameter {name!r}, expected one of {', '.join(known)}")
        try:
            setattr(self.effect, name, value)
        except Exception as error:
            raise PluginError(f"does not take {name} = {value!r}: {_reason(error)}") from None

    def _prime(self, choices: tuple[int, ...]) -> int:
        """The first number of channels that it takes, prepared for the longest block."""
        refused = ""
        for channels in choices:
            self.channels, self._n = channels, 0
            try:
                self.run(MAX_FRAMES)
            except Exception as error:
                refused = refused or _reason(error)
            else:
                return channels
        raise PluginError(f"takes neither one channel nor two: {refused}")

    def block(self, n: int) -> np.ndarray:
        """Where the next n frames go: (2, n), or (n,) for one channel; a view of `cell`."""
        if n != self._n:
            cell = self.cell
            self._block = cell[:n] if self.channels == 1 else cell[: 2 * n].reshape(2, n)
            self._n = n
        return self._block

    def run(self, n: int) -> np.ndarray | None:
        """What it makes of the n frames in `cell`: float32, C-contiguous, in the shape of `block`;
        None where that is another. Raises whatever it raises; NaN is not looked for."""
        block = self.block(n)
        made: np.ndarray = self.effect.process(block, self._rate, MAX_FRAMES, False)
        return made if made.shape == block.shape else None


def _reason(error: BaseException) -> str:
    """A foreign error in one line."""
    said = " ".join(str(error).split())
    return said[:300] or type(error).__name__

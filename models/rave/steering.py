"""Hands on the latents: which control moves what, smoothed, clamped to where the model has been."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.adapter import AdapterError, config_number
from engine.layout import MAX_LATENTS

TARGETS = ("scale", "gain", "freeze", "none")
GAIN_DB = 12.0  # reach of a control on "gain"
SCALE_OCTAVES = 1.0  # reach of a control on "scale": half to double


@dataclass
class Config:
    """The patch's own keys for a texture, checked.

    controls: what each control (-1..1) moves: "latent N", "scale" (how far latents swing about
    their middle), "gain", "freeze" (above 0.5) or "none"; by default control n moves latent n.
    offset: reach of a control on a latent, in halves of its observed range. scale: the swing at
    rest. smooth_ms: time constant of every control. margin_ms: time allowed for inference, part of
    the latency. freeze: hold the first sound that comes. seed: same noise after each reset. block:
    frames a call at the model's rate. model_rate: Hz, for models that do not say theirs.
    """

    controls: tuple[str, ...] = tuple(f"latent {n}" for n in range(MAX_LATENTS))
    offset: float = 0.5
    scale: float = 1.0
    smooth_ms: float = 60.0
    margin_ms: float = 30.0
    gain_db: float = 0.0
    freeze: bool = False
    seed: int | None = None
    block: int | None = None
    model_rate: int | None = None


# key: lowest, highest; whole numbers where both are ints
_NUMBERS: dict[str, tuple[float, float]] = {
    "offset": (0.0, 2.0),
    "scale": (0.0, 4.0),
    "smooth_ms": (1.0, 10000.0),
    "margin_ms": (0.0, 2000.0),
    "gain_db": (-60.0, 24.0),
    "seed": (0, 2**31),
    "block": (1, 2**20),
    "model_rate": (8000, 192000),
}


def read_config(config: dict[str, Any]) -> Config:
    """Check the keys of a patch. Raises AdapterError with the key, what was found and expected."""
    for key, value in config.items():
        if key == "controls":
            _check_controls(value)
        elif key == "freeze":
            if not isinstance(value, bool):
                raise AdapterError(f"rave: freeze is {value!r}, expected true or false")
        elif key in _NUMBERS:
            config_number("rave", key, value, *_NUMBERS[key])
        else:
            known = ", ".join(sorted((*_NUMBERS, "controls", "freeze")))
            raise AdapterError(f"rave: unknown key {key!r}; known are {known}")
    checked: dict[str, Any] = dict(config)
    if "controls" in checked:
        checked["controls"] = tuple(checked["controls"])
    return Config(**checked)


def _check_controls(value: object) -> None:
    allowed = {*TARGETS, *(f"latent {n}" for n in range(128))}
    if not isinstance(value, list | tuple) or len(value) > MAX_LATENTS:
        raise AdapterError(f"rave: controls is {value!r}, expected a list of up to {MAX_LATENTS}")
    for name in value:
        if not isinstance(name, str) or name not in allowed:
            expected = ", ".join(("latent N", *TARGETS))
            raise AdapterError(f"rave: controls has {name!r}, expected one of {expected}")


@dataclass
class Steering:
    """Turns latents and controls into the latents to decode. low, high: (latents, 1), the range."""

    config: Config
    low: np.ndarray
    high: np.ndarray
    per_frame: float  # share of its way a smoothed value moves in one latent frame
    frozen: bool = False
    _offset: np.ndarray = field(init=False)
    _rest: np.ndarray = field(init=False)  # scale (octaves), gain (dB), freeze (0..1), smoothed

    def __post_init__(self) -> None:
        self._rows = np.full(MAX_LATENTS, -1)
        for n, name in enumerate(self.config.controls):
            if name.startswith("latent "):
                at = int(name.removeprefix("latent "))
                self._rows[n] = at if at < len(self.low) else -1
        self._columns = {
            name: [n for n, c in enumerate(self.config.controls) if c == name] for name in TARGETS
        }
        self._held: np.ndarray | None = None
        self.reset()

    def reset(self) -> None:
        """Hands off: every control at rest, nothing held."""
        self.frozen = False
        self._offset = np.zeros((len(self.low), 1), np.float32)
        self._rest = np.zeros((3, 1), np.float32)
        self._held = None

    def steer(self, z: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z float32 (latents, frames), controls (MAX_LATENTS,) -> latents, gain in dB (frames,)."""
        controls = np.clip(np.nan_to_num(controls, posinf=1.0, neginf=-1.0), -1.0, 1.0)
        offset = np.zeros_like(self._offset)
        for n in np.flatnonzero(self._rows >= 0):
            offset[self._rows[n], 0] += controls[n]
        offset *= self.config.offset * 0.5 * (self.high - self.low)
        scale, gain = (sum(controls[n] for n in self._columns[c]) for c in ("scale", "gain"))
        freeze = self.frozen or any(controls[n] > 0.5 for n in self._columns["freeze"])
        if not freeze and self._rest[2, 0] < 1e-3:
            self._held = None
        elif freeze and self._held is None:
            self._held = z[:, :1].copy()
        goal = np.array([[scale * SCALE_OCTAVES], [gain * GAIN_DB], [float(freeze)]], np.float32)
        offsets, self._offset = self._glide(self._offset, offset, z.shape[1])
        rest, self._rest = self._glide(self._rest, goal, z.shape[1])
        if self._held is not None:
            z = z + rest[2] * (self._held - z)
        middle = 0.5 * (self.low + self.high)
        z = middle + (z - middle) * (self.config.scale * np.exp2(rest[0])) + offsets
        return np.clip(z, self.low, self.high).astype(np.float32), rest[1]

    def _glide(self, now: np.ndarray, to: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Exponential approach, frame by frame: the same however frames are cut into blocks."""
        left = ((1 - self.per_frame) ** np.arange(1, frames + 1)).astype(np.float32)
        path = to + (now - to) * left
        return path, path[:, -1:]

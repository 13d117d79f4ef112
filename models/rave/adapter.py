"""A RAVE-interface model as a texture: encode, bend the latents, decode.

Latency is exact: one block to collect, a margin for inference (config `margin_ms`) and the model's
own delay, measured with an impulse when it is loaded. torch is imported in load() only.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.adapter import AdapterError
from engine.layout import MAX_LATENTS
from models.rave.resample import TAPS, Resampler
from models.rave.steering import Config, Steering, read_config

if TYPE_CHECKING:
    from models.rave.probe import Probed

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).with_name("texture.ts")
SHIPPED_LICENCE = "GPL-3.0-or-later"
WARM_UP_CALLS = 4
REACTIVE_RATIO = 256  # more frames a latent than this is a texture, whatever the machine
WIDEN = 0.25  # share by which the observed range of a latent is widened
WIDTH = 0.5  # side signal of a mono model: itself, later
SIDE_SECONDS = 0.011
FREEZE_LEVEL = 10 ** (-45 / 20)  # RMS of a block that counts as sound for `freeze: true`
FREEZE_SECONDS = 0.25  # of sound heard before it holds
FADE = 64  # frames to silence when a model gives something that is no number
KNEE = 0.7  # output is straight up to here, then bent to stay below 1
IMPULSE_SECONDS = 0.75  # longest model delay that is looked for
AUDIBLE = 1e-5  # an impulse that moves the output less has no measurable delay


class Rave:
    """engine.adapter.TexturePlayer. Use from one thread; not real-time safe.

    block, latency: frames at the interface's rate. model_delay: the part of `latency` that is
    already inside what process() returns, so a block made from the input at frame f starts to
    sound at f + latency - model_delay. not_finite: blocks silenced because the model gave no
    numbers.
    """

    block: int
    latency: int
    model_delay: int

    def __init__(self) -> None:
        self.not_finite = 0
        self._gain_before = 1.0  # linear, at the end of the last block
        self._last = np.zeros((2, 1), np.float32)  # the last frame that sounded
        self._unheard = 0  # frames of sound still to hear before `freeze: true` holds

    def load(self, checkpoint: Path | None, rate: int, config: dict[str, Any]) -> None:
        """Open, check, warm up, measure. config: see steering.Config. Raises AdapterError."""
        self._config: Config = read_config(config)
        path = SHIPPED if checkpoint is None else checkpoint
        import torch

        from models.rave.probe import probe

        torch.set_num_threads(1)
        self._torch = torch
        self._rate = rate
        self._model: Probed = probe(path, self._config.model_rate, self._config.block)
        self.block = self._model.block
        if checkpoint is None:
            self._model.licence = SHIPPED_LICENCE
        elif self._model.licence == "unknown":
            log.warning("%s: licence unknown; most published RAVE models are CC-BY-NC-4.0", path)
        self._make_rate_change()
        self._side = np.zeros(max(1, round(SIDE_SECONDS * rate)), np.float32)
        self._steering = self._calibrate(path)
        for _ in range(WARM_UP_CALLS):
            self.process(np.zeros(self.block, np.float32), np.zeros(MAX_LATENTS, np.float32))
        self.model_delay = self._measure_delay()
        margin = round(self._config.margin_ms * rate / 1000)
        self.latency = self.block + margin + self.model_delay
        self.not_finite = 0
        self.reset()

    @property
    def info(self) -> dict[str, object]:
        """What was loaded, for status and the screen."""
        m = self._model
        return {
            "licence": m.licence,
            "model_rate": m.rate,
            "ratio": m.ratio,
            "latents": m.latents,
            "block": self.block,
            "latency": self.latency,
            "model_delay": self.model_delay,
            "kind": "texture" if m.ratio > REACTIVE_RATIO else "reactive",
        }

    @property
    def freeze(self) -> bool:
        """True holds the latents of the moment it was set; the sound stands until False."""
        return self._steering.frozen

    @freeze.setter
    def freeze(self, on: bool) -> None:
        self._steering.frozen = on

    def reset(self) -> None:
        """Forget the streaming state; the same input then gives the same output (with `seed`, for
        models that make their own noise)."""
        self._reset_model()
        self._steering.reset()
        self._unheard = int(FREEZE_SECONDS * self._model.rate)
        if self._into is not None and self._back is not None:
            self._into.reset()
            self._back.reset()
        self._waiting = np.zeros(0, np.float32)
        self._ready = np.zeros((2, self._prefill), np.float32)

    def process(self, audio: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """audio float32 (block,), controls float32 (MAX_LATENTS,) in -1..1 -> float32 (2, block).

        Input that is no number counts as 0, and the output is always finite and within -1..1.
        """
        audio = np.nan_to_num(audio, posinf=0.0, neginf=0.0).clip(-4.0, 4.0).astype(np.float32)
        if self._into is None or self._back is None:
            return self._run(audio, controls)
        self._waiting = np.concatenate([self._waiting, self._into.process(audio[None])[0]])
        while len(self._waiting) >= self.block:
            made = self._run(self._waiting[: self.block], controls)
            self._waiting = self._waiting[self.block :]
            self._ready = np.concatenate([self._ready, self._back.process(made)], axis=1)
        out, self._ready = self._ready[:, : self.block], self._ready[:, self.block :]
        return np.clip(out, -1.0, 1.0)

    def _run(self, audio: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """One block at the model's rate -> (2, block)."""
        torch, model = self._torch, self._model
        with torch.inference_mode():
            x = torch.from_numpy(audio).expand(1, model.inputs, -1).contiguous()
            z = model.encode(x)[0].float().numpy()
            self._freeze_when_heard(audio)
            z, gain_db = self._steering.steer(np.nan_to_num(z), controls)
            y = model.decode(torch.from_numpy(z)[None])[0].float().numpy()
        if not np.isfinite(y).all():
            return self._recover()
        gain = 10 ** ((gain_db + self._config.gain_db) / 20)
        # Straight lines between the gains of the latent frames: no steps.
        frames = np.arange(1, self.block + 1) / model.ratio
        steps = np.concatenate([[self._gain_before], gain])
        y = y * np.interp(frames, np.arange(len(steps)), steps).astype(np.float32)
        self._gain_before = float(gain[-1])
        y = bounded(self._widen(y[0]) if len(y) == 1 else y)
        self._last = y[:, -1:].copy()
        return y

    def _freeze_when_heard(self, audio: np.ndarray) -> None:
        """`freeze: true` holds the first sound, not the silence before it."""
        if not self._config.freeze or self._unheard <= 0:
            return
        if np.sqrt(np.mean(audio**2)) > FREEZE_LEVEL:
            self._unheard -= len(audio)
            self._steering.frozen = self._unheard <= 0

    def _widen(self, mono: np.ndarray) -> np.ndarray:
        """Mono to stereo: its own past is added to one side and taken from the other, so the sum
        of both sides stays the mono sound."""
        past = np.concatenate([self._side, mono])
        self._side = past[len(mono) :]
        side = WIDTH * past[: len(mono)]
        return np.stack([mono + side, mono - side]) / np.sqrt(1 + WIDTH**2)

    def _recover(self) -> np.ndarray:
        """The model gave no numbers: fade from where the sound was, and start it afresh."""
        self.not_finite += 1
        last = self._last
        self._reset_model()
        out = np.zeros((2, self.block), np.float32)
        out[:, :FADE] = last * np.linspace(1, 0, FADE, endpoint=False, dtype=np.float32)
        return out

    def _reset_model(self) -> None:
        self._model.reset()
        if self._config.seed is not None:
            self._torch.manual_seed(self._config.seed)
        self._side[:] = 0.0
        self._last = np.zeros((2, 1), np.float32)
        self._gain_before = 10 ** (self._config.gain_db / 20)

    def _make_rate_change(self) -> None:
        """Resamplers, and enough silence before the output that it never runs dry."""
        self._into: Resampler | None = None
        self._back: Resampler | None = None
        self._prefill = 0
        self._waiting = np.zeros(0, np.float32)
        self._ready = np.zeros((2, 0), np.float32)
        ours, theirs = self._rate, self._model.rate
        if ours != theirs:
            self._into, self._back = Resampler(ours, theirs, 1), Resampler(theirs, ours, 2)
            # A model block waits to fill, each filter holds back its taps; 8 for the rounding.
            self._prefill = int((self.block + TAPS) * ours / theirs) + TAPS + 8
            self._ready = np.zeros((2, self._prefill), np.float32)

    def _calibrate(self, path: Path) -> Steering:
        """Find the range of each latent on a fixed sound: glides, swells, noise, silence."""
        model = self._model
        sound = calibration_sound(model.rate, model.block)
        model.reset()
        parts: list[np.ndarray] = []
        with self._torch.inference_mode():
            for block in sound.reshape(-1, model.block):
                x = self._torch.from_numpy(block).expand(1, model.inputs, -1).contiguous()
                parts.append(model.encode(x)[0].float().numpy())
        z = np.concatenate(parts, axis=1)
        if not np.isfinite(z).all():
            raise AdapterError(f"{path}: encodes sound to what is no number; the file is damaged")
        low, high = z.min(1, keepdims=True), z.max(1, keepdims=True)
        room = WIDEN * (high - low)
        smooth_frames = self._config.smooth_ms / 1000 * model.rate / model.ratio
        return Steering(
            self._config, low - room, high + room, float(1 - np.exp(-1 / smooth_frames))
        )

    def _measure_delay(self) -> int:
        """Frames until the answer to an impulse reaches half its peak, against silence; the mean of
        four places in a latent frame. 0 when an impulse changes nothing."""
        count = max(8, -(-int(IMPULSE_SECONDS * self._rate) // self.block))
        silence = self._answer(count, None)
        delays: list[int] = []
        for quarter in range(4):
            at = 4 * self.block + quarter * self._model.ratio // 4
            moved = np.abs(self._answer(count, at) - silence).max(0)
            if moved.max() > AUDIBLE:
                delays.append(max(0, int(np.argmax(moved >= 0.5 * moved.max())) - at))
        return round(float(np.mean(delays))) if delays else 0

    def _answer(self, blocks: int, impulse: int | None) -> np.ndarray:
        self.reset()
        self._unheard = 0
        self._torch.manual_seed(0)
        sound = np.zeros((blocks + 4) * self.block, np.float32)
        if impulse is not None:
            sound[impulse] = 1.0
        rest = np.zeros(MAX_LATENTS, np.float32)
        return np.concatenate(
            [self.process(b, rest) for b in sound.reshape(-1, self.block)], axis=1
        )


def bounded(x: np.ndarray) -> np.ndarray:
    """Straight up to KNEE, then bent so that it never passes 1. float32, same shape."""
    over = np.maximum(np.abs(x) - KNEE, 0.0)
    room = 1.0 - KNEE
    return (np.sign(x) * (np.abs(x) - over + room * np.tanh(over / room))).astype(np.float32)


def calibration_sound(rate: int, block: int) -> np.ndarray:
    """About three seconds of float32 sound: a tone glides 55 to 880 Hz through three swells, then
    noise, then silence. Whole blocks."""
    rng = np.random.default_rng(7)
    t = np.arange(int(2.2 * rate)) / rate
    hz = 55 * 2 ** (4 * t / t[-1])
    phase = 2 * np.pi * np.cumsum(hz) / rate
    tone = sum(np.sin(k * phase) / k * (k * hz < 0.45 * rate) for k in range(1, 16))
    tone = 0.4 * tone * np.sin(3 * np.pi * t / t[-1]) ** 2
    noise = 0.2 * rng.standard_normal(rate // 2) * np.linspace(1, 0, rate // 2)
    sound = np.concatenate([tone, noise, np.zeros(rate // 4)])
    return np.pad(sound, (0, -len(sound) % block)).astype(np.float32)

"""Train and export the shipped texture: python -m models.rave.train (--help for its options).

One thread. Pitch is learned from what the material is known to play, timbre and noise from a
multi-scale spectral loss; the last step rotates the timbre latents to their principal axes.
Progress and, last, the figures as JSON go to the log (standard error).
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.rave import data
from models.rave.model import (
    DELAY,
    LAGS,
    LAGS_PER_OCTAVE,
    LOWEST_HZ,
    MAX_BATCH,
    RATE,
    RATIO,
    Texture,
    octaves_of,
)

log = logging.getLogger("rave.train")
SCALES = (2048, 1024, 512, 256, 128)
SEGMENT = 32  # latent frames a training example
BATCH = 4
SHIPPED = Path(__file__).with_name("texture.ts")


class Material:
    """Features, sound and pitch of many clips, ready to be cut into segments."""

    def __init__(
        self, model: Texture, count: int, seed: int, kinds: tuple[data.Kind, ...] = data.MIXED
    ) -> None:
        sound, pitch = data.clips(count, seed, kinds)
        whole = sound.shape[1] // RATIO * RATIO
        self.sound = torch.from_numpy(sound[:, :whole])
        frames = np.maximum((np.arange(whole // RATIO) + 1) * RATIO - DELAY, 0)
        self.hz = torch.from_numpy(pitch[:, frames])
        model.eval()
        parts: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, count, MAX_BATCH):
                model.features.heard.cache.zero_()
                parts.append(model.features(self.sound[start : start + MAX_BATCH, None]))
        model.features.heard.cache.zero_()
        self.features = torch.cat(parts)

    def segments(self, clips: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """-> features (b, c, SEGMENT), pitch (b, SEGMENT), sound DELAY earlier (b, frames)."""
        pairs = list(zip(clips.tolist(), starts.tolist(), strict=True))
        late = DELAY // RATIO
        return (
            torch.stack([self.features[c, :, s : s + SEGMENT] for c, s in pairs]),
            torch.stack([self.hz[c, s : s + SEGMENT] for c, s in pairs]),
            torch.stack(
                [self.sound[c, (s - late) * RATIO : (s - late + SEGMENT) * RATIO] for c, s in pairs]
            ),
        )

    def draw(self, rng: torch.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        last = self.features.shape[-1] - SEGMENT
        clips = torch.randint(len(self.sound), (count,), generator=rng)
        return self.segments(clips, torch.randint(2, last, (count,), generator=rng))


def spectral_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Distance of log magnitudes plus relative distance of magnitudes, mean over SCALES."""
    total = torch.zeros(())
    for size in SCALES:
        window = torch.hann_window(size)
        pair = torch.stft(
            torch.cat([made, wanted]), size, size // 4, window=window, return_complex=True
        )
        a, b = (pair.abs() / size**0.5).chunk(2)
        total = total + (a - b).abs().mean() / (b.mean() + 1e-4)
        total = total + (torch.log(a + 1e-4) - torch.log(b + 1e-4)).abs().mean()
    return total / len(SCALES)


def pitch_loss(logits: Tensor, hz: Tensor, level: Tensor) -> Tensor:
    """Cross-entropy with a target a quarter tone wide; no pitch (0 Hz) is a class of its own."""
    bins = LAGS_PER_OCTAVE * torch.log2(hz.clamp_min(1.0) / LOWEST_HZ)
    spread = torch.exp(-0.5 * ((torch.arange(LAGS)[None, :, None] - bins[:, None]) / 0.8) ** 2)
    spread = spread / spread.sum(1, keepdim=True).clamp_min(1e-9)
    pitched = ((hz > 0) & (level > -62)).float()[:, None]
    target = torch.cat([spread * pitched, 1 - pitched], dim=1)
    return -(target * torch.log_softmax(logits, dim=1)).sum(1).mean()


def latents(
    model: Texture, features: Tensor, hz: Tensor | None, noise: float
) -> tuple[Tensor, Tensor]:
    """-> raw latents (b, LATENTS, n), pitch logits. hz: the true pitch where it is known."""
    logits, timbre = model.encoder(features)
    octaves = octaves_of(logits)[0].detach()
    if hz is not None:
        true = torch.log2(hz.clamp_min(1.0) / 220.0)[:, None]
        octaves = torch.where(hz[:, None] > 0, true, octaves)
    timbre = timbre + noise * torch.randn_like(timbre)
    return torch.cat([octaves, (features[:, -1:] + 35) / 15, timbre], dim=1), logits


def held_out(model: Texture, material: Material) -> dict[str, float]:
    """Loss on unheard clips with the model's own pitch, and the share of frames within 50 cents."""
    model.train()
    torch.manual_seed(0)
    count = len(material.sound)
    with torch.no_grad():
        features, hz, wanted = material.segments(torch.arange(count), torch.full((count,), 60))
        raw, logits = latents(model, features, None, 0.0)
        made = model.resynthesis(raw)
        octaves, voiced = octaves_of(logits)
        known = hz > 0
        off = (octaves[:, 0] - torch.log2(hz.clamp_min(1.0) / 220.0)).abs()
        return {
            "spectral": float(spectral_loss(made, wanted)),
            "pitch_within_50_cents": float((off[known] < 1 / 24).float().mean()),
            "voiced_right": float(((voiced[:, 0] > 0.5) == known).float().mean()),
        }


def polish_pitch(model: Texture, seconds: float, clips: int, seed: int) -> dict[str, float]:
    """Go on training the pitch alone, on single frames and with much low brass, for `seconds`."""
    rng = torch.Generator().manual_seed(seed)
    features, hz = [], []
    for part in range(4):
        material = Material(model, clips // 4, seed + part, data.LOWER)
        features.append(material.features.transpose(1, 2).flatten(0, 1))
        hz.append(material.hz.flatten())
    frames, pitch = torch.cat(features)[..., None], torch.cat(hz)[:, None]
    unheard, low = (
        Material(model, 40, seed + 2000, data.MIXED),
        Material(model, 40, seed + 3000, (data.low_clip,)),
    )
    head = model.encoder.pitch
    optimiser = torch.optim.AdamW(head.parameters(), lr=1.5e-3, weight_decay=0.01)

    def judge(when: str) -> dict[str, float]:
        return {
            f"{name}_{when}": held_out(model, m)["pitch_within_50_cents"]
            for name, m in (("pitch", unheard), ("low_pitch", low))
        }

    figures, began, used, steps = judge("before_polish"), time.monotonic(), 0.0, 0
    while used < seconds:
        for group in optimiser.param_groups:
            group["lr"] = 1.5e-3 * (1 - 0.97 * used / seconds)
        pick = torch.randint(len(frames), (1024,), generator=rng)
        x = frames[pick]
        heard = x[:, :-1] + 0.01 * torch.randn(x[:, :-1].shape)
        loss = pitch_loss(head(heard), pitch[pick], x[:, -1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        used, steps = time.monotonic() - began, steps + 1
        if steps % 2000 == 0:
            log.info("polish %d, %.0f s: %.3f, %s", steps, used, float(loss), judge("now"))
    return figures | judge("after_polish") | {"polish_steps": steps, "polish_seconds": used}


def principal_axes(model: Texture, material: Material) -> None:
    """Set latent_pca, latent_mean and fidelity: timbre latents uncorrelated, strongest first."""
    with torch.no_grad():
        raw, _ = latents(model.train(), material.features, None, 0.0)
        timbre = raw[:, 2:].transpose(1, 2).flatten(0, 1).double()
        mean = timbre.mean(0)
        _, spread, axes = torch.linalg.svd(timbre - mean, full_matrices=False)
        model.latent_pca[2:, 2:] = axes.float()
        model.latent_mean[2:] = mean.float()
        share = spread.square().cumsum(0) / spread.square().sum()
        model.fidelity[:] = torch.cat([torch.zeros(2), share.float()])


def export(model: Texture, out: Path) -> None:
    model.eval()
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith((".pad", ".cache")):
                buffer.zero_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # RAVE's interface is TorchScript
        whole = io.BytesIO()
        torch.jit.save(torch.jit.script(model), whole)
    # Leave out where the source lay on the machine that trained it; torch does not need to know.
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(entry, source.read(entry))


def train(seconds: float, polish: float, clips: int, out: Path, seed: int = 1) -> dict[str, float]:
    """Train for `seconds`, polish for `polish` (wall time), export to `out`, return the figures."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    model = Texture()
    material, unheard = Material(model, clips, seed), Material(model, 40, seed + 1000)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    before, began, used, steps = held_out(model, unheard), time.monotonic(), 0.0, 0
    while used < seconds:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - 0.97 * used / seconds)
        model.train()
        features, hz, wanted = material.draw(rng, BATCH)
        more, more_hz, _ = material.draw(rng, 4 * BATCH)  # pitch is cheap to learn: more of it
        raw, _ = latents(model, features, hz, 0.15)
        spectral = spectral_loss(model.resynthesis(raw), wanted)
        logits, _ = model.encoder(more)
        loss = spectral + 0.3 * pitch_loss(logits, more_hz, more[:, -1])
        loss = loss + 0.01 * raw[:, 2:].square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        used, steps = time.monotonic() - began, steps + 1
        if steps % 200 == 0:
            log.info(
                "step %d, %.0f s: %.3f, %s", steps, used, float(spectral), held_out(model, unheard)
            )
    after = held_out(model, unheard)
    principal_axes(model, material)
    polished = polish_pitch(model, polish, 3 * clips, seed + 10)
    export(model, out)
    figures = {f"{k}_start": v for k, v in before.items()} | {
        f"{k}_end": v for k, v in after.items()
    }
    figures |= {"steps": steps, "seconds": used, "audio_seconds": clips * data.CLIP_FRAMES / RATE}
    figures |= polished
    figures["parameters"] = sum(p.numel() for p in model.parameters())
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.rave.train", description=__doc__)
    parser.add_argument("--seconds", type=float, default=780)
    parser.add_argument("--polish", type=float, default=240)
    parser.add_argument("--clips", type=int, default=260)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    log.info("%s", json.dumps(train(args.seconds, args.polish, args.clips, args.out)))


if __name__ == "__main__":
    main()

"""The shipped texture: a learned encoder and a learned harmonic-plus-noise decoder, streaming.

It offers RAVE's TorchScript interface (encode, decode, forward, *_params, get_methods ...) and is
written from scratch: every 512 frames the encoder hears 2048 frames, and gives eight latents; the
decoder turns them into amplitudes of 48 harmonics and 16 bands of noise, played by three detuned
voices in stereo (the idea of DDSP, Engel et al. 2020, arXiv 2001.04643).

Latents before rotation: 0 pitch (octaves from A3), 1 level ((dB + 35) / 15), 2-7 timbre (learned).
Streaming state lives in buffers ending .pad or .cache, all zero at the start; nothing else keeps
state, so zeroing them is a reset. Noise is a hash of a sample counter: the same input gives the
same output. Not real-time safe; one thread at a time. Batches up to MAX_BATCH.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 48000
RATIO = 512
WINDOW = 2048
FFT = 4096
MAX_BATCH = 8
LATENTS = 8
TIMBRE = 6
HARMONICS = 48
BANDS = 16
TAPS = 129
MELS = 64
LAGS = 240
LAGS_PER_OCTAVE = 48
LOWEST_HZ = 40.0
PITCH_BINS = 427  # FFT bins below 5 kHz: above them there is no pitch to find
HIDDEN = 96
DELAY = WINDOW // 2  # frames from a sound to its echo in the controls: half the analysis window


class State(nn.Module):
    """A named streaming buffer (`<name>.cache`), zero after a reset."""

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(MAX_BATCH, *shape, dtype=dtype))


class CausalConv(nn.Module):
    """A convolution over frames that looks only back; keeps the frames it needs in `pad`.

    While training every call starts from silence and `pad` is left alone.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation)
        self.size = (kernel - 1) * dilation
        self.register_buffer("pad", torch.zeros(MAX_BATCH, inputs, self.size))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return self.conv(F.pad(x, (self.size, 0)))
        x = torch.cat([self.pad[: x.shape[0]], x], dim=-1)
        self.pad[: x.shape[0]] = x[..., -self.size :]
        return self.conv(x)


def mel_matrix() -> Tensor:
    """(FFT bins, MELS): triangles evenly spaced in mel, 40 Hz to 20 kHz, each of sum 1."""
    hz = torch.arange(FFT // 2 + 1) * RATE / FFT
    low, high = (2595 * math.log10(1 + f / 700) for f in (40.0, 20000.0))
    edges = 700 * (10 ** (torch.linspace(low, high, MELS + 2) / 2595) - 1)
    up = (hz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - hz[:, None]) / (edges[2:] - edges[1:-1])
    triangles = torch.minimum(up, down).clamp_min(0.0)
    return triangles / triangles.sum(0).clamp_min(1e-6)


def lag_matrix() -> Tensor:
    """(PITCH_BINS, LAGS): a power spectrum times these is autocorrelation at log-spaced lags."""
    hz = LOWEST_HZ * 2 ** (torch.arange(LAGS) / LAGS_PER_OCTAVE)
    bins = torch.arange(PITCH_BINS)[:, None] * (RATE / FFT)
    return torch.cos(2 * math.pi * bins / hz)


def band_filters() -> Tensor:
    """(BANDS, 1, TAPS): windowed-sinc band-passes that sum to nearly flat, log-spaced to 20 kHz."""
    edges = torch.logspace(math.log10(200.0), math.log10(16000.0), BANDS - 1) / RATE
    n = torch.arange(TAPS) - TAPS // 2
    low = 2 * edges[:, None] * torch.sinc(2 * edges[:, None] * n) * torch.hann_window(TAPS, False)
    first, last = torch.zeros(1, TAPS), (n == 0).float()[None]
    return torch.diff(torch.cat([first, low, last]), dim=0)[:, None]


def ramp() -> Tensor:
    return torch.arange(1, RATIO + 1) / RATIO


class Features(nn.Module):
    """Sound to per-frame features: (batch, 1, frames) -> (batch, MELS + LAGS + 1, frames / RATIO).

    Log mel spectrum freed of level, compressed autocorrelation, level in dBFS (RMS of the window).
    """

    def __init__(self) -> None:
        super().__init__()
        self.size, self.hop, self.fft, self.pitch_bins = WINDOW, RATIO, FFT, PITCH_BINS
        self.heard = State(WINDOW - RATIO)
        self.register_buffer("window", torch.hann_window(WINDOW))
        self.register_buffer("mel", mel_matrix())
        self.register_buffer("lags", lag_matrix())

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.heard.cache[: x.shape[0]], x[:, 0]], dim=-1)
        self.heard.cache[: x.shape[0]] = x[:, self.hop - self.size :]
        frames = x.unfold(-1, self.size, self.hop) * self.window
        level = 10 * torch.log10(frames.square().mean(-1, keepdim=True) / 0.375 + 1e-9)
        power = torch.fft.rfft(frames, self.fft).abs().square()
        power = power / (power.sum(-1, keepdim=True) + 1e-6)
        mel = torch.log(power @ self.mel + 1e-7) / 4 + 2.5
        lag = power[..., : self.pitch_bins].pow(0.33)
        lag = (lag @ self.lags) / (lag.sum(-1, keepdim=True) + 1e-6)
        return torch.cat([mel, lag, level], dim=-1).transpose(1, 2)


class Encoder(nn.Module):
    """Features to pitch logits (LAGS and one for 'no pitch') and TIMBRE latents."""

    def __init__(self) -> None:
        super().__init__()
        self.mels, self.lags = MELS, LAGS
        self.pitch = nn.Sequential(
            nn.Conv1d(MELS + LAGS, 192, 1), nn.ReLU(), nn.Conv1d(192, LAGS + 1, 1)
        )
        self.first = CausalConv(MELS + 1, HIDDEN, 3)
        self.second = CausalConv(HIDDEN, HIDDEN, 3)
        self.last = nn.Conv1d(HIDDEN, TIMBRE, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.pitch(features[:, :-1])
        voiced = 1 - torch.softmax(logits, dim=1)[:, self.lags :]
        x = torch.cat([features[:, : self.mels], voiced.detach()], dim=1)
        x = F.leaky_relu(self.first(x), 0.2)
        x = F.leaky_relu(self.second(x), 0.2)
        return logits, 3 * torch.tanh(self.last(x))


def octaves_of(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Pitch logits -> octaves from A3, probability of any pitch; each (batch, 1, frames)."""
    p = torch.softmax(logits, dim=1)
    tones = p[:, :-1]
    at = torch.arange(tones.shape[1], device=p.device, dtype=p.dtype)[None, :, None]
    near = tones * ((at - tones.argmax(1, keepdim=True)).abs() <= 3)
    lag = (near * at).sum(1, keepdim=True) / near.sum(1, keepdim=True).clamp_min(1e-9)
    return lag / 48.0 - 2.4594316, 1 - p[:, -1:]  # 48 lags an octave from 40 Hz; log2(220 / 40)


class Decoder(nn.Module):
    """Latents (batch, LATENTS, frames) to amplitudes (batch, HARMONICS + BANDS, frames), >= 0."""

    def __init__(self) -> None:
        super().__init__()
        self.harmonics = HARMONICS
        self.first = CausalConv(LATENTS, HIDDEN, 3)
        self.second = CausalConv(HIDDEN, HIDDEN, 3, 2)
        self.last = nn.Conv1d(HIDDEN, HARMONICS + 1 + BANDS, 1)

    def forward(self, z: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(z), 0.2)
        x = self.last(F.leaky_relu(self.second(x), 0.2))
        decibels = (z[:, 1:2] * 15 - 35).clamp(-90.0, 0.0)
        h = self.harmonics
        level = (10 ** (decibels / 20) - 1e-4).clamp_min(0.0)
        tone = 3 * torch.sigmoid(x[:, h : h + 1] - 1) * torch.softmax(x[:, :h], dim=1)
        noise = 2 * torch.sigmoid(x[:, h + 1 :] - 4)
        return level * torch.cat([tone, noise], dim=1)


def between(past: Tensor, frames: Tensor, rise: Tensor) -> Tensor:
    """Straight lines from frame to frame: past (b, c, 1), frames (b, c, n) -> (b, c, n * RATIO)."""
    before = torch.cat([past, frames[..., :-1]], dim=-1)[..., None]
    return (before + (frames[..., None] - before) * rise).flatten(2)


class Texture(nn.Module):
    """The whole model, with RAVE's interface. Sound float32 (batch, 1, n * 512) in, stereo out."""

    def __init__(self) -> None:
        super().__init__()
        self.features = Features()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.pitch_held = State(1)
        self.amp_held = State(HARMONICS + BANDS, 1)
        self.octave_before = State(1, 1, dtype=torch.float64)
        self.phase = State(3, 1, dtype=torch.float64)
        self.samples = State(1, dtype=torch.int64)
        self.noise = State(2, TAPS - 1)
        self.register_buffer("bands", band_filters())
        self.register_buffer("rise", ramp())
        self.register_buffer("harmonics", torch.arange(1, HARMONICS + 1).float())
        # One in tune in the middle, two a few cents off at the sides, each wandering slowly.
        self.register_buffer("detune", torch.tensor([0.0, -5.0, 5.0], dtype=torch.float64)[:, None])
        self.register_buffer("wander", torch.tensor([0.13, 0.19, 0.29]).double()[:, None])
        self.register_buffer("pan", torch.tensor([[0.8, 0.6, 0.0], [0.8, 0.0, 0.6]]))
        self.band_count, self.noise_past = BANDS, TAPS - 1
        # A frame moves this share of the way up, and down: swells in 30 ms, rings on for 150 ms.
        self.attack: float = 0.3
        self.release: float = 0.07
        self.sr = RATE
        self.sampling_rate = RATE
        self.latent_size = LATENTS
        self.full_latent_size = LATENTS
        self.stereo_mode = True
        self.register_buffer("latent_pca", torch.eye(LATENTS))
        self.register_buffer("latent_mean", torch.zeros(LATENTS))
        self.register_buffer("fidelity", torch.zeros(LATENTS))
        self.register_buffer("encode_params", torch.tensor([1, 1, LATENTS, RATIO]))
        self.register_buffer("decode_params", torch.tensor([LATENTS, RATIO, 2, 1]))
        self.register_buffer("forward_params", torch.tensor([1, 1, 2, 1]))

    @torch.jit.export
    def get_methods(self) -> list[str]:
        return ["encode", "decode", "forward"]

    @torch.jit.export
    def get_attributes(self) -> list[str]:
        return ["sr", "latent_size", "full_latent_size", "stereo_mode"]

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        b = x.shape[0]
        features = self.features(x)
        logits, timbre = self.encoder(features)
        octaves, voiced = octaves_of(logits)
        level = features[:, -1:]
        # The pitch moves only where one is heard; in noise and silence it stays where it was.
        follow = 0.6 * voiced * (voiced > 0.6) * (level > -65.0)
        held = self.pitch_held.cache[:b]
        path: list[Tensor] = []
        for i in range(octaves.shape[-1]):
            held = held + follow[..., i] * (octaves[..., i] - held)
            path.append(held)
        self.pitch_held.cache[:b] = held
        raw = torch.cat([torch.stack(path, dim=-1), (level + 35) / 15, timbre], dim=1)
        return torch.matmul(self.latent_pca, raw - self.latent_mean[:, None])

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        b = z.shape[0]
        raw = torch.matmul(self.latent_pca.t(), z) + self.latent_mean[:, None]
        target = self.decoder(raw)
        amp = self.amp_held.cache[:b].clone()
        past = amp
        path: list[Tensor] = []
        for i in range(target.shape[-1]):
            step = target[..., i : i + 1] - amp
            amp = amp + step * (self.release + (self.attack - self.release) * (step > 0))
            path.append(amp)
        self.amp_held.cache[:b] = amp
        amps = between(past, torch.cat(path, dim=-1), self.rise)
        tone = self.tone(raw[:, :1].double().clamp(-3.0, 3.5), amps[:, : -self.band_count])
        return self.bounded(tone + self.hiss(amps[:, -self.band_count :]))

    def tone(self, octaves: Tensor, amps: Tensor) -> Tensor:
        """octaves (b, 1, frames), amps (b, HARMONICS, n) -> (b, 2, n): three voices, panned."""
        b, n = octaves.shape[0], amps.shape[-1]
        path = between(self.octave_before.cache[:b], octaves, self.rise.double())
        self.octave_before.cache[:b] = octaves[..., -1:]
        count = self.samples.cache[:b] + torch.arange(1, n + 1, device=amps.device)
        drift = torch.sin(count[:, None] * self.wander * (2 * math.pi / 48000.0))
        cycles = 220.0 / 48000.0 * torch.exp2(path + (self.detune + 3.0 * drift) / 1200.0)
        phase = self.phase.cache[:b] + torch.cumsum(cycles, dim=-1)
        self.phase.cache[:b] = phase[..., -1:] % 1.0
        return torch.matmul(self.pan, self.partials((phase % 1.0).float(), cycles.float(), amps))

    def partials(self, phase: Tensor, cycles: Tensor, amps: Tensor) -> Tensor:
        """phase, cycles a sample (b, voices, n), amps (b, HARMONICS, n) -> (b, voices, n).

        Harmonics fade out towards 20 kHz, so none folds back.
        """
        k = self.harmonics[:, None]
        audible = ((0.42 - k * cycles[:, :1]) * 20).clamp(0.0, 1.0)
        waves = torch.sin(phase[:, :, None] * (2 * math.pi * k))
        return (waves * (amps * audible)[:, None]).sum(2)

    def hiss(self, amps: Tensor) -> Tensor:
        """Noise shaped by amps (b, BANDS, n) -> (b, 2, n), its two sides independent."""
        b, n = amps.shape[0], amps.shape[-1]
        count = self.samples.cache[:b] + torch.arange(1, n + 1, device=amps.device)
        self.samples.cache[:b] = count[:, -1:]
        sides = torch.arange(2, device=amps.device)[:, None]
        x = (count[:, None] * 2 + sides) * -7046029254386353131  # a 64-bit mixing hash
        x = (x ^ ((x >> 32) & 0xFFFFFFFF)) * -2960836687055028845
        x = (x ^ ((x >> 29) & 0x7FFFFFFFF)) & 0xFFFFFF
        white = (x.float() / 8388608.0 - 1.0) * 1.7320508
        white = torch.cat([self.noise.cache[:b], white], dim=-1)
        self.noise.cache[:b] = white[..., -self.noise_past :]
        banded = F.conv1d(white.flatten(0, 1)[:, None], self.bands)
        return (banded.view(b, 2, self.band_count, n) * amps[:, None]).sum(2)

    def bounded(self, x: Tensor) -> Tensor:
        """Straight up to 0.7, then bent so that it never passes 1."""
        over = (x.abs() - 0.7).clamp_min(0.0)
        return torch.sign(x) * (x.abs() - over + 0.3 * torch.tanh(over / 0.3))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @torch.jit.unused
    def resynthesis(self, raw: Tensor) -> Tensor:
        """For training: raw latents -> one voice and noise, mono (batch, frames), without state."""
        b = raw.shape[0]
        targets = self.decoder(raw)
        amps = between(targets[..., :1], targets, self.rise)
        octaves = raw[:, :1].detach()
        cycles = 220.0 / RATE * torch.exp2(between(octaves[..., :1], octaves, self.rise).double())
        phase = (torch.cumsum(cycles, -1) + torch.rand(b, 1, 1)) % 1.0
        tone = self.partials(phase.float(), cycles.float(), amps[:, :HARMONICS])
        white = torch.randn(b, 1, amps.shape[-1] + TAPS - 1)
        return tone[:, 0] + (F.conv1d(white, self.bands) * amps[:, HARMONICS:]).sum(1)

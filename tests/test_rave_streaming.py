"""Risk: the texture clicks at block edges, lies about its latency, keeps what it should forget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rave_files import save
from torch import Tensor, nn

from engine.layout import MAX_LATENTS
from models.rave.adapter import SHIPPED, Rave
from models.rave.probe import probe
from models.rave.resample import TAPS, Resampler
from models.rave.steering import Config, Steering

RATE = 48000
REST = np.zeros(MAX_LATENTS, np.float32)


class Delay(nn.Module):
    """Sound split into frames of 512 and back, `frames` later: a model of known delay."""

    def __init__(self, frames: int, rate: int) -> None:
        super().__init__()
        self.register_buffer("pad", torch.zeros(1, 1, frames))
        self.register_buffer("encode_params", torch.tensor([1, 1, 512, 512]))
        self.register_buffer("decode_params", torch.tensor([512, 512, 1, 1]))
        self.sr = rate
        self.frames = frames

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        return x.view(1, -1, 512).transpose(1, 2)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        x = torch.cat([self.pad, z.transpose(1, 2).reshape(1, 1, -1)], dim=-1)
        self.pad[:] = x[..., x.shape[-1] - self.frames :]
        return x[..., : x.shape[-1] - self.frames]


def trombone(seconds: float) -> np.ndarray:
    """A slide up a fifth with vibrato, in a swell, over a little breath."""
    t = np.arange(int(seconds * RATE)) / RATE
    hz = 116.5 * 2 ** (7 / 12 * t / seconds + 0.01 * np.sin(2 * np.pi * 5 * t))
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    tone = sum(np.sin(k * phase) / k**1.2 for k in range(1, 20))
    breath = 0.01 * np.random.default_rng(1).standard_normal(len(t))
    return ((0.15 * tone + breath) * np.sin(np.pi * t / seconds)).astype(np.float32)


def play(player: Rave, sound: np.ndarray, controls: np.ndarray = REST) -> np.ndarray:
    blocks = sound[: len(sound) // player.block * player.block].reshape(-1, player.block)
    return np.concatenate([player.process(b, controls) for b in blocks], axis=1)


def loaded(checkpoint: Path | None = None, rate: int = RATE, **config: object) -> Rave:
    player = Rave()
    player.load(checkpoint, rate, config)
    return player


@pytest.fixture(scope="module")
def shipped() -> Rave:
    return loaded()


@pytest.fixture
def texture(shipped: Rave) -> Rave:
    shipped.reset()
    shipped.freeze = False
    return shipped


@pytest.mark.parametrize("block", [512, 1024, 2048, 8192])
def test_streamed_is_one_shot(block: int) -> None:
    model = probe(SHIPPED, None, None)
    sound = torch.from_numpy(trombone(1.0)[: 5 * 8192])[None, None]
    frames = block // model.ratio
    with torch.inference_mode():
        model.reset()
        z = model.encode(sound)
        whole = model.decode(z)
        model.reset()
        z_cut = torch.cat([model.encode(x) for x in sound.split(block, dim=-1)], dim=-1)
        cut = torch.cat([model.decode(x) for x in z.split(frames, dim=-1)], dim=-1)
    assert float(whole.abs().max()) > 0.01
    # Sums in another order and no more: -100 dBFS.
    assert float((z - z_cut).abs().max()) < 1e-4
    assert float((whole - cut).abs().max()) < 1e-5


def test_block_edges_do_not_step(texture: Rave) -> None:
    out = play(texture, trombone(2.0))[0]
    steps = np.abs(np.diff(out))
    edges = steps[texture.block - 1 :: texture.block]
    assert edges.mean() < 1.2 * steps.mean()
    assert edges.max() <= steps.max()


def test_texture_follows_pitch_and_level(texture: Rave) -> None:
    t = np.arange(RATE) / RATE
    for hz in (110.0, 233.1, 440.0):
        note = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 12) if k * hz < 16000)
        note = (0.1 * np.asarray(note)).astype(np.float32)
        texture.reset()
        out = play(texture, note)[:, RATE // 4 :]
        spectrum = np.abs(np.fft.rfft(out[0], 4 * RATE))
        found = np.argmax(spectrum[: int(1.5 * hz * 4)]) / 4
        assert abs(12 * np.log2(found / hz)) < 0.3
        level = 20 * np.log10(out.std() / note.std())
        assert -9 < level < 3


def test_controls_do_not_see_the_block_size() -> None:
    rng = np.random.default_rng(3)
    z = rng.standard_normal((8, 16)).astype(np.float32)
    controls = rng.uniform(-1, 1, MAX_LATENTS).astype(np.float32)
    config = Config(controls=("latent 0", "scale", "gain", "latent 3"))
    edge = np.full((8, 1), 2.0, np.float32)
    whole, parts = (Steering(config, -edge, edge, 0.2) for _ in range(2))
    wanted, wanted_gain = whole.steer(z, controls)
    got = [parts.steer(piece, controls) for piece in np.split(z, 8, axis=1)]
    np.testing.assert_allclose(np.concatenate([g[0] for g in got], axis=1), wanted, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([g[1] for g in got]), wanted_gain, atol=1e-5)


def test_reset_forgets_everything(texture: Rave) -> None:
    sound = trombone(0.5)
    first = play(texture, sound)
    play(texture, sound[::-1].copy(), np.ones(MAX_LATENTS, np.float32))
    assert not np.array_equal(play(texture, sound), first)
    texture.reset()
    np.testing.assert_array_equal(play(texture, sound), first)


def test_not_a_number_does_not_poison_later_blocks(texture: Rave) -> None:
    sound = trombone(0.5)
    broken = sound.copy()
    broken[4096:4200] = np.nan
    broken[4200:4300] = np.inf
    assert np.isfinite(play(texture, broken)).all()
    texture.reset()
    silenced = np.where(np.isfinite(broken), broken, 0.0).astype(np.float32)
    wanted = play(texture, silenced)
    texture.reset()
    np.testing.assert_array_equal(play(texture, broken), wanted)


class Breaks(Delay):
    """Gives no numbers for loud sound, and for ever after until its state is zeroed."""

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        if float(x.max()) > 0.9:
            self.pad[:] = float("nan")
        return x.view(1, -1, 512).transpose(1, 2)


def test_a_model_that_breaks_is_silenced_counted_and_restarted(tmp_path: Path) -> None:
    player = loaded(save(Breaks(8, RATE), tmp_path / "breaks.ts"))
    player.reset()
    player.not_finite = 0
    calm = np.full(player.block, 0.1, np.float32)
    before = player.process(calm, REST)
    during = player.process(np.ones(player.block, np.float32), REST)
    after = player.process(calm, REST)
    assert player.not_finite == 1
    assert abs(during[0, 0] - before[0, -1]) < 0.01  # a fade from where it was, no step
    assert not during[:, 64:].any()
    assert np.isfinite(after).all()
    assert np.abs(after[:, 8:]).min() > 0.01


@pytest.mark.parametrize("frames", [1, 77, 1500])
def test_declared_latency_is_what_an_impulse_takes(tmp_path: Path, frames: int) -> None:
    player = loaded(save(Delay(frames, RATE), tmp_path / "delay.ts"), margin_ms=20.0)
    assert player.model_delay == frames
    assert player.latency == player.block + 960 + frames
    player.reset()
    sound = np.zeros(8 * player.block, np.float32)
    sound[700] = 0.5
    out = play(player, sound)
    assert int(np.argmax(np.abs(out[0]))) == 700 + frames


def test_declared_latency_holds_across_a_rate_change(tmp_path: Path) -> None:
    player = loaded(save(Delay(441, 44100), tmp_path / "delay.ts"), margin_ms=0.0)
    player.reset()
    t = np.arange(40 * player.block)
    pulse = 0.5 * np.exp(-0.5 * ((t - 9000) / 40.0) ** 2).astype(np.float32)
    out = play(player, pulse)
    arrived = 9000 + player.latency - player.block
    mono = out.sum(0)  # the sides differ, by an echo
    assert abs(int(np.argmax(mono)) - arrived) <= 1
    late = mono[player.model_delay :]
    np.testing.assert_allclose(late / late.max(), pulse[: len(late)] / 0.5, atol=0.02)


def test_shipped_model_declares_its_delay(shipped: Rave) -> None:
    assert shipped.latency == shipped.block + 1440 + shipped.model_delay
    # The analysis hears the middle of its window 1024 frames late, ramps add up to 30 ms.
    assert 512 <= shipped.model_delay <= 4096


@settings(max_examples=25, deadline=None)
@given(
    controls=arrays(np.float32, MAX_LATENTS, elements=st.floats(width=32)),
    loudness=st.sampled_from([0.0, 1e-30, 0.1, 1.0, 1e6]),
)
def test_output_is_finite_and_bounded(shipped: Rave, controls: np.ndarray, loudness: float) -> None:
    sound = trombone(0.05)[: shipped.block] * np.float32(loudness)
    out = shipped.process(sound, controls)
    assert out.shape == (2, shipped.block)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.0


def test_silence_stays_silent(texture: Rave) -> None:
    out = play(texture, np.zeros(RATE // 2, np.float32))
    assert np.abs(out).max() < 1e-4


def test_freeze_stands_and_lets_go(texture: Rave) -> None:
    t = np.arange(RATE) / RATE
    note = (0.2 * sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 9))).astype(np.float32)
    play(texture, note)
    texture.freeze = True
    frozen = play(texture, np.zeros(RATE, np.float32))
    texture.freeze = False
    play(texture, np.zeros(RATE, np.float32))
    after = play(texture, np.zeros(RATE // 4, np.float32))
    assert np.sqrt(np.mean(frozen[:, RATE // 2 :] ** 2)) > 0.01
    assert np.abs(after).max() < 1e-3


def test_freeze_of_the_patch_holds_the_first_sound() -> None:
    player = loaded(freeze=True)
    silence = np.zeros(RATE // 2, np.float32)
    assert np.abs(play(player, silence)).max() < 1e-4
    play(player, trombone(1.0))
    assert np.sqrt(np.mean(play(player, silence)[:, -4096:] ** 2)) > 0.003


@given(cuts=st.lists(st.integers(1, 700), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_resampling_does_not_see_where_the_stream_is_cut(cuts: list[int]) -> None:
    sound = np.random.default_rng(5).standard_normal((1, sum(cuts))).astype(np.float32)
    whole = Resampler(48000, 44100, 1).process(sound)
    streamed = Resampler(48000, 44100, 1)
    parts = [streamed.process(x) for x in np.split(sound, np.cumsum(cuts)[:-1], axis=1)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize(("source", "target"), [(48000, 44100), (44100, 48000), (48000, 96000)])
def test_resampling_keeps_pitch_and_level(source: int, target: int) -> None:
    seconds = np.arange(source) / source
    made = Resampler(source, target, 1).process(np.sin(2 * np.pi * 997 * seconds)[None])[0]
    # TAPS - 1 zeros come first, the middle tap is the moment itself.
    at = np.arange(len(made)) / target - (TAPS - 1 - (TAPS // 2 - 1)) / source
    np.testing.assert_allclose(made[200:], np.sin(2 * np.pi * 997 * at[200:]), atol=1e-3)

"""Risk: a file that is no RAVE model takes the texture's process down, or half works."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rave_files import save
from torch import Tensor, nn

from engine.adapter import AdapterError
from engine.layout import MAX_LATENTS
from models.rave import probe
from models.rave.adapter import SHIPPED, Rave


class Plain(nn.Module):
    """The least that has the interface: encode, decode, sr; no params, no get_methods."""

    def __init__(self, channels: int = 1, ratio: int = 1024, rate: int = 48000) -> None:
        super().__init__()
        self.channels, self.ratio, self.sr = channels, ratio, rate

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        return x[:, :1].reshape(1, -1, self.ratio).transpose(1, 2)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        return z.transpose(1, 2).reshape(1, 1, -1).expand(1, self.channels, -1)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class Described(Plain):
    """Says its shapes in *_params, truly or not."""

    def __init__(self, encode: list[int], decode: list[int]) -> None:
        super().__init__()
        self.register_buffer("encode_params", torch.tensor(encode))
        self.register_buffer("decode_params", torch.tensor(decode))


class Wrapped(nn.Module):
    """Neutone's shape: the model two levels down."""

    def __init__(self, inner: nn.Module, levels: int = 2) -> None:
        super().__init__()
        self.model = Wrapped(inner, levels - 1) if levels > 1 else inner

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class FirstVersion(nn.Module):
    """A v1 export's inside: amortized encoding, its rate in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sampling_rate", torch.tensor(48000))
        self.register_buffer("latent_size", torch.tensor(8))

    @torch.jit.export
    def encode_amortized(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = x.reshape(1, -1, 2048).transpose(1, 2)
        return z, torch.ones_like(z)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        return z.transpose(1, 2).reshape(1, 1, -1)

    def forward(self, x: Tensor) -> Tensor:
        return x


class Combined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._rave = FirstVersion()

    def forward(self, x: Tensor) -> Tensor:
        return self._rave(x)


class NoDecode(nn.Module):
    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def get_methods(self) -> list[str]:
        return ["encode"]

    def forward(self, x: Tensor) -> Tensor:
        return x


class NoRate(nn.Module):
    """Works, but does not say at what rate."""

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        return x.reshape(1, -1, 512).transpose(1, 2)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        return z.transpose(1, 2).reshape(1, 1, -1)

    def forward(self, x: Tensor) -> Tensor:
        return x


def no_zip(path: Path) -> Path:
    path.write_bytes(b"RIFF" + bytes(1000))
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def cut_short(path: Path) -> Path:
    whole = SHIPPED.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def flipped(path: Path) -> Path:
    """Same length, one stretch of code overwritten."""
    whole = bytearray(SHIPPED.read_bytes())
    with zipfile.ZipFile(SHIPPED) as archive:
        code = next(e for e in archive.infolist() if e.filename.endswith("/model.py"))
    at = code.header_offset + 400
    whole[at : at + 200] = b"?" * 200
    path.write_bytes(bytes(whole))
    return path


def state_dict(path: Path) -> Path:
    torch.save({"weight": torch.zeros(4)}, path)
    return path


def bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(9):
            archive.writestr(f"bomb/code/{n}.py", bytes(2**26))
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p, "no such file"),
        (no_zip, "not a TorchScript file"),
        (empty, "not a TorchScript file"),
        (cut_short, "cut short or damaged"),
        (flipped, "cannot load it"),
        (state_dict, "without TorchScript code"),
        (bomb, "unpacks to 576 MiB"),
        (lambda p: save(NoDecode(), p), r"no encode and decode in it \(methods: encode\)"),
        (lambda p: save(nn.ReLU(), p), r"methods: none"),
        (lambda p: save(NoRate(), p), "model_rate"),
        (lambda p: save(Plain(rate=7), p), "sample rate 7 Hz"),
        (lambda p: save(Plain(channels=3), p), "3 output channels"),
        (lambda p: save(Plain(ratio=1000), p), "fails on mono sound"),
        (lambda p: save(Described([6, 1, 8, 512], [8, 512, 1, 1]), p), "6 input channels"),
        (lambda p: save(Described([1, 1, 8, 700], [8, 700, 1, 1]), p), "700 frames a latent"),
        (lambda p: save(Described([1, 1, 8, 1024], [8, 1024, 1, 1]), p), r"encode returns .*1024"),
    ],
)
def test_each_is_refused_by_name(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    path = make(tmp_path / "texture.ts")
    with pytest.raises(AdapterError, match=says) as e:
        Rave().load(path, 48000, {})
    assert str(path) in str(e.value)


def test_too_large_is_refused_unopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MAX_BYTES", 1000)
    with pytest.raises(AdapterError, match="at most 0 allowed"):
        Rave().load(SHIPPED, 48000, {})


@pytest.mark.parametrize(
    "config",
    [
        {"offsett": 1.0},
        {"offset": "much"},
        {"offset": float("nan")},
        {"gain_db": 90.0},
        {"freeze": 1},
        {"controls": "latent 0"},
        {"controls": ["latent x"]},
        {"controls": ["none"] * 17},
        {"block": 700},
        {"block": 256},
        {"seed": 1.5},
        {"margin_ms": True},
    ],
)
def test_wrong_config_names_its_key(config: dict[str, Any]) -> None:
    with pytest.raises(AdapterError, match=re.escape(next(iter(config)))):
        Rave().load(None, 48000, config)


@pytest.mark.parametrize(
    "module",
    [
        Plain(),
        Plain(channels=2),
        Wrapped(Plain()),
        Combined(),
        Described([2, 1, 1024, 1024], [1024, 1024, 1, 1]),
    ],
)
def test_known_variants_play(tmp_path: Path, module: nn.Module) -> None:
    player = Rave()
    player.load(save(module, tmp_path / "variant.ts"), 48000, {})
    sound = np.sin(np.arange(player.block) / 20).astype(np.float32) * 0.3
    out = player.process(sound, np.zeros(MAX_LATENTS, np.float32))
    assert out.shape == (2, player.block)
    np.testing.assert_allclose(out.sum(0) / np.abs(out.sum(0)).max(), sound / 0.3, atol=0.01)
    assert player.info["licence"] == "unknown"


def test_licence_is_read_from_the_file_beside(tmp_path: Path) -> None:
    path = save(Plain(), tmp_path / "mine.ts")
    path.with_suffix(".json").write_text(json.dumps({"license": "CC-BY-4.0"}))
    player = Rave()
    player.load(path, 48000, {})
    assert player.info["licence"] == "CC-BY-4.0"
    path.with_suffix(".json").write_text("[" * 5000)
    player.load(path, 48000, {})
    assert player.info["licence"] == "unknown"


def test_shipped_offers_the_whole_interface() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.load(str(SHIPPED))
    assert model.get_methods() == ["encode", "decode", "forward"]
    for name in model.get_attributes():
        assert hasattr(model, name)
    assert model.encode_params.tolist() == [1, 1, 8, 512]
    assert model.decode_params.tolist() == [8, 512, 2, 1]
    assert model.forward_params.tolist() == [1, 1, 2, 1]
    assert not any(e.filename.endswith("debug_pkl") for e in zipfile.ZipFile(SHIPPED).infolist())
    buffers = dict(model.named_buffers())
    assert buffers["latent_pca"].shape == (8, 8)
    assert buffers["latent_mean"].shape == buffers["fidelity"].shape == (8,)
    for name, buffer in buffers.items():
        if name.endswith((".pad", ".cache")):
            assert not buffer.any(), f"{name} ships with somebody's sound in it"

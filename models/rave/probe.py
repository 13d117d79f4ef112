"""Open a TorchScript file that claims RAVE's interface; find out what it is, refuse what it is not.

A .ts file is a program: it is opened only in the texture's own process, after checks of its size
and kind that run none of it. Known shapes: RAVE v2 exports, Neutone's wrapper (`model.model`), v1
exports (`_rave`, `sampling_rate`, `encode_amortized`), and files without get_methods or *_params.
"""

from __future__ import annotations

import json
import math
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.adapter import AdapterError

MAX_BYTES = 512 * 2**20  # published models are 42-164 MB
MIN_BLOCK = 512
MAX_BLOCK = 16384
TEST_FRAMES = 16384
RATES = range(8000, 192001)


@dataclass
class Probed:
    """A checked model. encode: (1, inputs, n) -> (1, latents, n / ratio); decode: back to sound."""

    module: Any
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    rate: int
    ratio: int
    block: int  # frames a call, at the model's rate
    latents: int
    inputs: int
    outputs: int
    licence: str

    def reset(self) -> None:
        """Zero the streaming state: every buffer ending .pad or .cache, and v1's plain names."""
        with torch.inference_mode():
            for name, buffer in self.module.named_buffers():
                if name.split(".")[-1] in ("pad", "cache"):
                    buffer.zero_()


def probe(path: Path, config_rate: int | None, block: int | None) -> Probed:
    """Open and check a file. config_rate: Hz, for models that do not say. Raises AdapterError."""
    _check_file(path)
    # The profiling executor recompiles in the first calls: 200 ms each, on stage.
    torch._C._jit_set_profiling_executor(False)
    torch._C._jit_set_profiling_mode(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # RAVE's interface is TorchScript
            module = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError, MemoryError) as e:
        reason = str(e).strip().splitlines()[0][:200] if str(e).strip() else type(e).__name__
        raise AdapterError(
            f"{path}: torch {torch.__version__} cannot load it ({reason}); copy the file again, or "
            "export it anew with a torch no newer than this one"
        ) from e
    with torch.inference_mode():
        return _check_module(path, module, config_rate, block)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise AdapterError(f"{path}: no such file; give the path of a RAVE export (.ts)")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise AdapterError(f"{path}: {size >> 20} MiB, at most {MAX_BYTES >> 20} allowed")
    with path.open("rb") as f:
        head = f.read(4)
    if head != b"PK\x03\x04":
        raise AdapterError(
            f"{path}: not a TorchScript file (starts with {head!r}); export the model with "
            "torch.jit.save and give that .ts"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as e:
        raise AdapterError(f"{path}: cut short or damaged ({e}); copy the file again") from e
    unpacked = sum(e.file_size for e in entries)
    if unpacked > MAX_BYTES:
        raise AdapterError(
            f"{path}: unpacks to {unpacked >> 20} MiB, at most {MAX_BYTES >> 20} allowed"
        )
    if not any("/code/" in e.filename for e in entries):
        raise AdapterError(
            f"{path}: a zip without TorchScript code (a state_dict?); export the model with "
            "torch.jit.script(...).save and give that .ts"
        )


def _inner(module: Any) -> Any | None:
    """The innermost wrapper that has both ways through, or None."""
    todo = [module]
    while todo:
        at = todo.pop(0)
        ways_in = hasattr(at, "encode") or hasattr(at, "encode_amortized")
        if ways_in and hasattr(at, "decode"):
            return at
        todo += [getattr(at, name) for name in ("model", "_rave") if hasattr(at, name)]
    return None


def _check_module(path: Path, module: Any, config_rate: int | None, block: int | None) -> Probed:
    inner = _inner(module)
    if inner is None:
        found = map(str, module.get_methods()) if hasattr(module, "get_methods") else []
        raise AdapterError(
            f"{path}: no encode and decode in it (methods: {', '.join(found) or 'none'}); "
            "a texture needs a model with RAVE's interface"
        )
    encode = _encode_of(inner)
    rate = _number(inner, module, "sr", "sampling_rate") or config_rate
    if rate is None:
        raise AdapterError(f"{path}: does not say its sample rate; set `model_rate` (Hz) in config")
    if rate not in RATES:
        raise AdapterError(f"{path}: sample rate {rate} Hz, expected {RATES[0]} to {RATES[-1]}")
    inputs, outputs, latents, ratio = _shapes(path, inner, encode)
    if ratio < 1 or ratio & (ratio - 1) or ratio > MAX_BLOCK:
        raise AdapterError(
            f"{path}: {ratio} frames a latent, expected a power of two up to {MAX_BLOCK}"
        )
    size = block or max(ratio, MIN_BLOCK)
    if size & (size - 1) or not ratio <= size <= MAX_BLOCK:
        raise AdapterError(
            f"{path}: block is {size}, expected a power of two from {ratio} to {MAX_BLOCK}"
        )
    model = Probed(
        module, encode, inner.decode, rate, ratio, size, latents, inputs, outputs, _licence(path)
    )
    _test_call(path, model)
    return model


def _encode_of(inner: Any) -> Callable[[Tensor], Tensor]:
    call = inner.encode if hasattr(inner, "encode") else inner.encode_amortized

    def encode(x: Tensor) -> Tensor:
        z = call(x)
        return z[0] if isinstance(z, tuple) else z

    return encode


def _number(inner: Any, module: Any, *names: str) -> int | None:
    for owner in (inner, module):
        for name in names:
            value = getattr(owner, name, None)
            if isinstance(value, Tensor) and value.numel() == 1:
                value = value.item()
            if isinstance(value, int | float) and math.isfinite(value) and value > 0:
                return int(value)
    return None


def _shapes(
    path: Path, inner: Any, encode: Callable[[Tensor], Tensor]
) -> tuple[int, int, int, int]:
    """-> input channels, output channels, latents, frames a latent: from *_params or by trial."""
    there, back = (getattr(inner, f"{way}_params", None) for way in ("encode", "decode"))
    known = [
        p.flatten().tolist() for p in (there, back) if isinstance(p, Tensor) and p.numel() == 4
    ]
    if len(known) == 2:
        inputs, one, latents, ratio = (int(n) for n in known[0])
        outputs, ratio = int(known[1][2]), max(1, ratio // max(1, one))
    else:
        inputs = 1
        try:
            z = encode(torch.zeros(1, 1, TEST_FRAMES))
            sound = inner.decode(z)
        except (RuntimeError, TypeError) as e:
            raise AdapterError(_failed(path, "mono sound", e)) from e
        latents, ratio, outputs = z.shape[1], TEST_FRAMES // max(1, z.shape[-1]), sound.shape[1]
    for name, count in (("input", inputs), ("output", outputs)):
        if count not in (1, 2):
            raise AdapterError(f"{path}: {count} {name} channels, expected 1 or 2")
    return inputs, outputs, latents, ratio


def _test_call(path: Path, model: Probed) -> None:
    x = torch.zeros(1, model.inputs, model.block)
    try:
        z = model.encode(x)
        y = model.decode(z)
    except (RuntimeError, TypeError) as e:
        raise AdapterError(_failed(path, f"a block of {model.block} frames", e)) from e
    for what, got, wanted in (
        ("encode", tuple(z.shape), (1, model.latents, model.block // model.ratio)),
        ("decode", tuple(y.shape), (1, model.outputs, model.block)),
    ):
        if got != wanted:
            raise AdapterError(
                f"{path}: {what} returns {got} where its own description gives {wanted}; "
                "export the model in streaming mode"
            )


def _failed(path: Path, given: str, e: Exception) -> str:
    reason = next(
        (line for line in reversed(str(e).splitlines()) if line.strip()), "no reason given"
    )
    return f"{path}: fails on {given} ({reason.strip()[:200]}); not a model with RAVE's interface"


def _licence(path: Path) -> str:
    """The `license` of a JSON file of the same name beside it, else 'unknown'."""
    beside = path.with_suffix(".json")
    try:
        if beside.stat().st_size > 65536:
            return "unknown"
        told = json.loads(beside.read_text()).get("license")
    except (OSError, ValueError, AttributeError, RecursionError):
        return "unknown"
    return told if isinstance(told, str) else "unknown"

"""Orpheus checkpoints: the published ones (a plain state dict, prefix `net.`) and our slim one.

Sizes are read off the state dict: Medium (dim 2048, depth 8, 32 heads of 64), Large (dim 2048,
depth 16, inner width 1024 = 16 heads) or any other; then it must load strictly into x-transformers'
own classes. Slim files hold only the rows of the vocabulary that were trained.
"""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.adapter import AdapterError
from models.orpheus.tokens import PAD, VOCABULARY

WEIGHTS = Path(__file__).with_name("orpheus_small.pt")
SLIM_FORMAT = "orpheus-slim-1"
HEAD_DIM = 64
PUBLISHED_CONTEXT = 8192
SIZE_MAX = 4 << 30  # bytes: the Large checkpoint has 3.0 GB
PARAMETERS_MAX = 1_200_000_000

EMBEDDING, LOGITS = "net.token_emb.emb.weight", "net.to_logits.weight"
_LAYER = "net.attn_layers.layers.{}.1."


@dataclass
class Checkpoint:
    """model: AutoregressiveWrapper in evaluation mode. known: tokens that were trained, or None for
    all. context: tokens it may look back on."""

    model: Any
    known: list[int] | None
    context: int


def build(tokens: int, dim: int, depth: int, heads: int, length: int) -> Any:
    """The architecture as its authors build it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper

    layers = Decoder(dim=dim, depth=depth, heads=heads, rotary_pos_emb=True, attn_flash=True)
    net = TransformerWrapper(num_tokens=tokens, max_seq_len=length, attn_layers=layers)
    return AutoregressiveWrapper(net, ignore_index=tokens - 1, pad_value=tokens - 1)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint that may come from anywhere. AdapterError says what, where, what to do."""
    data = _read(path)
    known: list[int] | None = None
    context = PUBLISHED_CONTEXT
    state = data
    if data.get("format") == SLIM_FORMAT:
        state, known, context = _slim(path, data)
    dim, depth, heads = _sizes(path, state)
    with torch.device("meta"):
        model = build(VOCABULARY, dim, depth, heads, context)
    try:
        model.load_state_dict(
            {k: v.to(torch.float32) for k, v in state.items()}, strict=True, assign=True
        )
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise AdapterError(
            f"{path}: not an Orpheus Music Transformer of dim {dim}, depth {depth}, {heads} heads: "
            f"{first}"
        ) from error
    model.requires_grad_(False)
    return Checkpoint(model.eval(), known, context)


def _read(path: Path) -> dict[str, Any]:
    """The dictionary inside a PyTorch file, with its size, unpacked size and type checked."""
    advice = "give a PyTorch state dict of Orpheus, or leave checkpoint out for the shipped model"
    try:
        size = path.stat().st_size
    except OSError as error:
        raise AdapterError(f"{path}: cannot be read ({error.strerror}); {advice}") from error
    if not path.is_file() or size > SIZE_MAX:
        raise AdapterError(f"{path}: {size} bytes, expected a file of at most {SIZE_MAX}; {advice}")
    if not zipfile.is_zipfile(path):
        raise AdapterError(f"{path}: not a PyTorch archive; {advice}")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > SIZE_MAX:
            raise AdapterError(f"{path}: unpacks to {unpacked} bytes, at most {SIZE_MAX} allowed")
        data = torch.load(path, map_location="cpu", weights_only=True)
    except AdapterError:
        raise
    except Exception as error:  # a damaged archive fails in a dozen ways, all meaning the same
        # Its next sentence is advice to load the file unsafely.
        first = " ".join(str(error).split()).partition(". ")[0][:160]
        raise AdapterError(f"{path}: damaged or unsafe PyTorch file ({first}); {advice}") from error
    if not isinstance(data, dict):
        raise AdapterError(f"{path}: holds a {type(data).__name__}, expected a dict; {advice}")
    return data


def _tensors(path: Path, state: Any) -> dict[str, torch.Tensor]:
    """The state dict, proved to be named finite tensors of a total size we can hold."""
    if not isinstance(state, dict) or not state:
        raise AdapterError(f"{path}: no weights in it")
    total = 0
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise AdapterError(f"{path}: entry {str(name)[:60]!r} is not a named tensor")
        total += value.numel()
        if total > PARAMETERS_MAX:
            raise AdapterError(f"{path}: over {PARAMETERS_MAX} weights, too many")
        if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
            raise AdapterError(f"{path}: {name} holds values that are not finite numbers")
    return state


def _sizes(path: Path, state: dict[str, Any]) -> tuple[int, int, int]:
    """(dim, depth, heads) read off the state dict's keys and shapes."""
    _tensors(path, state)
    depth = 0
    while _LAYER.format(2 * depth) + "to_q.weight" in state:
        depth += 1
    query = _LAYER.format(0) + "to_q.weight"
    for name in (EMBEDDING, query):
        if name not in state:
            raise AdapterError(f"{path}: no {name}; expected Orpheus's state dict, prefix net.")
    embedding, first = state[EMBEDDING], state[query]
    if embedding.ndim != 2 or embedding.shape[0] != VOCABULARY:
        raise AdapterError(
            f"{path}: {EMBEDDING} has shape {tuple(embedding.shape)}, expected ({VOCABULARY}, dim)"
        )
    if first.ndim != 2 or first.shape[0] % HEAD_DIM or not first.shape[0]:
        raise AdapterError(
            f"{path}: {query} has shape {tuple(first.shape)}, expected heads of {HEAD_DIM}"
        )
    return embedding.shape[1], depth, first.shape[0] // HEAD_DIM


def _slim(path: Path, data: dict[str, Any]) -> tuple[dict[str, torch.Tensor], list[int], int]:
    """(full state dict, known tokens, context) of a slim file: rows not in it become zeros."""
    state, rows, context = data.get("state"), data.get("rows"), data.get("context")
    state = _tensors(path, state)
    if not (isinstance(rows, torch.Tensor) and rows.ndim == 1 and isinstance(context, int)):
        raise AdapterError(f"{path}: slim checkpoint without rows or context")
    if not 64 <= context <= PUBLISHED_CONTEXT:
        raise AdapterError(f"{path}: context is {context}, expected 64 to {PUBLISHED_CONTEXT}")
    known = [int(r) for r in rows.tolist()]
    if len(set(known)) != len(known) or not known or known[-1] != PAD or min(known) < 0:
        raise AdapterError(f"{path}: rows must be distinct tokens that end with {PAD}")
    if max(known) >= VOCABULARY:
        raise AdapterError(f"{path}: row {max(known)} is outside the vocabulary of {VOCABULARY}")
    full = dict(state)
    for name in (EMBEDDING, LOGITS):
        slim = state.get(name)
        if slim is None or slim.ndim != 2 or slim.shape[0] != len(known):
            found = None if slim is None else tuple(slim.shape)
            raise AdapterError(f"{path}: {name} has shape {found}, expected ({len(known)}, dim)")
        whole = torch.zeros(VOCABULARY, slim.shape[1])
        whole[torch.tensor(known)] = slim.to(torch.float32)
        full[name] = whole
    return full, known, context

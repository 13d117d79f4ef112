"""RAVE exports that tests make."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn


def save(module: nn.Module, path: Path) -> Path:
    """As TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module.eval()).save(str(path))
    return path

"""The patch in force: what a reload took last, else what the performance was started with."""

from __future__ import annotations

from engine.patch import Patch
from engine.shm import Shared

NOW = "patch.now.json"  # in the shared folder; written by engine/reload.py


def patch_now(shared: Shared) -> Patch:
    """Any process's; reads a file."""
    if shared.folder is None:
        return shared.patch
    path = shared.file(NOW)
    return Patch.from_json(path.read_text()) if path.exists() else shared.patch

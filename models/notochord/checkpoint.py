"""Reads a Notochord checkpoint that may come from anywhere: no code in it runs, nothing is fetched.

Notochord's own from_checkpoint is not used: it may download, ask on standard input and unpickle.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.adapter import AdapterError

if TYPE_CHECKING:
    from notochord import Notochord

SHIPPED = Path(__file__).with_name("notochord-small.pt")
MAX_BYTES = 512 * 2**20
# The model's own arguments with the values we accept: sizes small enough for this machine.
SIZES: dict[str, tuple[int, int]] = {
    "emb_size": (1, 2048),
    "rnn_hidden": (1, 4096),
    "rnn_layers": (1, 8),
    "mlp_layers": (0, 8),
    "num_pitches": (128, 128),
    "num_instruments": (320, 320),
    "time_sines": (1, 2048),
    "vel_sines": (1, 2048),
    "time_components": (1, 512),
    "vel_components": (1, 512),
}
OTHERS = ("kind", "dropout", "norm", "time_bounds", "time_res")


def import_notochord() -> Any:
    """The notochord package, imported so that it neither leaves a folder behind nor prints.

    On import it makes a cache folder in the user's data folder, which may be read-only under
    systemd; and its sampler prints each constraint it applies.
    """
    before = os.environ.get("XDG_DATA_HOME")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_DATA_HOME"] = scratch
        try:
            import notochord
            from notochord import event, model
        finally:
            if before is None:
                del os.environ["XDG_DATA_HOME"]
            else:
                os.environ["XDG_DATA_HOME"] = before
    for module in (event, model):
        module.__dict__["print"] = _silent
    return notochord


def _silent(*_: object, **__: object) -> None:
    """What notochord's modules call instead of print."""


def load_model(path: Path) -> Notochord:
    """The model of a checkpoint, every key of it loaded, at rest. Raises AdapterError."""
    import torch

    if not path.is_file():
        raise AdapterError(f"{path}: there is no such checkpoint file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise AdapterError(f"{path}: {size} bytes, a Notochord checkpoint has {MAX_BYTES} at most")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the broken byte led to
        # Its next sentence is advice to load the file unsafely.
        first = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise AdapterError(
            f"{path}: not a checkpoint that loads as weights only ({type(error).__name__}: "
            f"{first or 'no detail'}); expected {{'kw': {{'model': …}}, "
            "'model_state': …} saved by torch.save, without optimizer or random state"
        ) from error
    arguments, state = _parts(path, loaded)
    notochord = import_notochord()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of training, such as dropout with a single layer
            model = notochord.Notochord(**arguments)
    except Exception as error:
        raise AdapterError(f"{path}: kw.model does not make a Notochord: {error}") from error
    _check_state(path, model.state_dict(), state)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    model.eval()
    model.reset()
    return model


def _parts(path: Path, loaded: object) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(loaded, dict):
        raise AdapterError(f"{path}: holds a {type(loaded).__name__}, expected a dict")
    kw, state = loaded.get("kw"), loaded.get("model_state")
    if not isinstance(kw, dict) or not isinstance(kw.get("model"), dict):
        raise AdapterError(f"{path}: no kw.model; found the keys {sorted(map(str, loaded))[:8]}")
    if not isinstance(state, dict) or not state:
        raise AdapterError(f"{path}: no model_state; found the keys {sorted(map(str, loaded))[:8]}")
    arguments = kw["model"]
    for name, value in arguments.items():
        if name not in SIZES and name not in OTHERS:
            raise AdapterError(f"{path}: kw.model has the unknown key {name!r}")
        if name in SIZES:
            low, high = SIZES[name]
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise AdapterError(
                    f"{path}: kw.model.{name} is {value!r}, expected {low} to {high}"
                )
    return arguments, state


def _check_state(path: Path, wanted: dict[str, Any], state: dict[str, Any]) -> None:
    """Every weight there, none to spare, of the right shape and finite."""
    import torch

    missing, spare = (
        sorted(wanted.keys() - state.keys()),
        sorted(map(str, state.keys() - wanted.keys())),
    )
    if missing or spare:
        raise AdapterError(
            f"{path}: model_state does not fit kw.model: {len(missing)} keys missing "
            f"{missing[:3]}, {len(spare)} unknown {spare[:3]}"
        )
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor) or tensor.shape != wanted[name].shape:
            found = (
                tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            )
            raise AdapterError(
                f"{path}: {name} is {found}, expected shape {tuple(wanted[name].shape)}"
            )
        if not bool(torch.isfinite(tensor.float()).all()):
            raise AdapterError(f"{path}: {name} has values that are not finite")

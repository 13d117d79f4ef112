"""Risk: a file that is no Notochord checkpoint, or a wrong config, gives no clear error."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.adapter import AdapterError
from models.notochord import checkpoint
from models.notochord.adapter import NotochordPlayer
from models.notochord.steering import Steering

Spoil = Callable[[dict[str, Any]], Any]


def shipped() -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(checkpoint.SHIPPED, weights_only=True)
    return loaded


def without(name: str) -> Spoil:
    def spoil(d: dict[str, Any]) -> dict[str, Any]:
        del d["model_state"][name]
        return d

    return spoil


def state(name: str, value: object) -> Spoil:
    def spoil(d: dict[str, Any]) -> dict[str, Any]:
        d["model_state"][name] = value
        return d

    return spoil


def argument(name: str, value: object) -> Spoil:
    def spoil(d: dict[str, Any]) -> dict[str, Any]:
        d["kw"]["model"][name] = value
        return d

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: [1, 2], "holds a list"),
        (lambda d: {"model_state": d["model_state"]}, "no kw.model"),
        (lambda d: {"kw": d["kw"]}, "no model_state"),
        (lambda d: {"kw": {"model": 3}, "model_state": {}}, "no kw.model"),
        (lambda d: {"kw": d["kw"], "model_state": {}}, "no model_state"),
        (without("end_proj.weight"), "1 keys missing"),
        (state("more", torch.zeros(1)), "1 unknown"),
        (state("end_proj.bias", torch.zeros(3)), "end_proj.bias is (3,)"),
        (state("end_proj.bias", 5), "end_proj.bias is int"),
        (state("end_proj.bias", torch.full((2,), float("nan"))), "not finite"),
        (argument("emb_size", 10**9), "kw.model.emb_size"),
        (argument("emb_size", "96"), "kw.model.emb_size"),
        (argument("num_instruments", 10), "kw.model.num_instruments"),
        (argument("rnn_hidden", 8), "expected shape"),
        (argument("dropout", 0.1), "keys missing"),
        (argument("dropout", "much"), "does not make a Notochord"),
        (argument("kind", "exprnn"), "does not make a Notochord"),
        (argument("surprise", 1), "unknown key 'surprise'"),
    ],
)
def test_a_wrong_checkpoint_names_the_file_and_what_is_wrong(
    tmp_path: Path, spoil: Spoil, says: str
) -> None:
    path = tmp_path / "wrong.pt"
    torch.save(spoil(shipped()), path)
    with pytest.raises(AdapterError) as error:
        NotochordPlayer().load(path, 48000, {})
    assert says in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "short.pt"
    data = checkpoint.SHIPPED.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(AdapterError, match="weights only"):
        NotochordPlayer().load(path, 48000, {})


@pytest.mark.parametrize("data", [b"hello", b"MThd\0\0\0\6", bytes(1000), b"PK\3\4" + bytes(60)])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(data)
    with pytest.raises(AdapterError, match="weights only") as error:
        NotochordPlayer().load(path, 48000, {})
    assert "Re-running" not in str(error.value)  # torch's advice to load it unsafely


class Trap:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "ran"))


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    path, ran = tmp_path / "trap.pt", tmp_path / "ran"
    torch.save({"kw": {"model": {}}, "model_state": Trap(ran)}, path)
    for data in (path.read_bytes(), pickle.dumps(Trap(ran))):
        path.write_bytes(data)
        with pytest.raises(AdapterError, match="weights only"):
            NotochordPlayer().load(path, 48000, {})
        assert not ran.exists()


def test_a_missing_or_huge_file_or_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AdapterError, match="no such checkpoint"):
        NotochordPlayer().load(tmp_path / "none.pt", 48000, {})
    with pytest.raises(AdapterError, match="no such checkpoint"):
        NotochordPlayer().load(tmp_path, 48000, {})
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 1000)
    with pytest.raises(AdapterError, match="1000 at most"):
        NotochordPlayer().load(None, 48000, {})


def test_the_name_that_notochord_would_download_is_only_a_missing_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked(*_: object) -> str:
        raise AssertionError("asked on standard input")

    monkeypatch.setattr("builtins.input", asked)
    with pytest.raises(AdapterError, match="no such checkpoint"):
        NotochordPlayer().load(Path("notochord-latest.ckpt"), 48000, {})


def test_single_precision_and_half_precision_files_answer_alike(tmp_path: Path) -> None:
    d = shipped()
    assert all(v.dtype == torch.float16 for v in d["model_state"].values() if v.is_floating_point())
    d["model_state"] = {k: v.float() for k, v in d["model_state"].items()}
    path = tmp_path / "single.pt"
    torch.save(d, path)
    half = checkpoint.load_model(checkpoint.SHIPPED).state_dict()
    single = checkpoint.load_model(path).state_dict()
    assert half.keys() == single.keys()
    assert all(torch.equal(half[k], single[k]) for k in half)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"tempo": 3}, "unknown key 'tempo'"),
        ({"answer": "both"}, "config answer is 'both'"),
        ({"answer": ["together"]}, "config answer"),
        ({"key": 12}, "config key is 12"),
        ({"key": "H"}, "config key is 'H'"),
        ({"key": True}, "config key is True"),
        ({"scale": "klezmer"}, "config scale"),
        ({"register": [80, 60]}, "config register"),
        ({"register": "high"}, "config register"),
        ({"register": [62, 62], "key": "C#", "scale": "major"}, "no note of key"),
        ({"temperature": 0}, "config temperature"),
        ({"temperature": float("nan")}, "config temperature"),
        ({"density": 2}, "config density"),
        ({"polyphony": 1.5}, "config polyphony"),
        ({"leap": 0}, "config leap"),
        ({"instrument": 0}, "config instrument"),
        ({"instrument": 1}, "are both 1"),
        ({"seed": -1}, "config seed"),
        ({"max_note_s": "long"}, "config max_note_s"),
        ({"linger_s": np.inf}, "config linger_s"),
    ],
)
def test_a_wrong_config_names_the_key(config: dict[str, Any], says: str) -> None:
    with pytest.raises(AdapterError) as error:
        NotochordPlayer().load(None, 48000, config)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("key", "meant"),
    [(0, 0), (11, 11), ("C", 0), ("f#", 6), ("Bb", 10), ("auto", "auto"), (None, None)],
)
def test_keys_may_be_numbers_names_automatic_or_free(key: object, meant: object) -> None:
    assert Steering.from_config({"key": key}).key == meant


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(AdapterError, match="the rate is 0"):
        NotochordPlayer().load(None, 0, {})

"""Risk: a checkpoint that is none, is hostile, or is loaded into other arithmetic than its own."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.adapter import AdapterError
from models.orpheus import checkpoint as cp
from models.orpheus.adapter import OrpheusMaker
from models.orpheus.decoder import Decoder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # as in a worker; two threads crawl on a busy machine


@pytest.fixture(scope="module")
def shipped() -> cp.Checkpoint:
    return cp.load(cp.WEIGHTS)


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """A state dict laid out as the published ones are, of Large's kind: inner width below dim."""
    torch.manual_seed(5)
    return dict(cp.build(cp.VOCABULARY, 160, 2, 2, 64).state_dict())


def saved(path: Path, data: Any) -> Path:
    torch.save(data, path)
    return path


def check_decoder(loaded: cp.Checkpoint, tokens: list[int]) -> None:
    decoder = Decoder(loaded)
    decoder.feed(tokens[:17])
    for token in tokens[17:]:
        decoder.feed([token])
    with torch.no_grad():
        expected = loaded.model.net(torch.tensor([tokens]))[0, -1]
    assert torch.allclose(decoder.logits(decoder.output), expected, atol=2e-4)
    some = torch.tensor([3, 300, 17000])
    assert torch.allclose(decoder.logits(decoder.output[some]), expected[some], atol=2e-4)


def test_cached_decoding_is_the_models_own_arithmetic(shipped: cp.Checkpoint) -> None:
    assert shipped.known is not None
    picks = torch.randint(0, len(shipped.known), (48,), generator=torch.Generator().manual_seed(1))
    check_decoder(shipped, [shipped.known[i] for i in picks])


def test_a_published_layout_loads_strictly(
    tmp_path: Path, published: dict[str, torch.Tensor]
) -> None:
    loaded = cp.load(saved(tmp_path / "full.pth", published))
    assert loaded.known is None
    assert loaded.context == cp.PUBLISHED_CONTEXT
    check_decoder(loaded, [(i * 977) % cp.VOCABULARY for i in range(40)])


def test_the_decoder_forgets_the_older_half_when_full(shipped: cp.Checkpoint) -> None:
    assert shipped.known is not None
    decoder = Decoder(shipped)
    tokens = [shipped.known[i % 200] for i in range(decoder.context + 10)]
    for i in range(0, len(tokens), 9):
        decoder.feed(tokens[i : i + 9])
    fresh = Decoder(shipped)
    fresh.feed(decoder.tokens)
    assert decoder.tokens == tokens[-len(decoder.tokens) :]
    assert len(decoder.tokens) < decoder.context
    assert torch.allclose(decoder.hidden, fresh.hidden, atol=1e-4)


def broken(published: dict[str, torch.Tensor], how: str) -> Any:
    state = dict(published)
    if how == "missing key":
        del state["net.attn_layers.layers.1.1.ff.0.0.weight"]
    elif how == "missing embedding":
        del state[cp.EMBEDDING]
    elif how == "wrong shape":
        state["net.attn_layers.layers.2.1.to_v.weight"] = torch.zeros(64, 7)
    elif how == "wrong vocabulary":
        state[cp.EMBEDDING] = torch.zeros(100, 160)
    elif how == "not finite":
        state[cp.LOGITS] = torch.full_like(state[cp.LOGITS], float("nan"))
    elif how == "extra key":
        state["net.more"] = torch.zeros(1)
    elif how == "not tensors":
        return {"a": 1}
    elif how == "a list":
        return [1, 2]
    elif how == "endless view":
        state[cp.LOGITS] = torch.zeros(1).expand(2_000_000_000)
    elif how == "slim without rows":
        return {"format": cp.SLIM_FORMAT, "state": state}
    elif how == "slim rows outside":
        rows = torch.tensor([99_999, cp.PAD])
        return {"format": cp.SLIM_FORMAT, "state": state, "rows": rows, "context": 128}
    return state


@pytest.mark.parametrize(
    "how",
    [
        "missing key", "missing embedding", "wrong shape", "wrong vocabulary", "not finite",
        "extra key", "not tensors", "a list", "endless view", "slim without rows",
        "slim rows outside",
    ],
)  # fmt: skip
def test_broken_state_dicts_are_refused(
    tmp_path: Path, published: dict[str, torch.Tensor], how: str
) -> None:
    path = saved(tmp_path / "broken.pth", broken(published, how))
    with pytest.raises(AdapterError, match=r"broken\.pth"):
        cp.load(path)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("hostile-was-here"),))


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "pickle", "code", "zip", "folder"])
def test_files_that_are_no_checkpoint_are_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.pth"
    if kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        path.write_bytes(cp.WEIGHTS.read_bytes()[:100_000])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Hostile()))
    elif kind == "code":
        torch.save({"net": Hostile()}, path)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "b")
    else:
        path.write_bytes(b"" if kind == "empty" else b"hello, I am a checkpoint\n" * 100)
    with pytest.raises(AdapterError, match=r"file\.pth"):
        cp.load(path)
    assert not (tmp_path / "hostile-was-here").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"nothing\.pth"):
        OrpheusMaker().load(tmp_path / "nothing.pth", 48000, {})


@pytest.mark.parametrize(
    "config", [{"temperature": "hot"}, {"top_p": 3.0}, {"temprature": 1.0}, {"grid": float("nan")}]
)
def test_wrong_settings_are_named(config: dict[str, Any]) -> None:
    with pytest.raises(AdapterError, match=next(iter(config))):
        OrpheusMaker().load(None, 48000, config)

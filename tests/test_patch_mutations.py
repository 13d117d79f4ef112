"""Risk: a patch that is wrong in a way nobody thought of raises something other than PatchError."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.patch import Patch
from engine.patch_load import PatchError, load_patch

PATCHES = Path(__file__).parent.parent / "patches"
GOOD = (PATCHES / "stage.yaml").read_bytes()
TOKENS = [
    *b"&a *a !!int !x --- ... ? : - , [ ] { } ' \" | > % @ ` # ~ .nan -.inf 1e999 0x7f".split(),
    *b"true null 0 -1 99999999999999999999 main: name: inputs: channel: << \xff \x00".split(),
    *(b"\n", b"  ", b"\t", b"\xc2\x85", b"\xe2\x80\xa8"),
]
VALUES = [
    *b"0 -1 7 1.5 true null [] {} [1,2] [[1]] {a:1} .nan .inf text answer mist trombone".split(),
    *b"'' '[' keys main performer rave 99999999999999999999 2026-01-01 1:30 0o17 yes".split(),
]


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "patch.yaml"


def loads_or_says_why(path: Path, data: bytes) -> bool:
    """It is a patch that survives its JSON, or every problem has its line, what was found and what
    was expected. Anything but PatchError escapes and fails the test."""
    path.write_bytes(data)
    try:
        patch = load_patch(path)
    except PatchError as error:
        lines = len(data.decode("utf-8", "replace").splitlines()) + 1
        told = [0 <= p.line <= lines and p.found and p.expected for p in error.problems]
        return bool(told) and all(told)
    return Patch.from_json(patch.to_json()) == patch


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_cut_joined_and_poisoned_patches(scratch: Path, data: st.DataObject) -> None:
    """Pieces of a good patch removed, doubled, swapped, and hostile tokens put between them."""
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        a, b = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        middle = data.draw(
            st.one_of(st.sampled_from(TOKENS), st.just(text[a:b] * 2), st.binary(max_size=8))
        )
        text = text[:a] + middle + text[a if data.draw(st.booleans()) else b :]
    assert loads_or_says_why(scratch, text)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_values_replaced(scratch: Path, data: st.DataObject) -> None:
    """A good patch with values of the wrong kind: every check meets what it does not expect."""
    lines = GOOD.split(b"\n")
    places = [i for i, line in enumerate(lines) if b": " in line and not line.startswith(b"#")]
    for index in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=4)):
        lines[index] = lines[index].split(b": ")[0] + b": " + data.draw(st.sampled_from(VALUES))
    assert loads_or_says_why(scratch, b"\n".join(lines))

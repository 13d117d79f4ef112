"""Risk: a patch or a set wants more memory for stems than there is, and a night begins in which no
stem ever comes, or which ends with a SIGBUS."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.arena import arena_of
from engine.conductor import Conductor
from engine.patch import Clock, Output, Patch, Role
from engine.patch_load import PatchError
from engine.set_load import load_performance
from engine.shm import Shared

MANY = 12


def patch_text(name: str, bars: int) -> str:
    roles = "".join(
        f"  {name}{i}: {{maker: rules, bars: {bars}, ahead: 4, to: {{main: 0}}}}\n"
        for i in range(MANY // 2)
    )
    return (
        f"name: {name}\nclock: {{bpm: 60, beats_per_bar: 4}}\n"
        f"outputs:\n  main: {{channels: [1, 2]}}\nroles:\n{roles}"
    )


def test_a_set_that_wants_more_than_any_machine_gives_is_refused_by_key_and_megabytes(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.yaml").write_text(patch_text("a", 8))
    (tmp_path / "b.yaml").write_text(patch_text("b", 16))
    whole = tmp_path / "set.yaml"
    whole.write_text("name: night\nsongs:\n  - {patch: a.yaml}\n  - {patch: b.yaml}\n")
    load_performance(tmp_path / "a.yaml")
    load_performance(tmp_path / "b.yaml")
    with pytest.raises(PatchError) as refused:
        load_performance(whole)
    (problem,) = refused.value.problems
    assert (problem.file, problem.key) == (str(whole), "roles.b0.bars")
    assert "16 bars" in problem.found
    assert " MB" in problem.found
    assert "at most 4096 MB" in problem.expected


def test_memory_that_is_not_there_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = Patch(roles={"drums": Role(bars=16)})
    need = arena_of(patch).megabytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(need - 1) * 1e6))
    with pytest.raises(OSError, match=rf"needs {need:.0f} MB .* {need - 1:.0f} MB free: .*roles"):
        Shared.create(tmp_path / "performance", patch)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(need + 1) * 1e6))
    Shared.create(tmp_path / "performance", patch)


def test_memory_that_runs_out_while_it_is_made_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, reserve = [3], os.posix_fallocate

    def scarce(descriptor: int, at: int, size: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(descriptor, at, size)

    monkeypatch.setattr(os, "posix_fallocate", scarce)
    with pytest.raises(OSError, match=r"is full: no room for rings"):
        Shared.create(tmp_path / "performance", Patch())
    assert not list(tmp_path.iterdir())


def test_all_memory_of_a_performance_is_there_from_its_start(tmp_path: Path) -> None:
    """A page that is missing when it is touched would end the process that touches it."""
    shared = Shared.create(tmp_path / "performance", Patch(roles={"drums": Role(bars=1, ahead=1)}))
    assert shared.folder is not None
    files = [shared.folder / n for n in ("arena", "ledger", "ring.reports", "state", "clock")]
    assert all(f.stat().st_blocks * 512 >= f.stat().st_size > 0 for f in files)


PATCH = Patch(
    roles={"drums": Role(bars=4)},
    outputs={"main": Output((1, 2))},
    clock=Clock(bpm=100.0),
    armed=True,
)


def told(conductor: Conductor) -> list[str]:
    return [f"{e['role']}: {e['reason']}" for e in conductor.news if e["event"] == "no_room"]


def test_a_stem_that_fits_no_place_any_more_is_said_once() -> None:
    places = arena_of(PATCH)
    conductor = Conductor(PATCH, places.slots, places.slot_frames)
    conductor.begin(0, 96_000.0)  # twice the rate that the patch expects
    for now in range(0, 960_000, 480):
        conductor.advance(now)
    assert not conductor.book.requests
    (said,) = told(conductor)
    assert said.startswith("drums: 4 bars at 100.0 BPM need 7.4 MB, a place of the stem arena has")


def test_an_arena_that_is_full_of_what_is_needed_is_said_once() -> None:
    conductor = Conductor(PATCH, 1, arena_of(PATCH).slot_frames)
    conductor.begin(0, 48_000.0)
    for now in range(0, 480_000, 480):
        conductor.advance(now)
    assert told(conductor) == ["drums: all 1 places of the stem arena are taken"]

"""Risk: a folder of a dead performance stays, or a living one's is swept away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import shm_folder, shm_records
from engine.layout import NOTE
from engine.patch import Input, Output, Patch, Player, Role, Voice
from engine.shm import Shared
from engine.shm_folder import began, complete, folder_for, running, sweep
from engine.status import StatusError, status_of
from engine.timeline import Timeline

PATCH = Patch(
    name="sweep",
    inputs={"mic": Input(channel=1)},
    voices={"answer": Voice()},
    players={"duo": Player(model="notochord", voice="answer"), "sea": Player(to={"main": 0.0})},
    roles={"drums": Role(ahead=1, bars=1)},
    outputs={"main": Output((1, 2))},
)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shm_folder, "SHM_ROOT", tmp_path)
    return tmp_path


def test_what_is_still_being_made_is_not_attached_to(root: Path) -> None:
    folder = root / "half"
    assert not complete(folder)
    shared = Shared.create(folder, PATCH)
    assert complete(folder)
    Shared.open(folder)
    shared.remove()
    folder.mkdir()
    (folder / "ledger").touch()  # it has its name, and no size yet
    assert not complete(folder)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def folder_of(root: Path, name: str, pid: int) -> Path:
    return root / f"{shm_folder.PREFIX}{os.getuid()}-{name}-{pid}"


def test_stale_folders_are_swept_and_the_living_stay(root: Path) -> None:
    mine = Shared.create(folder_for("here"), PATCH)
    stale = folder_of(root, "gone", dead_pid())
    Shared.create(stale, PATCH)
    other = root / "somebody-elses-folder"
    other.mkdir()
    assert sweep() == [stale]
    assert not stale.exists()
    assert other.exists()
    assert mine.folder is not None
    assert (mine.folder / "patch.json").exists()
    assert sweep() == []
    mine.remove()
    assert not mine.folder.exists()


def test_a_folder_is_stale_although_its_number_went_to_another_process(root: Path) -> None:
    folder = Shared.create(folder_for("before"), PATCH).folder
    assert folder is not None
    assert running() == [folder]
    facts = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**facts, "began": facts["began"] - 1}))
    assert running() == []
    assert sweep() == [folder]


def test_other_users_folders_are_not_ours_to_sweep(root: Path) -> None:
    theirs = root / f"{shm_folder.PREFIX}{os.getuid() + 1}-x-{dead_pid()}"
    theirs.mkdir()
    assert sweep() == []
    assert theirs.exists()


def test_running_are_found_by_their_exact_name(root: Path) -> None:
    for name in ("a", "a-b"):
        Shared.create(folder_for(name), PATCH)
    assert running("a") == [folder_for("a")]
    assert running("b") == []
    assert running() == [folder_for("a"), folder_for("a-b")]


@pytest.mark.parametrize(
    "name", ["my gig", "a/b", "../x", "x" * 41, "*", "\N{TRUMPET} live", "\udce9"]
)
def test_any_name_is_one_file_name_and_is_found_again(root: Path, name: str) -> None:
    made = Shared.create(folder_for(name), PATCH).folder
    assert made is not None
    assert made.parent == root
    assert made.name.isascii()
    assert running(name) == [made]
    assert running(f"{name}!") == []


def test_names_that_differ_only_in_what_is_not_plain_are_two(root: Path) -> None:
    assert folder_for("my gig") != folder_for("my/gig")


@pytest.mark.parametrize("name", ["", "  ", "x" * 201])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 200"):
        folder_for(name)
    assert running(name) == []


def test_one_folder_is_not_made_twice(root: Path) -> None:
    Shared.create(folder_for("once"), PATCH)
    with pytest.raises(FileExistsError):
        Shared.create(folder_for("once"), PATCH)


def test_all_who_attach_see_one_and_the_same() -> None:
    made = Shared.create(folder_for("two"), PATCH, session="/tmp/s", performing=True)
    assert made.folder is not None
    seen = Shared.open(made.folder)
    assert seen.patch == PATCH
    assert seen.meta == made.meta
    assert seen.names == made.names
    for name in shm_records.ring_table(PATCH, recording=True):
        assert seen.ring(name).capacity == made.ring(name).capacity
    note = np.zeros(1, NOTE)
    note["key"] = 61
    assert made.push("midi_notes", note) == 1
    assert seen.ring("midi_notes").pop()["key"].tolist() == [61]
    line = Timeline(frame=5, beat=2.5, bpm=99.0, rate=48000.0)
    assert seen.timeline() is None
    made.set_timeline(line)
    assert seen.timeline() == line
    seen.arena[-1] = 0.5
    assert made.arena[-1] == 0.5
    seen.heartbeat("pool")
    assert made.heartbeats[made.names.index("pool")] > 0


def test_arena_has_room_for_every_stem_that_a_role_keeps_at_three_quarters_tempo() -> None:
    shared = Shared.private(PATCH)
    clock, role = PATCH.clock, PATCH.roles["drums"]
    frames = role.bars * clock.beats_per_bar * 60 / (0.75 * clock.bpm) * PATCH.audio.rate
    assert shared.slot_frames >= frames
    assert shared.arena.size >= shared.slots * 2 * frames
    assert shared.slots > role.ahead + 2


def test_hints_to_a_closed_bell_are_no_harm() -> None:
    bell = os.eventfd(0, os.EFD_NONBLOCK)
    shared = Shared.create(folder_for("bells"), PATCH, {"midi": bell})
    shared.hint("midi")
    shared.wait("midi", 0.0)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(bell)  # the hint was taken
    os.close(bell)
    shared.hint("midi")
    shared.hint("nobody")


def test_status_where_nothing_runs_or_too_much_does() -> None:
    with pytest.raises(StatusError, match="no performance is running"):
        status_of(None)
    Shared.create(folder_for("x"), PATCH)
    with pytest.raises(StatusError, match="no performance"):
        status_of("y")
    Shared.create(folder_for("y"), PATCH)
    with pytest.raises(StatusError, match="say which"):
        status_of(None)


def test_two_of_one_name_are_told_apart(root: Path) -> None:
    for number in (os.getpid(), os.getppid()):
        made = Shared.create(folder_of(root, "a", number), PATCH)
        made.file("meta.json").write_text(json.dumps({**made.meta, "began": began(number)}))
    with pytest.raises(StatusError) as error:
        status_of("a")
    names = [f"a-{number}" for number in (os.getpid(), os.getppid())]
    assert all(name in str(error.value) for name in names)
    folders = [Path(status_of(name)["folder"]) for name in names]
    assert folders == [root / f"{shm_folder.PREFIX}{os.getuid()}-{name}" for name in names]


def test_status_of_one_whose_folder_is_not_whole_says_so(root: Path) -> None:
    whole = Shared.create(folder_for("half"), PATCH).folder
    assert whole is not None
    (whole / "heartbeats").unlink()
    with pytest.raises(StatusError, match="only just starting"):
        status_of("half")
    (whole / "meta.json").write_text("")
    with pytest.raises(StatusError, match="only just starting"):
        status_of("half")


def test_status_of_one_that_has_only_just_begun() -> None:
    Shared.create(folder_for("fresh"), PATCH)
    facts = status_of("fresh")
    assert facts["patch"] == "sweep"
    assert facts["audio"]["phase"] == "starting"
    assert facts["conductor"] is None
    assert set(facts["processes"].values()) == {None}


def test_ledger_appears_last_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for it finds everything."""
    folder, reserve, calls = folder_for("fresh"), os.posix_fallocate, []

    def look(descriptor: int, offset: int, size: int) -> None:
        calls.append(size)
        assert not (folder / "ledger").exists()
        reserve(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", look)
    Shared.create(folder, PATCH)
    assert (folder / "ledger").stat().st_size == calls[-1]
    assert not list(folder.glob("*.new"))

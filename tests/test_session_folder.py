"""Risk: two performances that leave their files in one folder, or what an earlier one left there,
spoil each other's recording."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.cli_common import SessionTakenError, session_folder
from engine.journal import Journal, keep_last_words
from engine.layout import REPORT, ReportKind
from engine.patch import Output, Patch
from engine.recording import Recording, forget_session, new_take
from engine.session import find_take, lines_of, read_lines, read_session
from engine.shm import Shared
from engine.tracks import tap_dtype

MINIMAL = str(Path(__file__).parent.parent / "patches" / "minimal.yaml")
PATCH = Patch(outputs={"main": Output((1, 2))})
HOLDER = """
import sys
from pathlib import Path
from engine.cli_common import session_folder
with session_folder(Path(sys.argv[1])):
    print("kept", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("words", [("run", MINIMAL, "--no-rig"), ("demo", "--render")])
def test_second_performance_in_a_folder_is_refused_and_the_first_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with session_folder(tmp_path / "night") as folder:
        (folder / "log.jsonl").write_text("the first one's\n")
        assert cli.main([*words, "--session", str(folder)]) == 2
        assert [p.name for p in folder.iterdir()] == ["log.jsonl"]
        assert (folder / "log.jsonl").read_text() == "the first one's\n"
    assert "another performance" in capsys.readouterr().err


def test_folder_is_free_again_however_its_performance_ended(tmp_path: Path) -> None:
    with session_folder(tmp_path):
        pass
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"kept\n"
        with pytest.raises(SessionTakenError), session_folder(tmp_path):
            pass
        os.kill(holder.pid, signal.SIGKILL)
    with session_folder(tmp_path) as folder:
        assert folder == tmp_path


def test_names_that_only_look_like_takes_are_nobody_s(tmp_path: Path) -> None:
    (tmp_path / "take-²").mkdir()
    (tmp_path / f"take-{'9' * 200}").mkdir()
    (tmp_path / "take-7").touch()
    first, second = new_take(tmp_path), new_take(tmp_path)
    assert [first.name, second.name] == ["take-01", "take-02"]
    assert find_take(tmp_path) == second
    forget_session(tmp_path)
    assert sorted(p.name[:6] for p in tmp_path.iterdir()) == ["take-7", "take-9", "take-²"]


def test_rig_is_kept_with_its_own_performance(tmp_path: Path) -> None:
    for number, rig in enumerate(("inputs: {mic: {channel: 2}}\n", None)):
        shared = Shared.create(tmp_path / f"shared{number}", PATCH, session=str(tmp_path))
        files = {"patch": "p.yaml"}
        if rig is not None:
            (tmp_path / "rig.yaml").write_text(rig)
            files["rig"] = str(tmp_path / "rig.yaml")
        shared.file("files.json").write_text(json.dumps(files))
        block = np.zeros(1, tap_dtype(PATCH))
        block["frame"], block["count"] = 1000, 128
        shared.ring("tap.recorder").push(block)
        recording = Recording(shared, new_take(tmp_path), 48_000.0)
        recording.close()
        assert read_session(tmp_path).frames == 128
        kept = recording.take / "rig.yaml"
        assert (kept.read_text() if kept.exists() else None) == rig


def test_what_nobody_read_any_more_is_in_the_log_in_the_end(tmp_path: Path) -> None:
    """The conductor was dead, or is told to end before the audio process is."""
    shared = Shared.create(tmp_path / "shared", PATCH, session=str(tmp_path))
    journal = Journal(tmp_path / "shared", tmp_path, "another")
    journal.close()
    said = np.zeros(2, REPORT)
    said["kind"], said["frame"], said["a"] = [ReportKind.GAP, ReportKind.MISSED], [500, 900], 128
    shared.ring("reports").push(said)
    keep_last_words(shared, tmp_path)
    keep_last_words(shared, tmp_path)
    mine = lines_of(read_lines(tmp_path / "log.jsonl"), shared.meta["performance"])
    assert [(e["event"], e["frame"], e["a"]) for e in mine] == [
        ("gap", 500, 128),
        ("missed", 900, 128),
    ]

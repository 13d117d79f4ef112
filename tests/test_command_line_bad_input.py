"""Risk: a wrong word on the command line ends in a traceback, in silence, or in the wrong exit
code: 2 is for wrong usage or a wrong patch, 1 for what failed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from engine import cli, shm_folder
from engine.cli_doctor import Check, Status
from engine.offline import Offline, OfflineError
from engine.supervisor import Supervisor

PATCHES = Path(__file__).parent.parent / "patches"
DEMO = str(PATCHES / "demo.yaml")
JUNK = bytes(range(256)) * 40


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything that a path may turn out to be; no rig of this machine, no performance."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "junk").write_bytes(JUNK)
    (tmp_path / "text").write_text("neither: [this\n")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(shm_folder, "SHM_ROOT", tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code, and what it says to people; nothing on standard output."""
    try:
        code = cli.main(list(words))
    except SystemExit as left:
        code = int(str(left.code))
    out, err = capsys.readouterr()
    assert not out
    assert err.strip()
    assert "Traceback" not in err
    return code, err


PATHS = ("missing", "folder", "empty", "junk", "text", "loop", "empty/below", "x" * 5000)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("render", "--input", "a.wav", "--out", "b.wav"),
        ("cv", "calibrate", "--input", "1"),
        ("rig",),
        ("soundcheck",),
    ],
    ids=lambda words: words[0],
)
def test_what_is_no_patch_is_wrong_usage(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], path: str
) -> None:
    tail = ("pitch",) if words[0] == "cv" else ()
    code, error = said(capsys, *words, path, *tail)
    assert code == 2
    assert path[:20] in error or "rig.yaml" in error


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_rig_is_wrong_usage(
    place: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    assert said(capsys, "run", DEMO, "--rig", path)[0] == 2
    assert said(capsys, "soundcheck", DEMO, "--rig", path)[0] == 2


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_session_or_sound_has_failed(
    place: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    assert said(capsys, "replay", path)[0] == 1
    assert said(capsys, "replay", path, "--check", "--json")[0] == 1
    assert said(capsys, "render", DEMO, "--input", path, "--out", "b.wav")[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("no-such-command",),
        ("run", DEMO, "--name", ""),
        ("run", DEMO, "--name", "x" * 300),
        ("run", DEMO, "--seconds", "soon"),
        ("run", DEMO, "--seconds", "nan"),
        ("run", DEMO, "--seconds", "-1"),
        ("run", DEMO, "--rig", "a", "--no-rig"),
        ("render", DEMO),
        ("render", DEMO, "--input", "a.wav", "--out", "b.wav", "--tail", "nan"),
        ("render", DEMO, "--input", "a.wav", "--out", "b.wav", "--tail", "-3"),
        ("render", DEMO, "--input", "a.wav", "--out", "b.wav", "--tail", "1e9"),
        ("render", DEMO, "--input", "a.wav", "--out", "b.waw"),
        ("render", DEMO, "--input", "a.wav", "--out", "nowhere/b.wav"),
        ("render", DEMO, "--input", "a.wav", "--out", "x" * 5000 + "/b.wav"),
        ("replay", ".", "--out", "b.mp3"),
        ("replay", ".", "--picture", "nowhere/b.png"),
        ("gig", "--picture", "b.jpg"),
        ("launchpad", "emulate", "--png", "."),
        ("replay",),
        ("bench", "nothing"),
        ("bench", "forward", "--block", "0"),
        ("bench", "forward", "--block", "many"),
        ("bench", "forward", "--seconds", "-5"),
        ("bench", "performance", "--only", "nothing"),
        ("schema", "song"),
        ("cv",),
        ("cv", "calibrate", DEMO, "pitch"),
        ("cv", "calibrate", DEMO, "pitch", "--input", "("),
        ("cv", "calibrate", DEMO, "no such", "--input", "1"),
        ("gig", "--minutes", "nan"),
        ("gig", "--minutes", "0"),
        ("gig", "--minutes", "-2"),
        ("rig", "--device", "["),
        ("launchpad",),
        ("launchpad", "emulate", "--port", "99999"),
        ("launchpad", "emulate", "--seconds", "nan"),
        ("launchpad", "restore", "("),
        ("soundcheck", DEMO, "--level", "3"),
        ("soundcheck", DEMO, "--only", "dancing"),
    ],
    ids=" ".join,
)
def test_wrong_words_are_wrong_usage(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert said(capsys, *words)[0] == 2


@pytest.mark.parametrize("name", ["my gig", "a/b", "\N{TRUMPET}", "*", "", "x" * 300])
def test_any_name_may_be_asked_for(
    place: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for command in ("status", "reload"):
        code, error = said(capsys, command, "--name", name)
        assert code == 1
        assert "no performance is running" in error


def test_a_run_without_any_device_ends_in_one_object(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervisor, "_watch", lambda self, end: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # pytest keeps its own
    assert cli.main(["run", DEMO, "--no-rig", "--json", "--name", "my gig"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["callbacks"], facts["session"]) == (0, None)


def test_a_demo_whose_workers_never_start_says_so(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> None:
        raise OfflineError("no stem within 300 s")

    monkeypatch.setattr(Offline, "run", run)
    code, error = said(capsys, "demo", "--render", "--session", str(place / "demo"))
    assert code == 1
    assert "no stem within" in error


def test_the_doctor_says_one_object(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine import cli_doctor as doctor

    checks = [Check("ears", Status.OK, "two"), Check("hands", Status.WARN, "one", "find it")]
    monkeypatch.setattr(doctor, "report", lambda: checks)
    assert cli.main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["worst"] == "warn"
    assert [c["name"] for c in told["checks"]] == ["ears", "hands"]

"""Risk: set-up stops without saying what to do, changes a system it may not, or fetches CUDA."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"


def stub(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout with the script alone, and an apt-get that must not be called."""
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "setup.sh", tmp_path / "requirements")
    stub(tmp_path / "tools" / "apt-get", f"echo called > {tmp_path}/apt-was-called; exit 1")
    return tmp_path


def setup(copy: Path, *args: str, path: str = "", **env: str) -> tuple[int, str]:
    done = subprocess.run(
        ["/bin/sh", str(copy / "requirements" / "setup.sh"), *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": path or f"{copy / 'tools'}:{os.environ['PATH']}", "HOME": str(copy), **env},
    )
    assert not (copy / "apt-was-called").exists()
    return done.returncode, done.stderr


def test_an_unknown_level_is_refused(copy: Path) -> None:
    code, said = setup(copy, "everything")
    assert code == 1
    assert "found 'everything', expected base, test or bench" in said


def test_an_old_python_is_named(copy: Path) -> None:
    stub(copy / "tools" / "old", '[ "$1" = --version ] || exit 1; echo Python 3.9.2')
    code, said = setup(copy, PYTHON=str(copy / "tools" / "old"))
    assert code == 1
    assert "found Python 3.9.2, expected Python 3.11 or newer" in said
    assert not (copy / ".venv").exists()


def test_who_is_not_root_is_told_the_one_line(copy: Path) -> None:
    tools = copy / "tools"
    for name in ("dirname", "grep", "true", "false", "test", "ldconfig"):
        found = shutil.which(name, path=os.environ["PATH"] + ":/sbin:/usr/sbin")
        assert found, name
        (tools / name).symlink_to(found)
    stub(tools / "python3", "exit 0")
    stub(tools / "id", "echo 1000")
    stub(tools / "cc", "exit 0")
    code, said = setup(copy, "test", path=str(tools))
    assert code == 1
    (line,) = [line for line in said.splitlines() if "sudo" in line]
    assert line.strip().startswith("sudo apt-get install --no-install-recommends ")
    packages = line.split("--no-install-recommends ")[1].split()
    assert {"jackd2", "sox", "systemd"} <= set(packages)
    assert not {"gcc", "python3-venv", "ecasound"} & set(packages)
    assert not (copy / ".venv").exists()


@pytest.fixture
def environment(copy: Path) -> Path:
    """A .venv of stubs: uv writes down how it was called."""
    stub(copy / "tools" / "id", "echo 1000")
    binaries = copy / ".venv" / "bin"
    answers = f'*"pip config list") cat {copy}/pip-config;; *version_info?:2*) echo {TAG};;'
    stub(binaries / "python", f'case "$*" in {answers} esac')
    stub(binaries / "uv", f'echo "links=$UV_FIND_LINKS $*" >> {copy}/uv-calls')
    return copy


def calls(environment: Path, **env: str) -> list[str]:
    (environment / "uv-calls").unlink(missing_ok=True)
    code, said = setup(environment, PYTHON=sys.executable, **env)
    assert code == 0, said
    return (environment / "uv-calls").read_text().splitlines()


def test_a_wheel_in_pips_find_links_is_what_uv_gets(environment: Path) -> None:
    wheels = environment / "wheels"
    wheels.mkdir()
    machine = platform.machine()
    for version, tag in (("2.12.1", TAG), ("2.13.0", TAG), ("2.14.0", "cp27")):
        (wheels / f"torch-{version}+cpu-{tag}-{tag}-manylinux_2_28_{machine}.whl").touch()
    config = f"global.cert='/x'\n:env:.find-links='\\n/nowhere\\n{wheels}'\n"
    (environment / "pip-config").write_text(config)
    for call in calls(environment):
        assert call.startswith(f"links={wheels} pip install")
        assert "--torch-backend" not in call
        assert "--constraint .venv/torch-version.txt" in call
    assert (environment / ".venv" / "torch-version.txt").read_text() == "torch==2.13.0+cpu\n"


@pytest.mark.parametrize(
    ("torch", "backend"), [("cpu", "cpu"), ("cuda", "cu130"), ("rocm", "rocm7.2"), ("cu126",) * 2]
)
def test_without_such_a_wheel_uv_takes_the_backend(
    environment: Path, torch: str, backend: str
) -> None:
    (environment / "pip-config").write_text("global.find-links='/nowhere'\n")
    for call in calls(environment, TORCH=torch):
        assert call.startswith("links= pip install")
        assert f"--torch-backend {backend} " in call
    assert (environment / ".venv" / "torch-version.txt").read_text() == ""

"""Risk: a unit that systemd refuses, or that quietly loses a directive the design asks for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.supervisor import FADE_OUT_S, STOP_S

UNITS = Path(__file__).parent.parent / "systemd"
WANTED = {
    "Type": "notify",
    "NotifyAccess": "main",
    "WatchdogSec": "10s",
    "TimeoutStartSec": "180",
    "TimeoutStopSec": "10",
    "Restart": "always",
    "RestartSec": "500ms",
    "KillMode": "mixed",
    "LimitRTPRIO": "95",
    "LimitMEMLOCK": "infinity",
    "LimitRTTIME": "infinity",
    "OOMPolicy": "continue",
    "StateDirectory": "segue",
    "RuntimeDirectory": "segue",
    "NoNewPrivileges": "true",
    "LockPersonality": "true",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "StartLimitIntervalSec": "0",
    "ExecStopPost": "-@SEGUE@/.venv/bin/segue launchpad restore",
}
SYSTEM = {
    "OOMScoreAdjust": "-800",
    "SupplementaryGroups": "audio",
    "ProtectSystem": "strict",
    "PrivateTmp": "true",
    "ProtectKernelModules": "true",
    "ProtectKernelLogs": "true",
    "ProtectControlGroups": "true",
    "After": "sound.target",
}
HARMFUL = (
    "ProtectClock",
    "PrivateDevices",
    "RestrictRealtime",
    "MemoryDenyWriteExecute",
    "DynamicUser",
    "CPUSchedulingPolicy",
)


def settings(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the command at the place that the units name."""
    command = tmp_path / ".venv" / "bin" / "segue"
    command.parent.mkdir(parents=True)
    command.symlink_to(sys.executable)
    return tmp_path


def verify(unit: str, text: str, folder: Path) -> tuple[int, str]:
    tool = shutil.which("systemd-analyze")
    assert tool, "systemd-analyze is missing: run `make test`, which installs it"
    path = folder / "segue.service"
    path.write_text(text)
    user = ["--user"] if unit.startswith("user/") else []
    done = subprocess.run(
        [tool, *user, "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
    )
    return done.returncode, done.stdout + done.stderr


def filled_in(unit: str, checkout: Path) -> str:
    return (UNITS / unit).read_text().replace("@SEGUE@", str(checkout)).replace("@USER@", "root")


@pytest.mark.parametrize("unit", ["segue.service", "user/segue.service"])
def test_systemd_accepts_the_unit(unit: str, checkout: Path) -> None:
    text = filled_in(unit, checkout)
    assert "@" not in text
    assert verify(unit, text, checkout) == (0, "")
    # The same tool tells what is wrong: silence above means something.
    assert "Watchdoggy" in verify(unit, text.replace("WatchdogSec", "Watchdoggy"), checkout)[1]


@pytest.mark.parametrize(
    ("unit", "wanted"), [("segue.service", WANTED | SYSTEM), ("user/segue.service", WANTED)]
)
def test_the_unit_says_what_the_design_asks_for(unit: str, wanted: dict[str, str]) -> None:
    found = settings((UNITS / unit).read_text())
    assert {key: found.get(key) for key in wanted} == wanted
    assert not found.keys() & set(HARMFUL)
    stages = 3  # players and models, the sound with its fade, the recorder
    assert float(found["TimeoutStopSec"]) > stages * STOP_S + FADE_OUT_S

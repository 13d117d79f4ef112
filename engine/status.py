"""`segue status`: how a running performance is, read from its shared folder and its conductor."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.patch import source_names
from engine.shm import STAGES, Shared, running

ROWS = 20_000  # of the ledger, at most: under a minute


class StatusError(Exception):
    """No performance, or several."""


def status_of(name: str | None) -> dict[str, Any]:
    """Facts as JSON values. Raises StatusError."""
    folders = running(name)
    if not folders:
        raise StatusError("no performance is running here; `segue run PATCH` starts one")
    if len(folders) > 1:
        names = ", ".join(f.name for f in folders)
        raise StatusError(f"several are running ({names}); say which with --name")
    shared = Shared.open(folders[0])
    return {
        "folder": str(folders[0]),
        "patch": shared.patch.name,
        "audio": _audio(shared),
        "processes": _processes(shared),
        "ledger": _ledger(shared),
        "levels": _levels(shared),
        "conductor": _conductor(folders[0] / "control.sock"),
    }


def _audio(shared: Shared) -> dict[str, Any]:
    clock = shared.clock()
    if clock is None:
        return {"phase": "starting"}
    facts: dict[str, Any] = {
        "phase": clock.phase.name.lower(),
        "frame": clock.t,
        "rate": clock.rate,
        "block": clock.block,
        "blocks": clock.callbacks,
        "gap_frames": clock.gap_frames,
        "missed": clock.missed,
        "dry": clock.dry,
    }
    path = shared.file("audio.json")
    if path.exists():
        device = json.loads(path.read_text())
        keys = ("name", "host", "missing", "realtime", "memory_locked")
        facts.update({k: device[k] for k in keys})
    return facts


def _processes(shared: Shared) -> dict[str, float | None]:
    """Seconds since each process' last life sign; None: not started."""
    now = time.monotonic_ns()
    beats = {n: int(shared.heartbeats[i]) for i, n in enumerate(shared.names)}
    return {n: round(max(0, now - b) / 1e9, 3) if b else None for n, b in beats.items()}


def _ledger(shared: Shared) -> dict[str, Any]:
    count = int(shared.ledger_count[0])
    if not count:
        return {}
    size = len(shared.ledger)
    rows = shared.ledger[np.arange(max(0, count - min(ROWS, size)), count) % size]
    period_us = float(rows["frames"][-1]) / shared.patch.audio.rate * 1e6
    cpu = rows["cpu_ns"] / 1000.0
    stages = {
        stage: {
            "p50": round(float(np.percentile(rows["stages"][:, i] / 1000.0, 50)), 1),
            "p99": round(float(np.percentile(rows["stages"][:, i] / 1000.0, 99)), 1),
        }
        for i, stage in enumerate(STAGES)
    }
    return {
        "period_us": round(period_us, 1),
        "cpu_us": {f"p{q}": round(float(np.percentile(cpu, q)), 1) for q in (50, 99, 99.9)},
        "worst_us": round(float(cpu.max()), 1),
        "late": int((rows["late_us"] > 0).sum()),
        "stages_us": stages,
    }


def _levels(shared: Shared) -> dict[str, float]:
    record = shared.sections["levels"].read()
    if record is None:
        return {}
    peaks = record[0]["sources"]
    return {
        name: round(float(20 * np.log10(max(float(peaks[i]), 1e-6))), 1)
        for i, name in enumerate(source_names(shared.patch))
    }


def _conductor(path: Path) -> dict[str, Any] | None:
    with (
        contextlib.suppress(OSError, ValueError),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s,
    ):
        s.settimeout(1.0)
        s.connect(str(path))
        s.sendall(b'{"do": "status"}\n')
        data = b""
        while not data.endswith(b"\n") and (part := s.recv(65536)):
            data += part
        answer: dict[str, Any] = json.loads(data)
        return answer
    return None


def as_text(facts: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{facts['patch']}  ({facts['folder']})", ""]
    for key in ("audio", "processes"):
        lines.append(key)
        lines += [f"  {k:<16} {v}" for k, v in facts[key].items()]
    lines.append("levels, dBFS peak")
    lines += [f"  {k:<24} {v:7.1f}" for k, v in facts["levels"].items()]
    if facts["ledger"]:
        lines.append("ledger, microseconds a block")
        lines += [f"  {k:<16} {v}" for k, v in facts["ledger"].items() if k != "stages_us"]
        lines += [f"    {k:<14} {v}" for k, v in facts["ledger"]["stages_us"].items()]
    conductor = facts["conductor"]
    if conductor is None:
        lines.append("conductor does not answer")
    else:
        lines.append("conductor")
        lines += [f"  {k:<16} {v}" for k, v in conductor.items() if k != "stems"]
        for stem in conductor["stems"]:
            lines.append(f"    stem {stem['id']:<4} {stem['role']:<10} {stem['state']}")
    return "\n".join(lines)

"""`segue status`: how a running performance is, read from its shared folder and its conductor."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine import ledger
from engine.control_socket import ask_conductor
from engine.inserts import late_frames
from engine.plugin_proof import proof_of
from engine.shm import Shared
from engine.shm_folder import running, told
from engine.sources import pedals_of, source_names


class StatusError(Exception):
    """No performance, or several."""


def status_of(name: str | None) -> dict[str, Any]:
    """Facts as JSON values. Raises StatusError."""
    folder = the_one(name)
    try:
        shared = Shared.open(folder)
    except (OSError, ValueError):
        raise StatusError(f"{told(folder)} is only just starting, or has ended") from None
    return {
        "folder": str(folder),
        "patch": shared.patch.name,
        "audio": _audio(shared),
        "recording": _recording(shared),
        "inserts": _inserts(shared),
        "processes": _processes(shared),
        "ledger": ledger.figures(ledger.recent(shared), shared.patch.audio.rate),
        "levels": _levels(shared),
        "conductor": ask_conductor(folder, {"do": "status"}, 1.0),
    }


def the_one(name: str | None) -> Path:
    """The folder of the performance that is meant. Raises StatusError."""
    folders = running(name)
    if not folders:
        raise StatusError("no performance is running here; `segue run PATCH` starts one")
    if len(folders) > 1:
        names = ", ".join(told(f) for f in folders)
        raise StatusError(f"several are running ({names}); say which with --name")
    return folders[0]


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
        keys = ("name", "host", "missing", "realtime", "memory_locked", "cores_awake")
        facts.update({k: device[k] for k in keys})
    return facts


def _recording(shared: Shared) -> str:
    """Where to, or why not."""
    session = shared.meta.get("session")
    if not session:
        return "no: started without --session"
    said = shared.file("recorder.json")
    with contextlib.suppress(OSError, ValueError, KeyError):
        if stopped := json.loads(said.read_text())["stopped"]:
            return f"stopped: {stopped}"
    return str(session)


def _inserts(shared: Shared) -> dict[str, str]:
    """Each strip's plug-in or pedal, and how late the strip is with it."""
    clock, patch = shared.played(), shared.patch
    rate = clock.rate if clock is not None else float(patch.audio.rate)
    block = clock.block if clock is not None else patch.audio.block
    found = {}
    for word, (name, given) in enumerate(shared.meta.get("inserts", {}).items(), start=1):
        found[name] = proof_of(given).in_words(rate, block)
        if strikes := int(shared.insert_words[word]):
            found[name] += f"; {strikes} audio processes ended in it"
    state = shared.sections["state"].read()
    for i, (name, insert) in enumerate(pedals_of(patch).items()):
        there = state is not None and state[0]["pedals"][i]["there"]
        how = (
            f"{late_frames(patch, insert, rate)} frames late"
            if there
            else "nothing comes back: dry"
        )
        found[f"input.{name}"] = f"pedal on {insert.send}, {insert.returns}: {how}"
    return found


def _processes(shared: Shared) -> dict[str, float | None]:
    """Seconds since each process' last life sign; None: not started, or off for good."""
    now = time.monotonic_ns()
    beats = {n: int(shared.heartbeats[i]) for i, n in enumerate(shared.names)}
    return {n: round(max(0, now - b) / 1e9, 3) if b else None for n, b in beats.items()}


def _levels(shared: Shared) -> dict[str, float]:
    record = shared.sections["levels"].read()
    if record is None:
        return {}
    peaks = record[0]["sources"]
    return {
        name: round(float(20 * np.log10(max(float(peaks[i]), 1e-6))), 1)
        for i, name in enumerate(source_names(shared.patch))
    }


def as_text(facts: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{facts['patch']}  ({facts['folder']})", f"recording  {facts['recording']}", ""]
    for key in ("audio", "processes"):
        lines.append(key)
        lines += [f"  {k:<16} {'-' if v is None else v}" for k, v in facts[key].items()]
    if facts["inserts"]:
        lines.append("inserts")
        lines += [f"  {k:<16} {v}" for k, v in facts["inserts"].items()]
    lines.append("levels, dBFS peak")
    lines += [f"  {k:<24} {v:7.1f}" for k, v in facts["levels"].items()]
    if facts["ledger"]:
        lines.append("ledger, microseconds a block")
        lines += [f"  {k:<16} {v}" for k, v in facts["ledger"].items() if k != "stages_us"]
        lines += ledger.as_lines(facts["ledger"]["stages_us"])
    conductor = facts["conductor"]
    if conductor is None:
        lines.append("conductor does not answer")
    else:
        lines.append("conductor")
        lines += [f"  {k:<16} {v}" for k, v in conductor.items() if k != "stems"]
        for stem in conductor["stems"]:
            lines.append(f"    stem {stem['id']:<4} {stem['role']:<10} {stem['state']}")
    return "\n".join(lines)

"""What a session was made with: replay is bit for bit on the same build and CPU family."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from pathlib import Path

from engine import _kernel  # type: ignore[attr-defined]
from engine.layout import ADMITTED, COMMAND, NOTE, SAFE
from engine.state import STATE

PACKAGES = ("segue", "numpy", "tinysoundfont", "pedalboard")


def layout_hash() -> str:
    """Of every record that a session holds in binary form."""
    text = repr([d.descr for d in (ADMITTED, COMMAND, NOTE, SAFE, STATE)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cpu_family() -> str:
    """As Linux names it, e.g. "GenuineIntel 6 85"; else the machine's architecture."""
    wanted = ("vendor_id", "cpu family", "model")
    found: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in wanted:
                found.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return " ".join(found.values()) or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """Of segue, its kernel, Python, the packages that make sound, and the CPU family."""
    kernel = hashlib.sha256(Path(_kernel.__file__).read_bytes()).hexdigest()[:16]
    return {
        **{p: _version(p) for p in PACKAGES},
        "kernel": kernel,
        "python": platform.python_version(),
        "cpu": cpu_family(),
    }

"""VST3 plug-ins for tests, real ones: tests/plugin.c, compiled once, under the name of what each
shall do."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("plugin.c")


def compile_plugin(folder: Path) -> Path:
    """The shared object."""
    made = folder / "plugin.so"
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(made), str(SOURCE), "-lm"]
    subprocess.run(command, check=True, capture_output=True)
    return made


def bundle(library: Path, folder: Path, name: str) -> Path:
    """A VST3 bundle that does what `name` says (see plugin.c)."""
    at = folder / f"{name}.vst3"
    inside = at / "Contents" / f"{platform.machine()}-linux"
    inside.mkdir(parents=True, exist_ok=True)
    shutil.copy(library, inside / f"{name}.so")
    return at

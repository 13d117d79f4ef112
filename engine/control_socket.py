"""Asking the conductor over `control.sock`, one JSON object a line each way (answered in
engine/conductor_process.py). Blocks; not real-time safe."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from typing import Any


def ask_conductor(folder: Path, message: dict[str, Any], wait_s: float) -> dict[str, Any] | None:
    """Its answer to a message; None: it gave none within wait_s. folder: the performance's."""
    with (
        contextlib.suppress(OSError, ValueError),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s,
    ):
        s.settimeout(wait_s)
        s.connect(str(folder / "control.sock"))
        s.sendall(json.dumps(message).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n") and (part := s.recv(65536)):
            data += part
        answer: dict[str, Any] = json.loads(data)
        return answer
    return None

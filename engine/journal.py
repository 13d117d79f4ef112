"""The conductor's memory outside itself: its state (one file, replaced whole) and the log (one line
an event, with its frame). Written by the conductor only.

The state lies in the shared folder, so a restarted conductor finds it and a restarted machine does
not. The log lies in the session's folder where there is one, else beside the state.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

log = logging.getLogger("segue.journal")


class Journal:
    def __init__(self, folder: Path, session: Path | None) -> None:
        self._state = folder / "conductor.json"
        path = (session or folder) / "log.jsonl"
        try:
            path.open("a").close()
        except OSError as error:
            log.warning("no log: %s", error)
            path = Path(os.devnull)
        self._log = path.open("a", encoding="utf-8")
        self._last = ""
        self._full = False

    def load(self) -> dict[str, Any] | None:
        """What a predecessor left, or None. Unreadable: said, and begun anew."""
        if not self._state.exists():
            return None
        try:
            saved = json.loads(self._state.read_text())
        except ValueError as error:
            log.error("journal %s cannot be read (%s); beginning anew", self._state, error)
            return None
        return saved if isinstance(saved, dict) else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state, if it has changed."""
        text = json.dumps(state)
        if text == self._last:
            return
        temporary = self._state.with_suffix(".new")
        try:
            temporary.write_text(text)
            os.replace(temporary, self._state)
        except OSError as error:
            self._warn("the state", error)
            return
        self._last = text

    def write(self, event: dict[str, Any]) -> None:
        """One line, flushed. A full disk stops the log with a warning and nothing else."""
        try:
            self._log.write(json.dumps(event) + "\n")
            self._log.flush()
            self._full = False
        except OSError as error:
            self._warn("the log", error)

    def _warn(self, what: str, error: OSError) -> None:
        """Once, until something can be written again."""
        if not self._full:
            log.warning("%s cannot be written: %s", what, error)
        self._full = True

    def close(self) -> None:
        self._log.close()

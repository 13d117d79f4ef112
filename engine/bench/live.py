"""`segue run` on a private JACK server, for measurements: started, asked over its socket, its log
and ledger read, ended by its process id.

    with JackServer() as server, Live(server, patch, folder) as segue:
        segue.wait_sound()
        segue.act("next_scene")

Frames of its log are the server's. One thread; not real-time safe.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.bench.child import end_process
from engine.bench.forward import LedgerReader
from engine.bench.jackd import JackServer, wait_until
from engine.control_socket import ask_conductor
from engine.shm import Shared
from engine.shm_folder import complete, running

PATIENCE_S = 120.0
END_S = 20.0
ANSWER_S = 60.0  # a reload is checked in a process of its own


class LiveError(RuntimeError):
    """It did not come to what was waited for; says what, and what segue said last."""


class Live:
    """patch: a file. folder: its session and what it says. words: further arguments of `run`."""

    def __init__(
        self, server: JackServer, patch: Path, folder: Path, words: Sequence[str] = ()
    ) -> None:
        self.name = server.name
        self.session, self._said = folder / "session", folder / "said.txt"
        self._log = self.session / "log.jsonl"
        self._events: list[dict[str, Any]] = []
        self._read = 0
        self._env = server.env
        self._shared: Shared | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", "engine.cli", "run", str(patch), "--name", self.name]
        self._command += ["--session", str(self.session), *words]

    def __enter__(self) -> Live:
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        end_process(self._process, END_S)

    # ---- looking

    @property
    def shared(self) -> Shared:
        """Its shared folder; waits for it."""
        if self._shared is None:
            self.wait(lambda: any(map(complete, running(self.name))), "start")
            self._shared = Shared.open(running(self.name)[0])
        return self._shared

    @property
    def frame(self) -> int:
        return self.shared.now()

    def wait_sound(self) -> None:
        self.wait(lambda: self.shared.timeline() is not None, "play")

    def wait(self, true: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
        """Until it holds. Raises LiveError when it does not, or segue ends."""

        def settled() -> bool:
            ended = self._process is not None and self._process.poll() is not None
            return ended or bool(true())

        if not wait_until(settled, seconds) or not true():
            said = self._said.read_text(errors="replace")[-400:]
            raise LiveError(f"segue did not {what} within {seconds:g} s; it said: {said}")

    def wait_frame(self, frame: int) -> None:
        rate = self.shared.patch.audio.rate
        left = max(0.0, (frame - self.frame) / rate)
        self.wait(lambda: self.frame >= frame, "play on", left + PATIENCE_S)

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """The log so far, of these kinds (all where none is named)."""
        if self._log.exists():
            with self._log.open("rb") as file:
                file.seek(self._read)
                whole = file.read()
            whole = whole[: whole.rfind(b"\n") + 1]
            self._read += len(whole)
            self._events += [json.loads(line) for line in whole.splitlines()]
        return [e for e in self._events if not kinds or e["event"] in kinds]

    def ledger(self) -> LedgerReader:
        """A reader of its ledger, from now on; read it often."""
        count = self.shared.ledger_count
        return LedgerReader(count, self.shared.ledger, int(count[0]))

    # ---- acting

    def ask(self, **message: object) -> dict[str, Any]:
        """One line to the conductor and its answer. Raises LiveError when there is none."""
        folder = self.shared.folder
        assert folder is not None
        answer = ask_conductor(folder, message, ANSWER_S)
        if answer is None:
            raise LiveError("the conductor did not answer")
        return answer

    def act(self, name: str, **words: object) -> str:
        """What was done, or why it was not."""
        answer = self.ask(do="act", name=name, **words)
        return str(answer.get("said") or answer.get("error"))

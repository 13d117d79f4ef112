"""The gig's stage: a JACK server, the clients that stand in for the interface, and segue itself.

Everything is started here and stopped by its process id, on an error too. One thread; not real-time
safe.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from devices.audio.jack_clock import JackClock
from engine.bench.jackd import JackServer
from engine.bench.native import Witness
from engine.control_socket import ask_conductor
from engine.gig.hands import Keyboard, Pads
from engine.gig.judge_misses import LONG
from engine.ledger import LedgerCursor
from engine.patch import CAPTURE_MAKER
from engine.shm import Shared
from engine.shm_folder import complete, running

PATCHES = Path(__file__).resolve().parents[2] / "patches"
STOP_S = 12.0
ANSWER_S = 1.0
HEARD = 14  # channels captured: main left and right, buses, voltages; see engine/gig/hearing.py
READY_S = 90.0  # models load; then the night begins without what is not there
LOOK_S = 0.5
FRESH_S = 1.0  # a process whose last life sign is older still loads something
log = logging.getLogger("segue.gig")


class GigError(RuntimeError):
    """The night could not take place; says why."""


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """This process's environment with these values: libjack and rtmidi read it in C."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def pids_of(module: str, folder: Path) -> list[int]:
    """Processes that run a module of segue's for a performance."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if module in words and str(folder) in words:
            found.append(int(path.parent.name))
    return found


@dataclass
class Missed:
    """Segue's own misses. frames: first frames of cycles that were late by its own clock, or never
    processed; long: of those that took over half of a period themselves. cycles: in all."""

    frames: list[int] = field(default_factory=list)
    cycles: int = 0
    long: list[int] = field(default_factory=list)


def missed_in(rows: np.ndarray) -> list[int]:
    """First frames of the cycles missed, from rows of the ledger in order."""
    late = rows["frame"][rows["late_us"] > 0].tolist()
    ends = rows["frame"][:-1] + rows["frames"][:-1]
    skipped = [
        frame
        for end, begin, n in zip(ends, rows["frame"][1:], rows["frames"][:-1], strict=True)
        for frame in range(int(end), int(begin), int(n))
    ]
    return sorted({*late, *skipped})


class Segue:
    """One `segue run`, in a process of its own."""

    def __init__(
        self, server: JackServer, patch: Path, name: str, folder: Path, words: Sequence[str] = ()
    ) -> None:
        self.name, self.folder = name, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / "stderr.txt"
        setpriv = shutil.which("setpriv")  # it does not outlive a gig that is killed
        command = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        command += [sys.executable, "-m", "engine.cli", "run", str(patch), *words]
        command += ["--session", str(folder), "--name", name, "--keep-dry"]
        with self.log_path.open("wb") as said:
            self.process = subprocess.Popen(
                command,
                env=server.env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        self._shared: Shared | None = None
        self._cursor: LedgerCursor | None = None
        self._rows: list[np.ndarray] = []

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def shared_folder(self) -> Path | None:
        """Where its shared memory is, once it is there."""
        folders = running(self.name)
        return folders[0] if folders else None

    def look(self) -> None:
        """Read on in its ledger, which keeps eleven minutes; nothing while it is not there."""
        if self._cursor is None:
            folder = self.shared_folder()
            if folder is None or not complete(folder):
                return
            self._shared = Shared.open(folder)
            self._cursor = LedgerCursor(self._shared)
        rows = self._cursor.take()
        if len(rows):
            self._rows.append(rows)

    def missed(self) -> Missed:
        """What it counted from its beginning on; nothing when it was never there."""
        self.look()
        clock = None if self._shared is None else self._shared.clock()
        if clock is None or not self._rows:
            return Missed()
        rows = np.concatenate(self._rows)
        np.save(self.folder / "ledger.npy", rows)
        period_ns = rows["frames"] / clock.rate * 1e9
        long = rows["frame"][(rows["late_us"] > 0) & (rows["wall_ns"] > LONG * period_ns)]
        return Missed(missed_in(rows), clock.callbacks, long.tolist())

    def ready(self) -> bool:
        """Every process lives, and every role that something is made for has a stem."""
        folder = self.shared_folder()
        if folder is None or not complete(folder):
            return False
        shared = Shared.open(folder)
        beats = dict(zip(shared.names, shared.heartbeats.tolist(), strict=False))
        players = [f"player.{name}" for name in shared.patch.players]
        oldest = min(beats[name] for name in ("audio", "midi", "conductor", *players))
        if time.monotonic_ns() - oldest > FRESH_S * 1e9:  # 0: not there yet
            return False
        status = ask_conductor(folder, {"do": "status"}, ANSWER_S)
        made = {s["role"] for s in (status or {}).get("stems", []) if s["state"] != "requested"
                and s["state"] != "generating"}  # fmt: skip
        wanted = {n for n, r in shared.patch.roles.items() if r.maker != CAPTURE_MAKER}
        return status is not None and wanted <= made

    def kill_part(self, module: str) -> bool:
        """SIGKILL to one of its processes; False when there is none."""
        folder = self.shared_folder()
        pids = pids_of(module, folder) if folder else []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(pids)

    def ask_to_end(self) -> None:
        if not self.ended:
            self.process.terminate()

    def end(self) -> None:
        """Wait until it has ended; kill it when it does not."""
        self.ask_to_end()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()[-6:]
        return " | ".join(lines) or "it wrote nothing"


class Stage:
    """Server, interface, hands. `first`: the JACK frame of the night's frame 0, once it has begun.
    heard: how many
    channels are captured."""

    def __init__(self, rate: int, played: np.ndarray, folder: Path, heard: int = HEARD) -> None:
        self._stack = contextlib.ExitStack()
        self.rate, self.folder = rate, folder
        self._runs: list[Segue] = []
        try:
            self.server = self._stack.enter_context(JackServer(rate=rate))
            self._stack.enter_context(
                environment({k: self.server.env[k] for k in ("JACK_DEFAULT_SERVER",)})
            )
            self._stack.enter_context(environment({"JACK_NO_START_SERVER": "1"}))
            try:
                self.clock = JackClock("gig-clock")
            except OSError as error:
                raise GigError(f"the night's own JACK server does not answer: {error}") from error
            self._stack.callback(self.clock.close)
            self.native = self._stack.enter_context(
                Witness(self.server, name="native", capture=False, folder=folder)
            )
            self.first: int | None = None
            self.interface = self._stack.enter_context(
                Witness(
                    self.server,
                    name="stage",
                    inputs=["-"] * heard,
                    outputs=["-"] * played.shape[1],
                    play=played,
                    hold=True,
                    folder=folder,
                )
            )
            self.pads = Pads()
            self._stack.callback(self.pads.close)
            self.keyboard = Keyboard()
            self._stack.callback(self.keyboard.close)
        except BaseException:
            self.close()
            raise

    @property
    def frame(self) -> int:
        """The night's frame now; only after begin()."""
        assert self.first is not None
        return self.clock.frame() - self.first

    @property
    def seconds(self) -> float:
        """The server's clock: what the pads' lights are dated by."""
        return self.clock.frame() / self.rate

    def begin(self, segue: Segue) -> None:
        """Wait until all of segue is there, then let the band play: the night's frame 0."""
        patience = time.monotonic() + READY_S
        while not segue.ready():
            if segue.ended:
                raise GigError(f"segue run ended by itself: {segue.tail()}")
            if time.monotonic() > patience:
                log.warning("segue is not all there after %g s; the band begins", READY_S)
                break
            until = time.monotonic() + LOOK_S
            while time.monotonic() < until:
                self.pads.look(self.seconds)
                wait_to(LOOK_S)
        self.first = self.interface.begin()

    def start_segue(self, patch: Path, name: str, words: Sequence[str] = ()) -> Segue:
        """words: further arguments of `segue run`."""
        run = Segue(self.server, patch, name, self.folder / name, words)
        self._runs.append(run)
        return run

    def check(self) -> None:
        """Raise GigError when the server or the interface has gone."""
        self.server.pid  # noqa: B018  raises when it does not run
        process = self.interface.process
        if process is None or process.poll() is not None:
            raise GigError("the client that stands in for the interface has ended")

    def close(self) -> None:
        """End everything, segue first, the server last."""
        for run in self._runs:
            run.ask_to_end()
        for run in self._runs:
            run.end()
        self._runs.clear()
        self._stack.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_to(seconds: float) -> None:
    """Sleep so long, a few milliseconds at most: the pads have to be looked at."""
    time.sleep(min(max(seconds, 0.0005), 0.005))

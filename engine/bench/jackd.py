"""A private JACK server with the dummy driver, for tests and benchmarks.

    with JackServer(inputs=4, outputs=8) as server:
        subprocess.Popen([...], env=server.env)
        server.connect("segue:out_1", "witness:in_1")

Every server has a name of its own, so any number (JACK's limit is 8 a machine) run side by side.
Not thread-safe; start it from the main thread (the server dies with the thread that started it).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.bench.child import end_process

START_SECONDS = 10.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02
ANSWER_SECONDS = 10.0

_numbers = itertools.count(1)


class JackError(RuntimeError):
    """The server, a port or a JACK tool is missing or refused; says what to do."""


def need_tool(name: str, package: str) -> str:
    """Return the path of a program, or raise JackError naming the Debian package that holds it."""
    path = shutil.which(name)
    if path is None:
        raise JackError(f"{name} not found on PATH; install Debian's {package}")
    return path


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Poll until true() or the time is over; returns whether it became true."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


REGISTRY = Path("/dev/shm/jack-shm-registry")


def dead_places(registry: bytes) -> list[str]:
    """Names of our own servers that hold one of JACK's eight places on this machine though their
    process is gone. registry: JACK's file; a process id (4 bytes) stands before each name."""
    names = []
    for match in re.finditer(rb"jack-\d+:(segue-\d+-\d+):", registry):
        pid = int.from_bytes(registry[match.start() - 4 : match.start()], sys.byteorder)
        if not Path(f"/proc/{pid}").exists():
            names.append(match[1].decode())
    return names


def free_dead_places() -> bool:
    """End dead servers of ours in peace, by starting each name once more; whether there were any.
    A run that was killed leaves them, and with eight of them no server starts any more."""
    names = dead_places(REGISTRY.read_bytes()) if REGISTRY.exists() else []
    for name in names:
        server = JackServer(name=name)
        server._launch()
        server._end()
    return bool(names)


class JackServer:
    """jackd -R -d dummy. rate: Hz. block: frames a period. inputs, outputs: system ports."""

    def __init__(
        self,
        *,
        name: str | None = None,
        rate: int = 48000,
        block: int = 128,
        inputs: int = 2,
        outputs: int = 2,
    ) -> None:
        self.name = name or f"segue-{os.getpid()}-{next(_numbers)}"
        self.rate = rate
        self.block = block
        self.inputs = inputs
        self.outputs = outputs
        self.process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._log = Path(tempfile.mkdtemp(prefix="segue-jackd-")) / "jackd.log"
        weakref.finalize(self, shutil.rmtree, self._log.parent, ignore_errors=True)

    @property
    def env(self) -> dict[str, str]:
        """This process's environment with JACK_DEFAULT_SERVER set; clients start no server."""
        return {**os.environ, "JACK_DEFAULT_SERVER": self.name, "JACK_NO_START_SERVER": "1"}

    @property
    def pid(self) -> int:
        """The server's process id. Raises JackError when it does not run."""
        if self.process is None or self.process.poll() is not None:
            raise JackError(f"JACK server {self.name} is not running; {self.log_tail()}")
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_tail(self) -> str:
        """The last lines the server wrote."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()[-6:]
        except FileNotFoundError:
            return "it wrote nothing"
        return "it wrote: " + " | ".join(lines)

    def start(self) -> JackServer:
        """Start and wait until clients are served. Raises JackError after 10 s."""
        if self.running:
            raise JackError(f"JACK server {self.name} runs already")
        if not self._launch() and not (free_dead_places() and self._launch()):
            tail = self.log_tail()
            self.stop()
            raise JackError(f"JACK server {self.name} did not start; {tail}")
        return self

    def _launch(self) -> bool:
        command = [
            *([setpriv, "--pdeathsig", "TERM"] if (setpriv := shutil.which("setpriv")) else []),
            need_tool("jackd", "jackd2"),
            *("-R", "-n", self.name, "-d", "dummy", "-r", str(self.rate), "-p", str(self.block)),
            *("-C", str(self.inputs), "-P", str(self.outputs)),
        ]
        self._log.parent.mkdir(exist_ok=True)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        expected = self.inputs + self.outputs
        ready = wait_until(lambda: not self.running or len(self.ports()) >= expected, START_SECONDS)
        return ready and self.running

    def stop(self) -> None:
        """End the server by its process id (SIGTERM, then SIGKILL after 5 s) and remove its log.

        A server that was killed keeps one of JACK's eight places on the machine until one of its
        name ends in peace; so it is started once more for that.
        """
        if self.process is not None and not self._end() and self._launch():
            self._end()
        self.process = None
        shutil.rmtree(self._log.parent, ignore_errors=True)

    def _end(self) -> bool:
        """Reap the server; whether it ended in peace."""
        assert self.process is not None
        self._dismiss()
        end_process(self.process, STOP_SECONDS)
        return self.process.returncode != -signal.SIGKILL

    def kill(self) -> None:
        """SIGKILL and reap: what a crash of the sound server looks like to its clients."""
        self._dismiss()
        os.kill(self.pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def restart(self) -> None:
        """Start again under the same name; kills the server first when it still runs."""
        if self.running:
            self.kill()
        self.process = None
        self.start()

    def _ask(self, *request: str) -> Any:
        """Of the watcher, which is started with the first question; None where none answers."""
        if self._watcher is None or self._watcher.poll() is not None:
            self._dismiss()
            self._watcher = subprocess.Popen(
                [sys.executable, "-m", "engine.bench.jack_watcher"],
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        assert self._watcher.stdin is not None
        assert self._watcher.stdout is not None
        try:
            self._watcher.stdin.write(json.dumps(request).encode() + b"\n")
            self._watcher.stdin.flush()
            ready, _, _ = select.select([self._watcher.stdout], [], [], ANSWER_SECONDS)
            line = self._watcher.stdout.readline() if ready else b""
        except OSError:
            line = b""
        if not line:  # a dying server lets its clients hang
            self._dismiss()
            return None
        return json.loads(line)

    def _dismiss(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None

    def ports(self) -> list[str]:
        """Names of all ports; empty when the server does not answer."""
        return self._ask("ports") or []

    def connections(self) -> set[tuple[str, str]]:
        """Pairs of connected ports, each in both orders."""
        pairs = {(p, q) for p, peers in self._ask("connections") or () for q in peers}
        return pairs | {(q, p) for p, q in pairs}

    def wait_ports(self, *names: str, seconds: float = START_SECONDS) -> None:
        """Wait until all these ports exist. Raises JackError naming those that do not."""
        wanted = set(names)
        if not wait_until(lambda: wanted <= set(self.ports()), seconds):
            missing = sorted(wanted - set(self.ports()))
            raise JackError(f"JACK server {self.name}: no port {', '.join(missing)} in {seconds} s")

    def connect(self, source: str, destination: str) -> None:
        """Connect two ports; no error when they are connected already. Raises JackError."""
        if (source, destination) not in self.connections():
            said = self._ask("connect", source, destination)
            if (source, destination) not in self.connections():
                raise JackError(f"cannot connect {source} to {destination}: {said}")

    def disconnect(self, source: str, destination: str) -> None:
        """Disconnect two ports; no error when they are not connected."""
        self._ask("disconnect", source, destination)

    def __enter__(self) -> JackServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

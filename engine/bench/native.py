"""The native JACK client (engine/native/witness.c): built on demand, started, read back.

    with JackServer(inputs=2, outputs=2) as server:
        with Witness(server, inputs=["segue:out_1"], outputs=["segue:in_1"], play=sound) as witness:
            witness.wait_connected()
            ...
        heard = witness.recording()     # heard.audio[frame - heard.start, input]

Frames are those of the server (jack_last_frame_time), 64 bits, so recordings of several clients and
segue's own Timestamps on one server compare frame for frame.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.bench.jackd import JackServer

SOURCE = Path(__file__).parent.parent / "native" / "witness.c"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra")

LATE = 1  # flags of a cycle, as in witness.c
SKIPPED = 2
LOST = 4

EXIT_SERVER_DIED = 3
READY_SECONDS = 10.0
STOP_SECONDS = 10.0

CYCLE = np.dtype(
    [
        ("frame", "<i8"),
        ("wake_us", "<i8"),
        ("frames", "<u4"),
        ("flags", "<u4"),
        ("used_us", "<u4"),
        ("skipped", "<u4"),
    ]
)
HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("rate", "<u4"),
        ("block", "<u4"),
        ("inputs", "<u4"),
        ("outputs", "<u4"),
        ("state", "<u4"),
        ("locked", "<u4"),
        ("start_frame", "<i8"),
        ("play_frame", "<i8"),
        ("cycles", "<u8"),
        ("dropped", "<u8"),
    ]
)


class NativeError(RuntimeError):
    """The native client could not be built or run; says why and what to install or do."""


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/segue, or ~/.cache/segue."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "segue"


def build_witness(source: Path = SOURCE) -> Path:
    """Compile the client, unless this very source was compiled before; return the program's path.

    Raises NativeError naming the Debian package when the compiler or JACK's headers are missing.
    """
    text = source.read_bytes()
    key = hashlib.sha256(text + " ".join(FLAGS).encode()).hexdigest()[:16]
    program = cache_folder() / f"{source.stem}-{key}"
    if program.exists():
        return program
    compiler = shutil.which("cc")
    if compiler is None:
        raise NativeError("no C compiler: cc not found on PATH; install Debian's gcc")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        made = Path(folder) / source.stem
        done = subprocess.run(
            [compiler, *FLAGS, "-o", str(made), str(source), "-ljack"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            if "jack/jack.h" in done.stderr or "-ljack" in done.stderr:
                raise NativeError("JACK's headers are missing; install Debian's libjack-jackd2-dev")
            raise NativeError(f"{compiler} cannot compile {source}:\n{done.stderr.strip()}")
        made.replace(program)  # atomic: another process may build the same
    return program


@dataclass(frozen=True)
class Recording:
    """What a witness captured and logged.

    start: JACK frame of audio[0]. play_frame: JACK frame of the played file's first sample, or None
    when it never began. audio: float32 (frames, inputs), read from the file as needed; zeros in
    frames that the witness itself lost (gaps()). cycles: CYCLE records. dropped: cycles that were
    not logged. server_died: it ended because the server did.
    """

    rate: int
    block: int
    start: int
    play_frame: int | None
    audio: np.ndarray
    cycles: np.ndarray
    dropped: int
    server_died: bool

    @property
    def end(self) -> int:
        """The JACK frame after the last one processed."""
        return int(self.cycles[-1]["frame"] + self.cycles[-1]["frames"])

    def between(self, first: int, last: int) -> np.ndarray:
        """audio of JACK frames first <= f < last, (frames, inputs). Raises IndexError outside."""
        if not self.start <= first <= last <= self.start + len(self.audio):
            held = f"{self.start} to {self.start + len(self.audio)}"
            raise IndexError(f"frames {first} to {last} asked for, captured are {held}")
        return np.asarray(self.audio[first - self.start : last - self.start])

    def gaps(self) -> list[tuple[int, int]]:
        """(first frame, frames) of every stretch this witness did not capture, in order."""
        found: list[tuple[int, int]] = []
        for c in self.cycles[(self.cycles["flags"] & (SKIPPED | LOST)) != 0]:
            frame, skipped = int(c["frame"]), int(c["skipped"])
            if skipped:
                found.append((frame - skipped, skipped))
            if c["flags"] & LOST:
                found.append((frame, int(c["frames"])))
        return found

    def missed(self) -> np.ndarray:
        """First frames (int64) of the cycles this client missed: finished late, or never begun.

        Late: the server's frame counter had moved on to a later cycle before ours was finished.
        """
        late = self.cycles[(self.cycles["flags"] & LATE) != 0]["frame"]
        skipped = [
            np.arange(c["frame"] - c["skipped"], c["frame"], self.block)
            for c in self.cycles[(self.cycles["flags"] & SKIPPED) != 0]
        ]
        return np.unique(np.concatenate([late, *skipped])).astype(np.int64)


def read_recording(log: Path, capture: Path | None) -> Recording:
    """Read what a witness wrote, finished or not. Raises NativeError when it wrote nothing."""
    data = log.read_bytes()
    if len(data) < HEADER.itemsize:
        raise NativeError(f"{log}: the native client logged nothing")
    header = np.frombuffer(data[: HEADER.itemsize], HEADER)[0]
    if header["magic"] != b"SEGUEWIT" or int(header["cycles"]) == 0:
        raise NativeError(f"{log}: not a log of the native client, or it saw no cycle")
    body = data[HEADER.itemsize :][: int(header["cycles"]) * CYCLE.itemsize]
    cycles = np.frombuffer(body, CYCLE)
    inputs = int(header["inputs"])
    audio = np.zeros((0, inputs), np.float32)
    if capture is not None and inputs:
        frames = capture.stat().st_size // (4 * inputs)
        if frames:
            audio = np.memmap(capture, np.float32, "r", shape=(frames, inputs))
    began = int(header["play_frame"])
    return Recording(
        rate=int(header["rate"]),
        block=int(header["block"]),
        start=int(header["start_frame"]),
        play_frame=began if began >= 0 else None,
        audio=audio,
        cycles=cycles,
        dropped=int(header["dropped"]),
        server_died=int(header["state"]) == 2,
    )


class Witness:
    """One native client on a server. Not thread-safe.

    inputs, outputs: for each port the JACK port it is connected to (several separated by commas,
    "-" for none), which may appear later or anew. play: float32 (frames, outputs), or a file of
    such; it begins at JACK frame `play_at`, with `hold` at begin(), or else once all outputs are
    connected; loop repeats it. through: out_k repeats in_k instead. seconds: 0 until stopped.
    capture: keep the inputs. folder: where its files go (default: a temporary one, removed by
    remove()).
    """

    def __init__(
        self,
        server: JackServer,
        *,
        name: str = "witness",
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        play: np.ndarray | Path | None = None,
        play_at: int | None = None,
        hold: bool = False,
        loop: bool = False,
        through: bool = False,
        seconds: float = 0.0,
        capture: bool = True,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self._server = server
        self.folder = folder or Path(tempfile.mkdtemp(prefix="segue-witness-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        if folder is not None:
            self._sweep.detach()
        self._stem = name.replace("/", "_")  # a client may be named what no file can
        self.log = self.folder / f"{self._stem}.log"
        self.capture = self.folder / f"{self._stem}.f32" if capture and inputs else None
        self.process: subprocess.Popen[bytes] | None = None
        self.exit_code: int | None = None
        self._lines: list[str] = []
        self._partial = b""
        self._command = [str(build_witness()), "--name", name, "--log", str(self.log)]
        for peer in inputs:
            self._command += ["--in", peer]
        for peer in outputs:
            self._command += ["--out", peer]
        if self.capture is not None:
            self._command += ["--capture", str(self.capture)]
        if play is not None:
            self._command += ["--play", str(self._play_file(play, len(outputs)))]
        if play_at is not None:
            self._command += ["--play-at", str(play_at)]
        if hold:
            self._command.append("--hold")
        if loop:
            self._command.append("--loop")
        if through:
            self._command.append("--through")
        if seconds > 0:
            self._command += ["--seconds", str(seconds)]

    def _play_file(self, play: np.ndarray | Path, outputs: int) -> Path:
        if isinstance(play, Path):
            return play
        if play.ndim != 2 or play.shape[1] != outputs:
            raise ValueError(f"play has shape {play.shape}, expected (frames, {outputs})")
        path = self.folder / f"{self._stem}.play.f32"
        np.ascontiguousarray(play, dtype="<f4").tofile(path)
        return path

    def start(self) -> Witness:
        """Start and wait for its first cycle. Raises NativeError."""
        setpriv = shutil.which("setpriv")
        self.process = subprocess.Popen(
            [*([setpriv, "--pdeathsig", "TERM"] if setpriv else []), *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._server.env,
        )
        try:
            self._wait_line("ready", READY_SECONDS)
        except NativeError:
            self.remove()
            raise
        return self

    @property
    def start_frame(self) -> int:
        """JACK frame of its first cycle. Only after start()."""
        return int(self._lines[0].split()[1])

    def begin(self) -> int:
        """Play now what was held; returns the JACK frame of its first. Raises NativeError."""
        if self.process is None or self.process.poll() is not None:
            raise NativeError(f"native client {self.name} does not run")
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + READY_SECONDS
        while (frame := self.recording().play_frame) is None:
            if time.monotonic() > end:
                raise NativeError(f"native client {self.name}: not playing in {READY_SECONDS:g} s")
            time.sleep(0.01)
        return frame

    def wait_connected(self, seconds: float = READY_SECONDS) -> None:
        """Wait until every port has been connected to its peers. Raises NativeError."""
        self._wait_line("connected", seconds)

    def _wait_line(self, word: str, seconds: float) -> None:
        process = self.process
        assert process is not None
        assert process.stdout is not None
        end = time.monotonic() + seconds
        while not any(line.startswith(word) for line in self._lines):
            left = end - time.monotonic()
            if left <= 0:
                raise NativeError(f"native client {self.name}: not {word} within {seconds:g} s")
            if not select.select([process.stdout], [], [], left)[0]:
                continue
            data = os.read(process.stdout.fileno(), 4096)
            if not data:
                self.stop()
                raise NativeError(f"native client {self.name} ended: exit {self.exit_code}")
            *lines, self._partial = (self._partial + data).split(b"\n")
            self._lines += [line.decode() for line in lines]

    def wait(self, seconds: float) -> int:
        """Wait until it ends by itself; returns its exit code. Raises NativeError if it goes on."""
        assert self.process is not None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NativeError(f"native client {self.name} still runs after {seconds:g} s") from None
        return self.stop()

    def stop(self) -> int:
        """End it by its process id, reap it, return its exit code (0, or EXIT_SERVER_DIED)."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
            try:
                _, errors = self.process.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                _, errors = self.process.communicate()
            self.exit_code = self.process.returncode
            self.process = None
            if self.exit_code not in (0, EXIT_SERVER_DIED):
                said = errors.decode(errors="replace").strip()
                raise NativeError(f"native client {self.name}: exit {self.exit_code}: {said}")
        assert self.exit_code is not None
        return self.exit_code

    def recording(self) -> Recording:
        """What it captured and logged so far; complete after stop()."""
        return read_recording(self.log, self.capture)

    def remove(self) -> None:
        """Stop it and remove its files, when they are in a temporary folder (as its end would)."""
        try:
            if self.process is not None:
                self.stop()
        finally:
            self._sweep()

    def __enter__(self) -> Witness:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.stop()

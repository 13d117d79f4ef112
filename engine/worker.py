"""One worker of the pool: python -m engine.worker FD PARENT_PID [MAKER ...]

Answers one job at a time with notes and rendered audio over the inherited socket FD. Dies with its
parent, gives way to everything (nice, first to go when memory is short), and may be killed at any
moment: it keeps nothing. MAKERs named are loaded before it says hello.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import select
import signal
import socket
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from engine.adapter import AdapterError, StemMaker
from engine.pool_wire import Frame, FrameReader, notes_to_json, pack, request_from_json
from engine.process import die_with_parent
from engine.stem import FILES_MAKER, Stem, StemNote

# The batch models a job may name, and where each one's ADAPTER is found.
MAKERS = {"rules": "models.rules", "orpheus": "models.orpheus"}

NICE = 10
OOM_SCORE_ADJ = 500
MAKERS_KEPT = 8
PROGRESS_STEP = 0.05

log = logging.getLogger("worker")


def give_way(parent: int) -> None:
    """Die with the parent, yield the processor and memory to everything else."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:  # it died before prctl
        os._exit(1)
    os.nice(NICE)
    try:
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJ), encoding="ascii")
    except OSError as error:  # a container may forbid it; the worker is only less polite
        log.warning("oom_score_adj: %s", error)


def load_maker(name: str, checkpoint: str | None, rate: int, config: dict[str, Any]) -> StemMaker:
    """Import a maker's adapter and load it. Raises AdapterError."""
    if name not in MAKERS:
        raise AdapterError(f"stem maker {name!r} is unknown, expected {' or '.join(MAKERS)}")
    where = importlib.import_module(MAKERS[name]).ADAPTER
    module, _, attribute = where.partition(":")
    maker: StemMaker = getattr(importlib.import_module(module), attribute)()
    maker.load(Path(checkpoint) if checkpoint else None, rate, config)
    return maker


class Worker:
    """The worker's loop around its socket. Single-threaded."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = FrameReader()
        self.inbox: list[Frame] = []
        self.makers: OrderedDict[str, StemMaker] = OrderedDict()

    def run(self, warm: list[str]) -> None:
        """Warm up, say hello, answer jobs until the pool closes the socket."""
        # Imported here, as they take seconds at first: a job must not pay for it.
        for library in ("pyloudnorm", "tinysoundfont", "engine.stem_render"):
            importlib.import_module(library)
        for name in warm:
            try:
                load_maker(name, None, 48000, {})
            except AdapterError as error:
                log.warning("%s", error)
        self.send({"type": "hello", "pid": os.getpid()})
        while True:
            while not self.inbox:
                self.receive()
            header, _ = self.inbox.pop(0)
            if header["type"] == "job":
                self.answer(header)

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self.sock.sendall(pack(header, payload))

    def receive(self) -> None:
        """Wait for bytes; the end of the socket is the end of the worker."""
        data = self.sock.recv(1 << 16)
        if not data:
            raise SystemExit(0)
        self.inbox += self.reader.feed(data)

    def is_cancelled(self, job: int) -> bool:
        """Whether the pool has taken back a job; never waits."""
        if select.select([self.sock], [], [], 0)[0]:
            self.receive()
        return any(h["type"] == "cancel" and h["id"] == job for h, _ in self.inbox)

    def answer(self, header: dict[str, Any]) -> None:
        """One job: result, error or cancelled goes out."""
        job = int(header["id"])
        try:
            reply, payload = self.work(job, header)
        except AdapterError as error:
            if self.is_cancelled(job):
                reply = {"type": "cancelled", "id": job}
            else:
                reply = {"type": "error", "id": job, "text": str(error)[:2000]}
            payload = b""
        self.inbox = [f for f in self.inbox if f[0]["type"] != "cancel"]
        self.send(reply, payload)

    def work(self, job: int, header: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Generate and render. Raises AdapterError."""
        from engine.stem_render import render

        request = request_from_json(header["request"])
        told = 0.0

        def progress(fraction: float) -> None:
            nonlocal told
            if fraction >= told + PROGRESS_STEP:
                told = fraction
                self.send({"type": "progress", "id": job, "fraction": min(1.0, fraction)})

        begun = time.monotonic()
        if header["maker"] == FILES_MAKER:
            return self.load_file(job, header)
        maker = self.maker(header)
        notes = maker.generate(request, progress, lambda: self.is_cancelled(job))
        made = time.monotonic()
        if self.is_cancelled(job):
            raise AdapterError("stem cancelled")
        stem = render(
            request,
            notes,
            Path(header["soundfont"]),
            header["rate"],
            header["program"],
            header["drums"],
            header["tuning_hz"],
        )
        provenance = {
            "maker": header["maker"],
            "checkpoint": header["checkpoint"],
            "seed": request.seed,
            "seconds_generate": made - begun,
            "seconds_render": time.monotonic() - made,
        }
        return _result(job, stem, notes, provenance)

    def load_file(self, job: int, header: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """A stem of a folder. Raises AdapterError."""
        from engine.stem_files import load_stem

        begun = time.monotonic()
        stem = load_stem(request_from_json(header["request"]), header["config"], header["rate"])
        seconds = time.monotonic() - begun
        provenance = {"maker": FILES_MAKER, "seconds_load": seconds, **stem.provenance}
        return _result(job, stem, [], provenance)

    def maker(self, header: dict[str, Any]) -> StemMaker:
        """The loaded maker for a job; the last few stay loaded."""
        config = {**header["config"], "program": header["program"], "drums": header["drums"]}
        key = json.dumps([header["maker"], header["checkpoint"], config], sort_keys=True)
        if key not in self.makers:
            self.makers[key] = load_maker(
                header["maker"], header["checkpoint"], header["rate"], config
            )
        self.makers.move_to_end(key)
        while len(self.makers) > MAKERS_KEPT:
            self.makers.popitem(last=False)
        return self.makers[key]


def _result(
    job: int, stem: Stem, notes: list[StemNote], provenance: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    assert stem.audio is not None
    reply = {
        "type": "result",
        "id": job,
        "notes": notes_to_json(notes),
        "loudness_lufs": stem.loudness_lufs,
        "provenance": provenance,
    }
    return reply, stem.audio.astype("<f4").tobytes()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="worker: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the pool decides
    give_way(int(sys.argv[2]))
    try:
        Worker(socket.socket(fileno=int(sys.argv[1]))).run(sys.argv[3:])
    except (BrokenPipeError, ConnectionResetError):  # the pool is gone
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()

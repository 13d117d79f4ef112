"""The root process: makes the shared memory, starts, watches, kills and restarts all others.

It never touches audio. It notices a child's end at once (pidfd), a hang by its heartbeat, and a
sound server's death by the frame counter that stands still; in each case the child is killed and
reaped before its successor starts. While the audio process is away, a JACK client of ours plays the
dry inputs (devices/audio/bypass.py, handed in by the assembling command line).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engine.journal import keep_last_words
from engine.notify import notify
from engine.patch import Patch
from engine.roster import roster
from engine.shm import Shared
from engine.shm_folder import folder_for, sweep
from engine.shm_records import DRY_COVERING, DRY_MAY, AudioPhase, process_names
from engine.soundfont import remember
from engine.supervisor_child import BACKOFF_FIRST_S, Child, Life

TICK_S = 0.01
FORGIVE_S = 2.0
STALLED_S = 0.25  # between two of our own looks: it was the machine
STALL_S = 0.4  # the frame counter stands still: the sound server has gone or hangs
BACKOFF_FACTOR = 1.5
BACKOFF_MAX_S = 1.0
PATIENCE_MAX = 4.0
FEED_S = 1.0  # between two words to systemd's watchdog
HEALTHY_S = 10.0
STOP_S = 2.0
HEAD_START_S = 2.0  # at most, for the audio process: sound first, all others join
FADE_OUT_S = 0.5  # at most, for the audio process to fade out when it is told to stop
FADE_STILL_S = 0.02  # no block for so long: it plays no more
HUNG = "hung"
REAP_S = 3.0  # at most, for the kernel to take a killed process down
TELL_S = 0.05  # for one that hangs to write where it does
FINISHED = 5  # exit code of the demo's performers: the piece is over
HOPELESS = 4  # exit code of a child that would fail again (a bad checkpoint): it said why
log = logging.getLogger("segue.supervisor")


class DryBypass(Protocol):
    """The dry path in the sound server itself, for while the audio process is away. shared: the
    performance's, from its beginning on."""

    shared: Shared | None

    def tend(self) -> None:
        """Called a few times a second: keep the connection to the server."""
        ...

    def audio_lost(self) -> None:
        """The audio process has ended."""
        ...

    def audio_back(self) -> None:
        """Another one plays: connect it as its predecessor was."""
        ...

    def end(self, keep: bool) -> None:
        """Play no more. keep: leave the dry inputs connected straight through."""
        ...

    def close(self) -> None:
        """Leave the server."""
        ...


@dataclass
class Supervisor:
    """run() returns the exit code. session: folder for log and recording. seconds: stop then.
    files: where patch and rig were read, for `segue reload`. beside: entered while it runs (the
    computer's keys). keep_dry: the dry inputs sound from the first moment and beyond the end,
    carried by JACK while the audio process does not. inserts: what was proved of the patch's
    plug-ins."""

    patch: Patch
    name: str = "segue"
    bypass: DryBypass | None = None
    performing: bool = False
    files: dict[str, str] = field(default_factory=dict)
    session: Path | None = None
    seconds: float | None = None
    beside: Callable[[Shared], AbstractContextManager[None]] | None = None
    keep_dry: bool = False
    inserts: dict[str, Any] = field(default_factory=dict)
    shared: Shared = field(init=False)
    children: list[Child] = field(init=False, default_factory=list)
    _stop: bool = field(init=False, default=False)
    _callbacks: int = field(init=False, default=-1)
    _moved: float = field(init=False, default=0.0)
    _covered: bool = field(init=False, default=False)
    _ticked: float = field(init=False, default=0.0)
    _forgiven: float = field(init=False, default=0.0)
    _ready: bool = field(init=False, default=False)
    _tended: float = field(init=False, default=0.0)
    _fed: float = field(init=False, default=0.0)

    def run(self) -> int:
        for stale in sweep():
            log.info("removed what an earlier run left: %s", stale)
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(signal.SIGHUP, self.stop)  # the terminal was closed
        bells = {
            name: os.eventfd(0, os.EFD_NONBLOCK)
            for name in process_names(self.patch)
            if name not in ("audio", "supervisor")
        }
        session = str(self.session) if self.session else None
        folder = folder_for(self.name)
        self.shared = Shared.create(
            folder, self.patch, bells, session, self.performing, self.inserts
        )
        self.shared.file("files.json").write_text(json.dumps(self.files))
        remember(folder, self.patch)
        try:
            if self.bypass is not None:
                self.bypass.shared = self.shared
                self.bypass.tend()
            self.children = [
                Child(part)
                for part in roster(self.patch, self.performing, self.session is not None)
            ]
            for child in self.children[1:]:
                child.retry_at = time.monotonic() + HEAD_START_S
            end = None if self.seconds is None else time.monotonic() + self.seconds
            beside = self.beside(self.shared) if self.beside else contextlib.nullcontext()
            with beside:
                self._watch(end)
            notify("STOPPING=1")
            self._end()
        finally:
            for child in self.children:
                self._kill(child)
            if self.bypass is not None:
                self.bypass.close()
            self.shared.remove()
            for descriptor in bells.values():
                os.close(descriptor)
        return 0

    def _watch(self, end: float | None) -> None:
        while not self._stop and (end is None or time.monotonic() < end):
            self.tick(time.monotonic())
            self._wait()

    def stop(self, *_: object) -> None:
        self._stop = True

    def _wait(self) -> None:
        """Until a child ends or a tick has passed."""
        pidfds = [c.pidfd for c in self.children if c.pidfd >= 0]
        with contextlib.suppress(InterruptedError):
            select.select(pidfds, [], [], TICK_S)

    def tick(self, now: float) -> None:
        self.shared.heartbeat("supervisor")
        if self._ticked and now - self._ticked > STALLED_S:
            # The machine stood still, and others with us: they get a moment to be heard again.
            self._forgiven = now + FORGIVE_S
        self._ticked = now
        for child in self.children:
            self._look_at(child, now)
        self._look_at_sound(now)
        self._tell_dry()
        if self.bypass is not None and now - self._tended > 0.25:
            self.bypass.tend()
            self._tended = now

    # ---- one child

    def _look_at(self, child: Child, now: float) -> None:
        process = child.process
        if process is not None and process.poll() is not None:
            code = process.returncode
            if code == FINISHED:
                self._kill(child)
                child.become(Life.STOPPED)
                self._stop = True
            elif code == HOPELESS:
                log.error("%s is off: it cannot do what the patch asks", child.part.name)
                self._kill(child)
                self._forget_beat(child)
                child.become(Life.STOPPED)
            else:
                self._lost(child, now, f"ended with {code}")
        elif process is not None and self._hung(child, now):
            self._lost(child, now, HUNG)
        elif child.life is Life.BACKOFF and now >= child.retry_at:
            self._start(child, now)
        elif (
            child.life is Life.RUNNING
            and now > child.started + HEALTHY_S
            and now < (self._beat(child) + child.part.silent_s)
        ):
            child.backoff = BACKOFF_FIRST_S

    def _hung(self, child: Child, now: float) -> bool:
        """Who was found so gets longer each time: what is slow just now would never be up."""
        beat = self._beat(child)
        if beat > child.started:
            if child.life is Life.STARTING:
                child.become(Life.RUNNING)
                child.patience = 1.0
            silent = now - beat > child.part.silent_s * child.backoff / BACKOFF_FIRST_S
        else:
            silent = now - child.started > child.part.load_s * child.patience
        return bool(silent and now > self._forgiven)

    def _beat(self, child: Child) -> float:
        """When it was heard last, by the clock of `now`."""
        return float(self.shared.heartbeats[self.shared.names.index(child.part.name)]) / 1e9

    def _lost(self, child: Child, now: float, how: str) -> None:
        log.warning("%s %s; starting it again", child.part.name, how)
        if child.life is Life.STARTING and how == HUNG:
            child.patience = min(PATIENCE_MAX, child.patience * BACKOFF_FACTOR)
        if how == HUNG and child.process is not None:
            child.process.send_signal(signal.SIGUSR1)  # where? (engine/process.py)
            time.sleep(TELL_S)
        if child.part.name == "audio" and self.bypass is not None:
            self.bypass.audio_lost()
        self._kill(child)
        self._back_off(child, now + (0.0 if child.backoff == BACKOFF_FIRST_S else child.backoff))
        self._look_at(child, now)

    def _back_off(self, child: Child, retry_at: float) -> None:
        child.become(Life.BACKOFF)
        child.retry_at = retry_at
        child.backoff = min(BACKOFF_MAX_S, child.backoff * BACKOFF_FACTOR)

    def _start(self, child: Child, now: float) -> None:
        child.become(Life.STARTING)
        child.started = now
        self._forget_beat(child)
        child.restarts += 1
        bells = tuple(self.shared.meta["bells"].values())
        folder = str(self.shared.folder)
        command = [sys.executable, "-m", child.part.module, folder, *child.part.args]
        try:
            # A group of its own: what is typed at our terminal, and its end, comes to us alone.
            # No session: where the kernel groups tasks by session, `nice` would count for nothing.
            child.process = subprocess.Popen(
                command, pass_fds=bells, stdin=subprocess.DEVNULL, process_group=0
            )
            child.pidfd = os.pidfd_open(child.process.pid)
        except OSError as error:  # no memory, no process or no descriptor left just now
            log.error("%s cannot be started: %s", child.part.name, error)
            self._kill(child)
            self._back_off(child, now + child.backoff)
            return
        if child.part.name == "audio":
            self._callbacks, self._moved = -1, now

    def _forget_beat(self, child: Child) -> None:
        """One that was loading has promised silence into the future: that was its own."""
        self.shared.heartbeats[self.shared.names.index(child.part.name)] = 0

    def _kill(self, child: Child) -> None:
        """Kill and reap: a successor never meets its predecessor."""
        if child.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.process.kill()
        try:
            child.process.wait(REAP_S)
        except subprocess.TimeoutExpired:  # asleep in a disk or a driver: nothing wakes it
            log.error("%s cannot be killed; it is left behind", child.part.name)
        if child.pidfd >= 0:
            os.close(child.pidfd)
        child.process, child.pidfd = None, -1

    # ---- the sound

    def _look_at_sound(self, now: float) -> None:
        clock = self.shared.clock()
        audio = self.children[0]
        mine = clock is not None and audio.process is not None and clock.pid == audio.process.pid
        if clock is None or not mine:
            return
        if clock.callbacks != self._callbacks or clock.phase is not AudioPhase.RUNNING:
            if clock.phase is AudioPhase.RUNNING and self._callbacks >= 0:
                self._let_play(clock.pid)
            self._callbacks, self._moved = clock.callbacks, now
            if not self._ready:
                self._ready = True
                for child in self.children[1:]:
                    if child.process is None:
                        child.retry_at = now
                notify("READY=1")
            if now - self._fed >= FEED_S:
                self._fed = now
                notify("WATCHDOG=1")
        elif now > self._forgiven and now - self._moved > STALL_S:
            self._lost(audio, now, f"made no sound for {STALL_S} s")

    def _let_play(self, pid: int) -> None:
        """An audio process that plays, silently yet, takes over once its ports are connected."""
        if self.shared.dry_words[DRY_MAY] != pid:
            if self.bypass is not None:
                self.bypass.audio_back()
            self.shared.dry_words[DRY_MAY] = pid

    def _tell_dry(self) -> None:
        covered = bool(self.shared.dry_words[DRY_COVERING])
        if covered != self._covered:
            self._covered = covered
            log.info("the dry inputs are played %s", "beside it" if covered else "by segue again")

    # ---- the end

    def _end(self) -> None:
        """Everybody else first, then the audio process with its fade, then who records that."""
        audio, recorder = self.children[:1], [c for c in self.children if c.part.name == "recorder"]
        others = [c for c in self.children[1:] if c not in recorder]
        for group in (others, audio, recorder):
            running = [c for c in group if c.process is not None]
            for child in running:
                assert child.process is not None
                child.process.terminate()
            if group is audio and self.bypass is not None:
                if self.keep_dry:
                    self._wait_for_fade()
                self.bypass.end(self.keep_dry)
            end = time.monotonic() + STOP_S
            for child in running:
                assert child.process is not None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.01, end - time.monotonic()))
                self._kill(child)
            for child in group:
                if child.life is not Life.STOPPED:
                    child.become(Life.STOPPED)
            if group is audio and self.session is not None:
                with contextlib.suppress(OSError, ValueError):
                    keep_last_words(self.shared, self.session)

    def _wait_for_fade(self) -> None:
        """Until the audio process has faded out, or has stopped playing before."""
        end = time.monotonic() + FADE_OUT_S
        moved, last = time.monotonic(), -1
        clock = self.shared.played()
        still = FADE_STILL_S if clock is None else max(FADE_STILL_S, 3 * clock.block / clock.rate)
        while (now := time.monotonic()) < end and now - moved < still:
            state, clock = self.shared.sections["state"].read(), self.shared.played()
            if state is None or clock is None:
                break
            fade, t = state[0]["fade"], clock.t
            if fade["g1"] == 0.0 and t >= fade["f1"]:
                break
            if t != last:
                moved, last = now, t
            time.sleep(0.001)

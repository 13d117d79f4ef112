"""The audio process: `python -m devices.audio.process FOLDER`.

PortAudio's callback calls forward; the main thread waits, beats, and ends. It is killed and
replaced for every fault: a dead JACK server cannot be reopened in the same process. A successor
goes on from the snapshot that the callback left in shared memory after each block.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from devices.audio import realtime
from devices.audio.callback import Callback
from devices.audio.interface import Found, NoDeviceError, choose, known_as, name_client
from devices.audio.jack_clock import JackClock, server_answers
from devices.quiet import quiet
from engine.channel_map import ChannelMap
from engine.performance import LivePerformance
from engine.process import die_with_parent, tell_where_on_request
from engine.shm import Shared
from engine.shm_records import (
    CLIENT_FILE,
    CLOCK,
    AudioPhase,
)
from engine.soundfont import find_again

ERRORS_MAX = 20
NOTES_MAX_S = 60.0  # nobody holds a note for so long without sound
WARM_BLOCKS = 200
LOAD_S = 15.0
FIRST_CALL_S = 1.0
TELL_S = 2.0
AGAIN_S = 0.25  # between looks for a device: each makes JACK clients come and go
log = logging.getLogger("segue.audio")


def _warm_up(shared: Shared, channels: ChannelMap, rate: float) -> None:
    """Run every path of forward once, on rings of our own, before anything depends on it."""
    private = Shared.private(shared.patch)
    engine = LivePerformance(shared.patch, private, channels, rate, None)
    block = np.zeros((128, max(1, channels.channels_in)), np.float32)
    for i in range(WARM_BLOCKS):
        engine.hear(block, 128)
        engine.forward(i * 128)


def tell_client(shared: Shared, name: str) -> None:
    """For the dry path, before any port of ours is there: which JACK client we are."""
    path = shared.file(CLIENT_FILE)
    temporary = path.with_suffix(".new")
    temporary.write_text(name)
    os.replace(temporary, path)


def snapshot_of(shared: Shared) -> tuple[np.ndarray | None, bool]:
    """The predecessor's state, if it ever played; and whether its notes are of long ago. All else
    is as hands left it, however long the device was away."""
    state = shared.sections["state"].read()
    if state is None or not state[0]["t"]:
        return None, False
    age_s = (time.monotonic_ns() - int(state[0]["mono_ns"])) / 1e9
    return state, age_s > NOTES_MAX_S


def _collections() -> int:
    """Runs of the garbage collector since this process began."""
    return sum(generation["collections"] for generation in gc.get_stats())


class AudioProcess:
    """Opens the device, keeps it, and leaves with a fade. Exit codes: 0 asked to, 3 error."""

    def __init__(self, folder: Path) -> None:
        self.shared = Shared.open(folder)
        self._stop = False
        self._collected = 0  # by the collector before we were armed

    def stop(self, *_: object) -> None:
        self._stop = True

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        die_with_parent(signal.SIGTERM)
        opened = self._wait_for_device()
        if opened is None:
            return 0
        sd, found, jack = opened
        shared = self.shared
        shared.heartbeat("audio", LOAD_S)
        rate = float(jack.rate if jack else shared.patch.audio.rate)
        resumed, long_ago = snapshot_of(shared)
        assert shared.folder is not None
        soundfont, changed = find_again(shared.folder, shared.patch)
        if changed:
            log.error("%s", changed)
            found.missing.append(changed)
        engine = LivePerformance(
            shared.patch, shared, found.channels, rate, soundfont, resumed, long_ago
        )
        _warm_up(shared, found.channels, rate)
        for memory in shared.memories():
            realtime.fault_in(memory)
        locked = realtime.lock_memory()
        awake = realtime.keep_awake()
        callback = Callback(shared, engine, jack)
        realtime.quiet_python()
        self._collected = _collections()
        stream = sd.RawStream(
            device=(found.index, found.index),
            channels=(max(1, found.channels.channels_in), max(1, found.channels.channels_out)),
            samplerate=rate,
            blocksize=0 if jack else shared.patch.audio.block,
            latency="low",
            dtype="float32",
            callback=callback,
        )
        stream.start()
        raised = realtime.raise_helpers()
        found.save(
            shared.file("audio.json"),
            rate=rate,
            realtime=raised,
            memory_locked=locked,
            cores_awake=awake,
            resumed=resumed is not None,
        )
        code = self._watch(callback)
        if code == 0:  # else PortAudio may hang
            with contextlib.suppress(Exception):
                stream.stop()
        return code

    def _wait_for_device(self) -> tuple[Any, Found, JackClock | None] | None:
        """Until there is a device, or we are told to stop. A missing one is said, not fatal."""
        shared = self.shared
        host = shared.file("host")
        said = ""
        while not self._stop:
            shared.heartbeat("audio")
            jack: JackClock | None = None
            with quiet():
                there = server_answers()
            was_jack = host.exists() and host.read_text() == "jack"
            if not there and was_jack:
                problem = "the JACK server is to come back"
            else:
                try:
                    # PortAudio's client before ours: see devices/jack_slots.py.
                    with quiet():
                        name_client()
                        import sounddevice as sd

                        jack = JackClock() if there else None
                        _refuse_other_rate(shared, jack)
                        found = choose(sd, shared.patch, jack)
                    host.write_text("jack" if jack else "other")
                    tell_client(shared, known_as())
                    for line in found.missing:
                        log.warning("missing: %s", line)
                    return sd, found, jack
                except (NoDeviceError, OSError) as error:
                    problem = str(error)
                if jack is not None:
                    jack.close()
                with quiet():
                    _forget_sounddevice()
            if problem != said:
                log.warning("waiting for sound: %s", problem)
                said = problem
            self._say_waiting()
            time.sleep(AGAIN_S)
        return None

    def _say_waiting(self) -> None:
        clock = np.zeros(1, CLOCK)
        before = self.shared.sections["clock"].read()
        if before is not None:
            clock[:] = before
        clock["state"] = AudioPhase.WAITING
        clock["pid"] = os.getpid()
        self.shared.sections["clock"].write(clock)

    def _tell_python(self) -> None:
        """What the interpreter holds: flat, and never collected (0), while we play."""
        path = self.shared.file("python.json")
        facts = {
            "pid": os.getpid(),
            "collections": _collections() - self._collected,
            "allocated_blocks": sys.getallocatedblocks(),
        }
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(facts))
        os.replace(temporary, path)

    def _watch(self, callback: Callback) -> int:
        shown = False
        started = told = time.monotonic()
        while not self._stop:
            self.shared.heartbeat("audio")
            now = time.monotonic()
            if not callback.called and now - started > FIRST_CALL_S:
                log.error("the sound server does not call us %s s after the start", FIRST_CALL_S)
                return 3
            if now - told > TELL_S:
                self._tell_python()
                told = now
            if callback.error is not None and not shown:
                log.error("forward failed", exc_info=callback.error)
                shown = True
            if callback.errors > ERRORS_MAX:
                return 3
            time.sleep(0.02)
        callback.stopping = True
        for _ in range(10):
            time.sleep(0.01)
            state = callback.engine.state[0]
            if state["fade"]["g1"] == 0 and state["fade"]["f1"] <= state["t"]:
                break
        return 0


def _refuse_other_rate(shared: Shared, jack: JackClock | None) -> None:
    """Stems, musical time and the recording go by the rate of the first block. Raises
    NoDeviceError."""
    began = shared.played()
    if jack is not None and began is not None and began.rate != jack.rate:
        raise NoDeviceError(
            f"the sound server runs at {jack.rate} Hz, this performance began at {began.rate:g} "
            "Hz: start it again at that rate, or segue anew"
        )


def _forget_sounddevice() -> None:
    """PortAudio lists devices once, at import: start it anew to see new ones."""
    sd = sys.modules.get("sounddevice")
    if sd is not None:
        with contextlib.suppress(Exception):
            sd._terminate()
            sd._initialize()


def main() -> int:
    logging.basicConfig(format="segue audio: %(message)s", level=logging.INFO)
    tell_where_on_request()
    return AudioProcess(Path(sys.argv[1])).run()


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # PortAudio's own exit handler hangs when the JACK server has gone.
    os._exit(code)

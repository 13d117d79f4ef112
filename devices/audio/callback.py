"""What PortAudio calls, a block at a time: Timestamps, `forward`, and what others know of it."""

from __future__ import annotations

import os
import time
from resource import RUSAGE_THREAD, getrusage
from typing import Any

import numpy as np

from devices.audio.jack_clock import JackClock
from engine.layout import ReportKind
from engine.mixer import dry_level
from engine.performance import START_FADE_FRAMES, LivePerformance
from engine.sampler import MAX_FRAMES
from engine.shm import Shared
from engine.shm_records import (
    CLOCK,
    DRY_COVERING,
    DRY_DONE,
    DRY_HAND,
    DRY_MAY,
    LEDGER_ROWS,
    LEVELS,
    AudioPhase,
)

U32_MAX = 2**32 - 1
NEWS_BLOCKS = 64  # an xrun is announced within so many
SNAPSHOT_BLOCKS = 4  # positions are functions of the frame, so an older snapshot is as good


class StreamClock:
    """For hosts other than JACK: frames from PortAudio's time of the input, a gap when it jumps."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._first: float | None = None
        self._expected = 0

    def cycle(self, frames: int, adc_time: float, underflow: bool) -> int:
        if self._first is None:
            self._first = adc_time
        at = round((adc_time - self._first) * self.rate)
        if underflow and at > self._expected + frames:
            self._expected = at
        t = self._expected
        self._first = adc_time - t / self.rate  # the two clocks drift: measure from here
        self._expected += frames
        return t


class Callback:
    """What PortAudio calls. One thread; everything it needs is made before the stream starts."""

    def __init__(self, shared: Shared, engine: LivePerformance, jack: JackClock | None) -> None:
        self.shared, self.engine, self.jack = shared, engine, jack
        self.other = StreamClock(engine.rate)
        self.stopping = False
        self.error: BaseException | None = None
        self.errors = 0
        self._clock = np.zeros(1, CLOCK)
        self._missed = self._gap = self._callbacks = 0
        before = shared.sections["clock"].read()
        if before is not None:
            self._missed, self._gap = int(before[0]["missed"]), int(before[0]["gap_frames"])
            self._callbacks = int(before[0]["callbacks"])
        self._known: tuple[int, int] | None = None  # a frame and its host time, in ns
        if before is not None and before[0]["callbacks"]:
            self._known = int(before[0]["t"]), int(before[0]["mono_ns"])
        self._pid = os.getpid()
        self._publish_clock = shared.sections["clock"].writer(self._clock)
        self._publish_state = shared.sections["state"].writer(engine.state)
        self._levels = np.zeros(1, LEVELS)
        self._next = int(engine.state[0]["t"])
        self._resumed = self._next != 0
        self._offset: int | None = None
        self._dry = shared.dry_words
        self._silent = True  # until we may take over
        self._handing = 0  # the dry path is fading out until this frame
        self._blocks = 0
        self._late = False  # the block before is known to have come too late
        self._slept = -1  # how often this thread had slept when the block before was done
        self._suspect: tuple[int, int, int] | None = None  # frame, us late, number of that block
        self._announced = -1  # the block before which an xrun was last announced

    @property
    def called(self) -> bool:
        return self._blocks > 0 or self.errors > 0

    def __call__(self, indata: Any, outdata: Any, frames: int, info: Any, status: Any) -> None:
        """indata, outdata: buffers of float32 (frames, channels) from PortAudio itself."""
        try:
            self._block(indata, outdata, frames, info, status)
            self.errors = 0
        except BaseException as error:
            self.error = error
            self.errors += 1
            self._dry_only(_rows(indata, frames), _rows(outdata, frames))

    def _dry_only(self, indata: np.ndarray, outdata: np.ndarray) -> None:
        """forward failed: the dry sound is the last thing to go. Once the dry path beside us has
        noticed, it is alone with it until we can play again."""
        outdata.fill(0)
        engine = self.engine
        if self._dry[DRY_COVERING]:
            self._silent = True
        else:
            for name, channel in engine.channels.inputs.items():
                source = engine.patch.inputs[name]
                if source.dry == "segue" and "main" in source.to:
                    level = dry_level(engine.patch, engine.state[0], name, "main")
                    for c in engine.channels.outputs.get("main", ()):
                        outdata[:, c] += np.float32(level) * indata[:, channel]
        self.engine.cv.hold(outdata)

    def _block(self, indata: Any, outdata: Any, frames: int, info: Any, status: Any) -> None:
        wall, cpu = time.monotonic_ns(), time.thread_time_ns()
        t = self._begin(frames, wall, info, status)
        engine = self.engine
        if frames <= MAX_FRAMES:
            engine.hear(indata, frames, outdata)
            engine.forward(t)
        else:
            ins, outs = _rows(indata, frames), _rows(outdata, frames)
            for a in range(0, frames, MAX_FRAMES):
                n = min(MAX_FRAMES, frames - a)
                engine.hear(ins[a : a + n], n, outs[a : a + n])
                engine.forward(t + a)
        self._publish(t, frames, wall)
        late_us = (time.monotonic_ns() - wall) // 1000 - self._period_us(frames)
        if self.jack is not None:
            self._dry[DRY_DONE] = self._next - (self._offset or 0)
            over = self.jack.frame() + (self._offset or 0) != t
            late_us = max(1, late_us) if over else min(0, late_us)
            self._slept = getrusage(RUSAGE_THREAD).ru_nvcsw
        self._late = late_us > 0
        if self._late:
            self._miss(t, late_us)
        self.shared.ledger[self._blocks % LEDGER_ROWS] = (
            t,
            min(time.thread_time_ns() - cpu, U32_MAX),
            min(time.monotonic_ns() - wall, U32_MAX),
            max(-(1 << 30), min(late_us, 1 << 30)),
            frames,
            engine.stage_ns,
        )
        self._blocks += 1
        self.shared.ledger_count[0] = self._blocks

    def _begin(self, frames: int, wall: int, info: Any, status: Any) -> int:
        """This block's Timestamp; gaps counted and reported."""
        if self.jack is not None:
            device = self.jack.frame()
        else:
            device = self.other.cycle(frames, info.inputBufferAdcTime, bool(status))
        state = self.engine.state
        if self._offset is not None and self.jack is not None and status:
            self.engine.control.report(ReportKind.XRUN, device + self._offset)
            self._announced = self._blocks
        if self._offset is None:
            self._offset = self._first_offset(device, wall)
            state["frame_offset"] = self._offset
            first = device + self._offset
            self.engine.control.report(ReportKind.RESUMED, first, a=int(self._resumed))
            if not self._resumed:
                self._next = first
                for intake in self.engine.intakes:
                    intake.skip(first)
            self.engine.fade_to(first, 0.0, 0)
        t = device + self._offset
        gap = t - self._next
        if gap > 0:
            self._gap += gap
            self.engine.control.report(ReportKind.GAP, self._next, a=gap)
        elif self._held_up():
            self._late = True
            late_us = max(1, (wall - int(state["mono_ns"][0])) // 1000 - self._period_us(frames))
            self._suspect = t - frames, late_us, self._blocks - 1
        if self._suspect is not None:
            self._judge(*self._suspect)
        self._next = t + frames
        if self._silent:
            if self.errors:
                self.engine.fade_to(t, 0.0, 0)  # no hand-over while we fail
            elif self._dry[DRY_MAY] == self._pid:
                self._silent = False
                self._take_over(t, device, frames, True)
        elif self._dry[DRY_COVERING] and t >= self._handing and not self.stopping:
            self._take_over(t, device, frames, gap > 0)
        if self.stopping and state[0]["fade"]["g1"] > 0:
            self.engine.leave(t)
        return t

    def _held_up(self) -> bool:
        """Whether the block before may have been handed over when the server had gone on without
        it, though we were done in time: PortAudio copies it after us. Between two cycles this
        thread sleeps, unless the next one had begun before it could."""
        return (
            self.jack is not None
            and not self._late
            and getrusage(RUSAGE_THREAD).ru_nvcsw == self._slept
        )

    def _judge(self, t: int, late_us: int, block: int) -> None:
        """Of a block that may have come too late: the server announces an xrun where it did. Where
        it does not, the thread was held up only after it had handed the block over."""
        if self._announced >= block:
            self._suspect = None
            self.shared.ledger["late_us"][block % LEDGER_ROWS] = late_us
            self._miss(t, late_us)
        elif self._blocks - block > NEWS_BLOCKS:
            self._suspect = None

    def _miss(self, t: int, late_us: int) -> None:
        self._missed += 1
        self.engine.control.report(ReportKind.MISSED, t, a=late_us)

    def _period_us(self, frames: int) -> int:
        return int(frames * 1e6 / self.engine.rate)

    def _take_over(self, t: int, device: int, frames: int, silent: bool) -> None:
        """From the dry path, that may be playing; two blocks from now, so that it learns in time.

        silent: what we last played was not heard, so we fade in. Else it came in beside us."""
        if not self._dry[DRY_COVERING]:
            self.engine.fade_to(t, 1.0)
            return
        ahead = 2 * frames
        self._dry[DRY_HAND] = device + ahead
        self._handing = t + ahead + START_FADE_FRAMES
        self.engine.control.report(
            ReportKind.HANDOVER, t, a=ahead + START_FADE_FRAMES, b=int(silent)
        )
        if silent:
            self.engine.fade_in(t + ahead, self._handing)

    def _first_offset(self, device: int, wall: int) -> int:
        """0, or the predecessor's while the server's counter goes on; else time goes on by ours,
        for everybody else has gone on counting by it."""
        if self._known is None:
            return 0
        t, mono_ns = self._known
        expected = t + round((wall - mono_ns) * self.engine.rate / 1e9)
        offset = int(self.engine.state[0]["frame_offset"])  # 0 where there is no snapshot
        offset += round((expected - device - offset) / 2**32) * 2**32  # the counter has 32 bits
        if abs(device + offset - expected) < self.engine.rate:
            return offset
        return expected - device

    def _publish(self, t: int, frames: int, wall: int) -> None:
        self._callbacks += 1
        state = self.engine.state
        state["mono_ns"] = wall
        self._clock[0] = (
            t,
            wall,
            self._callbacks,
            self._gap,
            self._missed,
            self.engine.rate,
            frames,
            self._pid,
            AudioPhase.RUNNING,
            state["dry"][0],
        )
        self._publish_clock()
        control = self.engine.control
        if self._blocks % SNAPSHOT_BLOCKS == 0 or control.steered or self.stopping:
            control.steered = False
            self._publish_state()
        if self._blocks % 8 == 0:
            mixer, levels = self.engine.mixer, self._levels
            levels["sources"][0] = mixer.source_peaks.max(axis=1)
            levels["buses"][0][: len(mixer.buses)] = mixer.bus_peaks[: len(mixer.buses)].max(axis=1)
            levels["not_finite"][0] = mixer.not_finite.sum(axis=1)
            levels["limited"] = state["limiters"]["active"].sum()
            self.shared.sections["levels"].write(levels)


def _rows(buffer: Any, frames: int) -> np.ndarray:
    """A PortAudio buffer as float32 (frames, channels)."""
    return np.frombuffer(buffer, np.float32).reshape(frames, -1)

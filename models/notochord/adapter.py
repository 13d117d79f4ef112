"""NotochordPlayer answers a performer's notes with notes.

Everything happens in order of frame inside step(): a note heard advances the model by the true time
since the last event; then, once a chord has settled, the model is asked for one next event, which
waits until it is due, is returned, and is fed back as it was played. What a performer plays before
that makes it void. A ledger of sounding notes stands outside the model: each on gets one off, in
order, whatever the model says. Frames are those of the device; the model's times are seconds.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from engine.adapter import AdapterError
from engine.layout import NOTE, NoteKind
from models.notochord.checkpoint import SHIPPED, import_notochord, load_model
from models.notochord.hearing import Hearing
from models.notochord.steering import CONTROLS, KeyFinder, Steering

log = logging.getLogger("segue.notochord")

NEVER = 2**62
MAX_STEP_S = 10.0  # the longest time between events that the model knows
COALESCE_S = 0.02  # notes this close together are one chord: ask once
MIN_NOTE_S = 0.1
YIELD_S = 0.25  # call and response: how soon an answer ends when the performer goes on
FADE_S = 1.0  # how soon held notes end when there is nobody left to answer
RETRY_S = 0.05  # ask again after an event that is the performer's, or impossible
BOTH_S = 1.0  # together: the model may expect the performer's next note this long after the last
OWN_WEIGHT = 4.0  # how much likelier than the model thinks the next event is ours, density 0.5
OWN_RANGE = 4.0  # times this at density 1, divided by it at 0
LATE_S = 0.05  # an on later than this is not played
HELD_VELOCITY = 64  # of a key fed again after release(), which keeps no velocities
RESET_S = 8.0  # after such a rest the model starts afresh: what it remembers is stale
QUERIES_PER_STEP = 16  # bounds one step(); the rest is done in the next


class Due(Enum):
    """What the model expects next."""

    ON = 1
    OFF = 2
    WAIT = 3  # the performer's event, which is theirs to play: ask again then


@dataclass
class Pending:
    frame: int
    what: Due
    key: int = 0
    velocity: int = 0


@dataclass
class Sounding:
    """A note of ours that has its on and not yet its off."""

    id: int
    on: int
    deadline: int


class NotochordPlayer:
    """A NotePlayer (engine/adapter.py). late: ons not played because step() came too late."""

    def __init__(self) -> None:
        self._model: Any = None
        self._steering = self._written = Steering()  # now; by the patch
        self._controls = (0.0,) * CONTROLS
        self._rate = 48000
        self._inbox: deque[np.void] = deque()
        self._ledger: dict[int, Sounding] = {}
        self._next_id = 1
        self._out: list[tuple[int, int, int, int, int]] = []  # frame, kind, id, key, velocity
        self._last_out = -NEVER
        self.late = 0
        self._hearing = Hearing()
        self._forget()

    def _forget(self) -> None:
        """Forget what is expected and the musical past; keys held and notes sounding stay known."""
        self._pending: Pending | None = None
        self._query_at = NEVER
        self._model_frame: int | None = None  # frame of the last event fed; None: at rest
        self._finder = KeyFinder()
        self._last_key: int | None = None  # of our last note
        self._last_on = -NEVER  # and its frame

    def load(self, checkpoint: Path | None, rate: int, config: dict[str, Any]) -> None:
        """Load the checkpoint (None: notochord-small.pt) and warm up. Raises AdapterError."""
        self._steering = self._written = Steering.from_config(config)
        if rate <= 0:
            raise AdapterError(f"notochord: the rate is {rate}, expected frames a second")
        self._rate = rate
        import torch

        torch.set_num_threads(1)
        self._model = load_model(checkpoint or SHIPPED)
        package = import_notochord()
        self._constraints = package.model.EventConstraints
        self._impossible = package.model.NoPossibleEvents
        before = torch.get_rng_state()
        torch.manual_seed(self._steering.seed)
        self._random = torch.get_rng_state()
        torch.set_rng_state(before)
        keys = self._steering.keys(self._steering.scale_classes())
        for k in range(3):
            self._model.feed(self._steering.performer_instrument, 60 + k, 0.1, 80.0)
            self._sample({self._steering.instrument: keys}, {}, 0.0)
        self._model.reset()

    def steer(self, controls: np.ndarray) -> None:
        """Hands on density, temperature, leap and register (Steering.moved), from now on."""
        found = tuple(float(c) for c in controls[:CONTROLS])
        if found != self._controls and all(map(math.isfinite, found)):
            self._controls = found
            self._steering = self._written.moved(found)

    def feed(self, notes: np.ndarray) -> None:
        """Hear layout.NOTE records in order of frame; they are worked on in step()."""
        self._inbox.extend(notes.copy())

    def step(self, t: int, horizon: int) -> np.ndarray:
        """Do what is due before frame t + horizon; return the notes to play (layout.NOTE)."""
        end = t + horizon
        queries = QUERIES_PER_STEP
        while True:
            heard_at = int(self._inbox[0]["frame"]) if self._inbox else NEVER
            key, expires = self._first_deadline()
            expected_at = self._pending.frame if self._pending else NEVER
            now = min(heard_at, expires, expected_at, self._query_at)
            if now >= end:
                break
            if heard_at == now:
                self._hear(self._inbox.popleft())
            elif expires == now:
                self._play_off(key, max(expires, t))
                self._ask_at(max(expires, t))
            elif self._pending is not None and expected_at == now:
                self._play(self._pending, t)
            else:
                if queries == 0:
                    break
                queries -= 1
                self._query(max(now, t))
        return self._take()

    def release(self, t: int) -> np.ndarray:
        """Offs for all that sounds, at frame t; the model keeps only what the performer holds."""
        for key in list(self._ledger):
            self._play_off(key, t, feed=False)
        while self._inbox:
            self._hearing.hear(self._inbox.popleft())
        self._hearing.rest()
        self._forget()
        if self._model is not None:
            self._model.reset()
            for key in sorted(self._hearing.sounding()):
                self._feed_model(self._steering.performer_instrument, key, t, HELD_VELOCITY)
        return self._take()

    # -- hearing

    def _hear(self, record: np.void) -> None:
        """Feed the model the events that a record amounts to, and make the expectation void."""
        frame = int(record["frame"])
        rested = self._model_frame is not None and frame - self._model_frame > self._frames(RESET_S)
        if rested and not self._ledger and not self._hearing.sounding():
            self._model.reset()
            self._model_frame = None
        events = self._hearing.hear(record)
        for key, velocity in events:
            self._feed_model(self._steering.performer_instrument, key, frame, velocity)
            if velocity:
                self._finder.hear(key)
        if not events:
            return
        self._pending = None
        struck = any(velocity for _, velocity in events)
        if struck and self._steering.answer == "call_response":
            self._shorten(frame + self._frames(YIELD_S))
        self._ask_at(frame + self._frames(COALESCE_S))

    def _feed_model(self, instrument: int, key: int, frame: int, velocity: int) -> None:
        """Advance the model by an event that was played. Time never runs backwards."""
        last = frame if self._model_frame is None else self._model_frame
        frame = max(frame, last)
        seconds = min(MAX_STEP_S, (frame - last) / self._rate)
        self._model.feed(instrument, key, seconds, float(velocity))
        self._model_frame = frame

    # -- playing

    def _first_deadline(self) -> tuple[int, int]:
        """Key and frame of our sounding note that must end first."""
        if not self._ledger:
            return 0, NEVER
        key = min(self._ledger, key=lambda k: (self._ledger[k].deadline, k))
        return key, self._ledger[key].deadline

    def _play(self, due: Pending, t: int) -> None:
        """Play what the model expected, if it still may, and ask for what follows."""
        self._pending = None
        frame = max(due.frame, t, self._last_out)
        if due.what is Due.WAIT:
            self._ask_at(frame)
        elif due.what is Due.OFF:
            if due.key in self._ledger:
                self._play_off(due.key, frame)
            self._ask_at(frame)
        elif t - due.frame > self._frames(LATE_S):
            self.late += 1
            self._ask_at(frame)
        elif not self._may_start(frame) or due.key in self._ledger:
            self._ask_at(frame)
        else:
            deadline = frame + self._frames(self._steering.max_note_s)
            self._ledger[due.key] = Sounding(self._next_id, frame, deadline)
            self._emit(frame, NoteKind.ON, due.key, due.velocity)
            self._next_id = self._next_id % (2**32 - 1) + 1
            self._last_key = due.key
            self._last_on = frame
            self._feed_model(self._steering.instrument, due.key, frame, due.velocity)
            self._ask_at(frame)

    def _play_off(self, key: int, frame: int, feed: bool = True) -> None:
        frame = max(frame, self._last_out)
        self._emit(frame, NoteKind.OFF, key, 0)
        del self._ledger[key]
        if feed:
            self._feed_model(self._steering.instrument, key, frame, 0)
            self._pending = None

    def _emit(self, frame: int, kind: NoteKind, key: int, velocity: int) -> None:
        self._out.append((frame, int(kind), self._ledger[key].id, key, velocity))
        self._last_out = max(self._last_out, frame)

    def _take(self) -> np.ndarray:
        notes = np.zeros(len(self._out), NOTE)
        for note, (frame, kind, number, key, velocity) in zip(notes, self._out, strict=True):
            note["frame"], note["kind"], note["id"] = frame, kind, number
            note["key"], note["velocity"] = key, velocity
        self._out.clear()
        return notes

    def _shorten(self, frame: int) -> None:
        """Let nothing that sounds now sound beyond `frame`."""
        for note in self._ledger.values():
            note.deadline = min(note.deadline, max(frame, note.on + self._frames(MIN_NOTE_S)))

    # -- asking the model

    def _frames(self, seconds: float) -> int:
        return round(seconds * self._rate)

    def _opens(self) -> int:
        """The first frame at which a note of ours may start."""
        struck = self._hearing.last_struck
        if self._steering.answer == "call_response" and struck is not None:
            return struck + self._frames(self._steering.pause_s)
        return -NEVER

    def _closes(self) -> int:
        """The frame from which on nobody is left to answer."""
        active = self._hearing.active_until(self._rate)
        return -NEVER if active is None else active + self._frames(self._steering.linger_s)

    def _may_start(self, frame: int) -> bool:
        return self._opens() <= frame < self._closes()

    def _ask_at(self, frame: int) -> None:
        """Plan the next query; none when there is nobody to answer. What sounds then ends soon."""
        frame = max(frame, self._opens())
        if frame < self._closes():
            self._query_at = frame
        else:
            self._query_at = NEVER
            self._last_key = None
            self._shorten(frame + self._frames(FADE_S))

    def _query(self, now: int) -> None:
        """Ask for the one next event at or after `now`."""
        self._query_at = NEVER
        s = self._steering
        if now >= self._closes():
            self._ask_at(now)
            return
        on: dict[int, set[int]] = {}
        off: dict[int, set[int]] = {}
        if self._ledger:
            off[s.instrument] = set(self._ledger)
        if len(self._ledger) < s.polyphony:
            on[s.instrument] = self._keys() - self._ledger.keys()
        struck = self._hearing.last_struck
        recent = struck is not None and now - struck < self._frames(BOTH_S)
        overdue = not self._ledger and now - self._last_on > self._frames(s.max_gap_s)
        if recent and not overdue and s.answer == "together":
            on[s.performer_instrument] = set(range(128))
            off[s.performer_instrument] = self._hearing.sounding()
        last = now if self._model_frame is None else self._model_frame
        event = self._sample(on, off, max(0, now - last) / self._rate)
        retry = Pending(now + self._frames(RETRY_S), Due.WAIT)
        if event is None:
            self._pending = retry
            return
        instrument, key, seconds, velocity = event
        frame = max(now, last + self._frames(seconds))
        if instrument == s.instrument and velocity == 0 and key in self._ledger:
            frame = max(frame, self._ledger[key].on + self._frames(MIN_NOTE_S))
            self._pending = Pending(frame, Due.OFF, key)
        elif instrument == s.instrument and velocity > 0 and key in on.get(s.instrument, ()):
            self._pending = Pending(frame, Due.ON, key, self._hearing.blend(velocity))
        else:
            self._pending = Pending(max(frame, retry.frame), Due.WAIT)

    def _keys(self) -> set[int]:
        """The keys an answer may strike now: in the scale, not too far from the last one.

        With a scale, a semitone above what the performer holds is left out too: of all that a
        scale allows, that is what sounds wrong.
        """
        s = self._steering
        keys = s.keys(s.scale_classes())
        if s.key == "auto":
            keys = s.keys(self._finder.classes()) or keys
        if s.key is not None:
            held = {k % 12 for k in self._hearing.sounding()}
            keys = {k for k in keys if (k - 1) % 12 not in held or k % 12 in held} or keys
        last = self._last_key
        near = {k for k in keys if last is not None and abs(k - last) <= s.leap}
        return near - self._ledger.keys() or keys

    def _sample(
        self, on: dict[int, set[int]], off: dict[int, set[int]], elapsed: float
    ) -> tuple[int, int, float, int] | None:
        """Instrument, key, seconds since the last event, velocity (0: off); None: nothing possible.

        The package draws from torch's one global generator; ours is put in its place meanwhile, so
        that a seed gives the same notes whoever else uses torch in this process. It compares
        single-precision samples with the bounds, so `elapsed` is rounded up to single precision. A
        sample that lands on an upper bound all the same fits no case of it: a ValueError.
        """
        import torch

        s = self._steering
        least = float(np.nextafter(np.float32(elapsed), np.float32(np.inf)))
        constraints = self._constraints(
            note_on_map=on,
            note_off_map=off,
            min_time=least,
            max_time=max(s.max_gap_s, least + RETRY_S),
            min_vel=1.0,
            pitch_temp=s.temperature,
            rhythm_temp=s.temperature,
            timing_temp=min(1.0, s.temperature),
            steer_density=s.density,
            inst_weights={s.instrument: OWN_WEIGHT * OWN_RANGE ** (2 * s.density - 1)},
        )
        others = torch.get_rng_state()
        torch.set_rng_state(self._random)
        try:
            event = self._model.sample(constraints, order="vtip", predict_end=False)
        except (self._impossible, ValueError) as error:
            log.debug("no next event: %s", error)
            return None
        finally:
            self._random = torch.get_rng_state()
            torch.set_rng_state(others)
        return int(event.inst), int(event.pitch), float(event.time), round(float(event.vel))

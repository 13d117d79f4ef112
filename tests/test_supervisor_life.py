"""Risk: a child that dies, hangs or cannot start is left so, started too often, or not reaped."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from supervised import Stage, gone, made, pid, play

from engine import supervisor as supervisor_module
from engine.patch import Patch
from engine.roster import Part
from engine.shm import Shared
from engine.shm_records import DRY_MAY
from engine.status import _processes
from engine.supervisor import (
    BACKOFF_MAX_S,
    FINISHED,
    HEALTHY_S,
    HOPELESS,
    PATIENCE_MAX,
)
from engine.supervisor_child import BACKOFF_FIRST_S, LIFE_STEPS, Child, Life


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = made(tmp_path, monkeypatch)
    yield stage
    stage.end()


def test_steps_of_a_life() -> None:
    assert set(LIFE_STEPS) == set(Life)
    assert not LIFE_STEPS[Life.STOPPED]
    child = Child(Part("pool", "x"))
    assert child.life is Life.BACKOFF
    for step in (Life.STARTING, Life.RUNNING, Life.BACKOFF, Life.STARTING, Life.STOPPED):
        child.become(step)
    with pytest.raises(AssertionError, match="pool"):
        child.become(Life.STARTING)


def test_starts_and_runs_once_it_beats(stage: Stage) -> None:
    audio, pool = stage.children(audio="waits", pool="waits")
    stage.tick()
    assert audio.life is pool.life is Life.STARTING
    stage.now += 0.1
    stage.beat(pool)
    stage.tick()
    assert (audio.life, pool.life) == (Life.STARTING, Life.RUNNING)
    assert pool.restarts == 0


def test_dead_child_is_reaped_and_started_again_at_once_then_ever_more_slowly(
    stage: Stage,
) -> None:
    audio, pool = stage.children(audio="waits", pool="1")
    waits = []
    stage.tick()
    for _ in range(12):
        before = pid(pool)
        stage.ended(pool)
        stage.tick()
        assert gone(before)
        died = stage.now
        while pool.process is None:
            assert pool.life is Life.BACKOFF
            stage.beat(audio)
            stage.tick()
        waits.append(stage.now - died)
    assert waits[0] == 0.0
    assert waits[1] == pytest.approx(BACKOFF_FIRST_S * 1.5, abs=0.02)
    assert all(b >= a - 0.02 for a, b in pairwise(waits))
    assert max(waits) <= BACKOFF_MAX_S + 0.02
    assert waits[-1] == pytest.approx(BACKOFF_MAX_S, abs=0.02)
    assert pool.restarts == 12
    assert audio.restarts == 0  # others are left alone


def test_one_that_ran_well_for_a_while_begins_anew_with_patience(stage: Stage) -> None:
    _, pool = stage.children(audio="waits", pool="waits")
    stage.tick()
    pool.backoff = BACKOFF_MAX_S
    for _ in range(30):
        stage.now += HEALTHY_S / 20
        stage.beat(pool)
        stage.tick()
    assert pool.backoff == BACKOFF_FIRST_S


def test_hopeless_child_stays_off_and_the_others_play_on(stage: Stage) -> None:
    audio, pool = stage.children(audio="waits", pool=str(HOPELESS))
    stage.tick()
    before = pid(pool)
    stage.beat(pool)
    stage.ended(pool)
    for _ in range(50):
        stage.tick(0.5)
        stage.beat(audio)
    assert pool.life is Life.STOPPED
    assert gone(before)
    assert pool.process is None
    beats = _processes(stage.supervisor.shared)
    assert beats["pool"] is None
    assert beats["audio"] is not None
    assert audio.life is Life.RUNNING
    assert not stage.supervisor._stop


def test_finished_performers_end_the_performance(stage: Stage) -> None:
    _, performer = stage.children(audio="waits", performer=str(FINISHED))
    stage.tick()
    stage.ended(performer)
    stage.tick()
    assert performer.life is Life.STOPPED
    assert stage.supervisor._stop


def test_hung_child_is_killed_by_its_heartbeat(stage: Stage) -> None:
    _, pool = stage.children(audio="waits", pool="waits")
    stage.tick()
    stage.now += 0.1
    stage.beat(pool)
    stage.tick()
    before = pid(pool)
    stage.tick(0.9)
    assert pid(pool) == before
    stage.tick(0.2)
    assert gone(before)
    assert pid(pool) != before
    assert pool.life is Life.STARTING


def test_one_that_is_killed_as_hung_again_and_again_gets_longer_each_time(stage: Stage) -> None:
    _, pool = stage.children(audio="waits", pool="waits")
    stage.tick()
    lived = []
    for _ in range(8):
        while pool.process is None:
            stage.tick(0.1)
        stage.tick()
        before, since = pid(pool), stage.now
        stage.beat(pool)
        stage.tick()
        while pool.process is not None and pid(pool) == before:
            stage.tick(0.1)
        lived.append(stage.now - since)
    assert lived[0] < 1.3  # the first is told by silent_s
    assert all(b > 1.2 * a for a, b in pairwise(lived[:6]))
    assert lived[-1] > 10.0  # what is merely slow gets there


def test_child_that_never_beats_is_killed_after_its_load_time(stage: Stage) -> None:
    _, pool = stage.children(audio="waits", pool="waits")
    stage.tick()
    before = pid(pool)
    stage.tick(4.9)
    assert pid(pool) == before
    stage.tick(0.2)
    assert pid(pool) != before


def test_a_load_that_took_too_long_gets_longer_the_next_time(stage: Stage) -> None:
    """A machine with too much to do is slow: starting everything again for ever helps nobody."""
    _, pool = stage.children(audio="waits", pool="waits")
    waits = []
    stage.tick()
    for _ in range(6):
        before, begun = pid(pool), stage.now
        while pool.process is None or pid(pool) == before:
            stage.tick(0.1)
        waits.append(stage.now - begun)
    assert waits[0] == pytest.approx(5.0, abs=0.2)
    assert waits[1] == pytest.approx(7.5, abs=0.3)
    assert waits[-1] == pytest.approx(5.0 * PATIENCE_MAX, abs=BACKOFF_MAX_S + 0.2)
    stage.now += 0.1
    stage.beat(pool)
    stage.tick()
    os.kill(before := pid(pool), signal.SIGKILL)
    stage.ended(pool)
    stage.tick(BACKOFF_MAX_S + 0.1)
    assert (after := pid(pool)) != before
    stage.tick(5.3)
    assert gone(after)


def test_a_predecessors_promise_to_be_busy_does_not_cover_its_successor(stage: Stage) -> None:
    _, pool = stage.children(audio="waits", pool="waits")
    stage.tick()
    shared = stage.supervisor.shared
    shared.heartbeats[shared.names.index("pool")] = int((stage.now + 60.0) * 1e9)  # loading
    stage.tick()
    before = pid(pool)
    pool.process.kill()  # type: ignore[union-attr]
    stage.ended(pool)
    stage.tick()
    after = pid(pool)
    assert after != before
    stage.tick(5.2)  # the successor never beats
    assert gone(after)


def test_a_machine_that_stood_still_kills_nobody(stage: Stage) -> None:
    audio, pool = stage.children(audio="waits", pool="waits")
    stage.tick()
    for child in (audio, pool):
        stage.beat(child)
    stage.tick()
    before = pid(audio), pid(pool)
    stage.stand_still(30.0)
    stage.tick(0.5)
    for child in (audio, pool):
        stage.beat(child)
    stage.tick(0.9)
    assert (pid(audio), pid(pool)) == before
    stage.tick(40.0)  # but who is silent now is hung
    assert pid(audio) != before[0]


class Bypass:
    """Records what the supervisor asks of it."""

    shared: Shared | None = None

    def __init__(self) -> None:
        self.calls: list[str] = []

    def audio_lost(self) -> None:
        self.calls.append("lost")

    def audio_back(self) -> None:
        self.calls.append("back")

    def end(self, keep: bool) -> None:
        self.calls.append("keep" if keep else "end")

    def close(self) -> None:
        self.calls.append("close")

    def tend(self) -> None:
        pass


def test_a_new_audio_process_may_play_only_once_its_ports_are_connected(stage: Stage) -> None:
    bypass = Bypass()
    stage.supervisor.bypass = bypass
    audio, _ = stage.children(audio="waits", pool="waits")
    words = stage.supervisor.shared.dry_words
    for _ in range(2):
        stage.tick()
        for callbacks in range(1, 4):
            assert words[DRY_MAY] != pid(audio) or callbacks == 3
            play(stage, audio, callbacks)
            stage.tick()
        assert words[DRY_MAY] == pid(audio)
        os.kill(pid(audio), signal.SIGKILL)
        stage.ended(audio)
        stage.tick()
        stage.tick(0.5)
    assert bypass.calls == ["back", "lost"] * 2


def test_end_stops_everybody_and_reaps(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "STOP_S", 0.5)
    children = stage.children(audio="waits", pool="waits", recorder="waits")
    stage.tick()
    numbers = [pid(c) for c in children]
    stage.supervisor._end()
    assert all(gone(n) for n in numbers)
    assert all(c.life is Life.STOPPED for c in children)


def test_a_system_that_can_start_nothing_takes_nobody_down(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio, pool = stage.children(audio="waits", pool="waits")
    stage.tick()
    before = pid(audio)
    os.kill(pid(pool), signal.SIGKILL)
    stage.ended(pool)

    def no_memory(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as poor:
        poor.setattr(subprocess, "Popen", no_memory)
        for _ in range(10):
            stage.tick(0.5)
            stage.beat(audio)
        assert pool.life is Life.BACKOFF
    for _ in range(3):
        stage.tick(BACKOFF_MAX_S / 2)
        stage.beat(audio)
    assert not gone(pid(pool))
    assert pid(audio) == before


ENTERS = "import sys; from engine.process import enter; enter(sys.argv[1], 'midi'); print('in')"


@pytest.mark.parametrize("alive", [True, False])
def test_a_child_whose_performance_ended_while_it_loaded_leaves(
    tmp_path: Path, alive: bool
) -> None:
    made = Shared.create(tmp_path / "performance", Patch())
    if not alive:
        gone = subprocess.Popen(["true"])
        gone.wait()
        facts = tmp_path / "performance" / "meta.json"
        facts.write_text(json.dumps({**made.meta, "pid": gone.pid}))
    command = [sys.executable, "-c", ENTERS, str(made.folder)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.stdout == ("in\n" if alive else "")
    assert ("has ended" in child.stderr) == (not alive)

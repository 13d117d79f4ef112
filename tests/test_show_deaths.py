"""Risk: the death of a part takes the sound with it, or the part comes back in the wrong place."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stage import (
    ANSWERS,
    BLOCK,
    CUE,
    MAIN,
    RATE,
    TEXTURE,
    Killed,
    Stage,
    delay_of,
    end,
    entered,
    first_run,
    interface,
    keyboard,
    looped,
    lost,
    music,
    soon,
    wrong,
)

from engine.bench.jackd import JackServer
from engine.bench.native import Recording, Witness

pytestmark = [pytest.mark.jack, pytest.mark.slow]
log = logging.getLogger("segue.show")

KILLS = 3
MIST = "texture.mist"
AUDIBLE = 0.001
BLOCKS_MAX = 2000  # allocated blocks that the audio process may grow by while parts die and return


@pytest.fixture
def server() -> Iterator[JackServer]:
    with JackServer(inputs=2, outputs=2) as server:
        yield server


class Heard:
    """What the interface captured, and what it should have been."""

    def __init__(self, recording: Recording, play: np.ndarray, stage: Stage) -> None:
        assert recording.play_frame is not None
        self.recording, self.play = recording, play
        self.begun = recording.play_frame
        self.events = stage.events()
        self.free = ~lost(recording, self.events)

    def index(self, frame: int) -> int:
        return frame - self.recording.start

    def played(self, first: int, last: int, delay: int) -> np.ndarray:
        """What the interface played, `delay` frames ago: (frames,)."""
        return looped(self.play, self.begun, first - delay, last - delay)[:, 0]

    def dry_delay(self, near: int) -> int:
        """Of the dry path, in the half second after a frame."""
        last = near + RATE // 2
        heard = self.recording.between(near, last)[:, MAIN][:, 0]
        ok = self.free[self.index(near) : self.index(last)]
        assert ok.any()
        delay = delay_of(heard[ok], lambda d: self.played(near, last, d)[ok])
        assert delay is not None, "dry sound is not what was played, at any delay"
        return delay

    def dry_equals(self, first: int, last: int, delay: int) -> np.ndarray:
        """Frame by frame: main is exactly what was played (bool)."""
        expected = self.played(first, last, delay)
        return np.asarray(
            (self.recording.between(first, last)[:, MAIN] == expected[:, None]).all(1)
        )

    def stem_equals(self, loop: np.ndarray, start: int, first: int, last: int) -> np.ndarray:
        """Frame by frame: cue is exactly the loop that has run since `start` (bool)."""
        expected = looped(loop, start, first, last)
        return np.asarray((self.recording.between(first, last)[:, CUE] == expected).all(1))


def performing(stage: Stage) -> dict[str, Any]:
    """Wait for sound, stems, answers and texture; the stem that plays."""
    stage.wait_sound()
    stage.let_in()
    soon(lambda: answered(stage, 0), "an answer")
    stem = stage.stems("playing")[0]
    soon(lambda: stage.frame() > stem["start_frame"] + RATE, "a second of the stem")
    return stem


def answered(stage: Stage, after: int) -> bool:
    """Voice 1 is the answer's."""
    return any(e["slot"] == 1 and e["frame"] > after for e in stage.events("note_on"))


def played_keys(stage: Stage, after: int) -> bool:
    return any(e["slot"] == 0 and e["frame"] > after for e in stage.events("note_on"))


def recorded(stage: Stage) -> int:
    """Bytes of the main bus on disk."""
    path = stage.session / "take-01" / "tracks" / "bus.main.au"
    return path.stat().st_size if path.exists() else 0


def new_stem(stage: Stage, after: int) -> bool:
    """Whether a stem was finished after a frame; asks for one where none is on its way."""
    if not stage.stems("requested", "generating", "late"):
        stage.ask(do="act", name="regenerate", role="drums")
    rows = stage.events("stem")
    return any(r["state"] == "ready" and r["frame"] > after for r in rows)


def back(stage: Stage, process: str, killed: Killed, pid: Callable[[], int | None]) -> None:
    """Another process has taken the place and gives a life sign."""
    soon(
        lambda: pid() not in (None, killed.pid) and stage.heard_from(process, killed.mono_ns),
        f"{process} back",
    )
    seconds = (time.monotonic_ns() - killed.mono_ns) / 1e9
    log.info("%s: beats again at most %.2f s after its death", process, seconds)


def python_facts(stage: Stage) -> dict[str, int]:
    path = stage.shared.file("python.json")
    soon(path.exists, "python.json")
    facts = json.loads(path.read_text())
    assert isinstance(facts, dict)
    return facts


def kill_all_but_audio(stage: Stage) -> dict[str, Killed]:
    """One after another, each when the one before is back at work."""
    killed: dict[str, Killed] = {}

    def kill(
        process: str, module: str, *args: str, works: Callable[[int], bool], fills: str = ""
    ) -> None:
        """fills: a ring that nobody else writes; what stood in it is its predecessor's work."""
        k = killed[process] = stage.kill(module, *args)
        back(stage, process, k, lambda: stage.pid(module, *args))
        if fills:
            before = stage.written(fills)
            soon(lambda: stage.written(fills) > before, f"{process} says something")
        soon(lambda: works(k.frame), f"{process} works again")
        log.info("%s: works again at most %.2f s after", process, (stage.frame() - k.frame) / RATE)

    kill("midi", "devices.midi.process", works=lambda f: played_keys(stage, f))
    kill(
        "conductor",
        "engine.conductor_process",
        works=lambda f: bool(stage.events("conductor_back")) and bool(stage.stems("playing")),
    )
    kill(
        "player.answer",
        "engine.player_host",
        "answer",
        works=lambda f: answered(stage, f),
        fills="answers.answer",
    )
    kill(
        "player.mist",
        "engine.player_host",
        "mist",
        works=lambda f: stage.level(MIST) > AUDIBLE,
        fills="texture.mist",
    )
    kill("listener", "engine.listener_host", works=lambda f: True, fills="observations")
    soon(lambda: recorded(stage), "a recording")
    size = recorded(stage)
    kill("recorder", "engine.recorder", works=lambda f: recorded(stage) > size)
    kill("pool", "engine.pool_host", works=lambda f: new_stem(stage, f))
    soon(stage.worker, "a worker")
    worker = stage.worker()
    assert worker is not None
    killed["worker"] = stage.kill_pid(worker)
    soon(lambda: stage.worker() not in (None, worker), "another worker")
    soon(lambda: new_stem(stage, killed["worker"].frame), "a stem after the worker's death")
    soon(lambda: stage.level(MIST) > AUDIBLE, "texture")  # a busy machine leaves it late, thus out
    return killed


def test_every_part_but_audio_dies_and_the_sound_goes_on(
    server: JackServer, tmp_path: Path
) -> None:
    play = music(10)
    keys = keyboard(server)
    try:
        native = Witness(server, name="native", inputs=["-"], outputs=["-"], through=True)
        witness = interface(server, play)
        with native, witness, Stage(server, tmp_path) as stage:
            stem = performing(stage)
            loop = stage.loop_of(stem)
            python = python_facts(stage)
            begun = stage.frame()
            killed = kill_all_but_audio(stage)
            until = stage.frame() + 3 * RATE
            soon(lambda: stage.frame() > until, "three seconds")
            after = python_facts(stage)
            playing = stage.stems("playing")
            heard = Heard(witness.recording(), play, stage)
            ended = heard.recording.end - RATE
    finally:
        end(keys)
    start = stem["start_frame"]
    delay = heard.dry_delay(begun)
    free = heard.free[heard.index(begun) : heard.index(ended)]
    gaps = [e for e in heard.events if e["event"] == "gap" and begun < e["frame"] < ended]
    log.info(
        "%.0f s: segue lost %d frames, the native client beside it %d",
        (ended - begun) / RATE,
        sum(e["a"] for e in gaps),
        sum(n for f, n in native.recording().gaps() if begun < f < ended),
    )
    assert free.mean() > 0.5
    assert not wrong(heard.dry_equals(begun, ended, delay), free, begun)
    assert [s["id"] for s in playing] == [stem["id"]]
    in_place = heard.stem_equals(loop, start + stem_delay(heard, loop, start), begun, ended)
    assert not wrong(in_place, free, begun)
    texture = heard.recording.between(killed["worker"].frame, ended)[:, TEXTURE]
    assert np.abs(texture).max() > AUDIBLE
    assert python["pid"] == after["pid"]
    assert python["collections"] == after["collections"] == 0
    assert after["allocated_blocks"] - python["allocated_blocks"] < BLOCKS_MAX


def stem_delay(heard: Heard, loop: np.ndarray, start: int) -> int:
    """0, or the period that a loop of JACK clients costs: by which our captures are late."""
    for delay in (0, BLOCK):
        first, last = start + delay, start + delay + RATE // 2
        ok = heard.free[heard.index(first) : heard.index(last)]
        cue = heard.recording.between(first, last)[:, CUE]
        if (cue == entered(loop, first, last)).all(1)[ok].all():
            return delay
    raise AssertionError("the stem does not stand at the frame that the log states")


def test_audio_dies_and_dry_sound_and_stems_are_back_in_their_places(
    server: JackServer, tmp_path: Path
) -> None:
    play = music(10)
    keys = keyboard(server)
    kills: list[Killed] = []
    try:
        witness = interface(server, play)
        with witness, Stage(server, tmp_path) as stage:
            stem = performing(stage)
            loop = stage.loop_of(stem)
            for _ in range(KILLS):
                killed = stage.kill("devices.audio.process")
                kills.append(killed)
                soon(lambda k=killed: resumed(stage, k.frame), "another audio process")
                until = stage.frame() + 2 * RATE
                soon(lambda u=until: stage.frame() > u, "two seconds")
                soon(lambda k=killed: played_keys(stage, k.frame), "keys after the audio's death")
            heard = Heard(witness.recording(), play, stage)
            ended = heard.recording.end - RATE
    finally:
        end(keys)
    start = stem["start_frame"]
    shift = stem_delay(heard, loop, start)
    delay = heard.dry_delay(kills[0].frame - RATE)
    for killed, last in zip(kills, [*(k.frame for k in kills[1:]), ended], strict=True):
        judge_death(heard, killed.frame, last, delay)
        judge_stem(heard, killed.frame, last, loop, start + shift)


def resumed(stage: Stage, after: int) -> bool:
    return any(e["frame"] > after for e in stage.events("resumed"))


def judge_death(heard: Heard, died: int, last: int, delay: int) -> None:
    """The dry path carries the dry sound, then segue again, for good."""
    taken = next(e["frame"] for e in heard.events if e["event"] == "resumed" and e["frame"] > died)
    silent = first_run(~heard.dry_equals(died, taken, delay), 1)
    assert silent is not None
    carried = [
        silent + at
        for at in (
            first_run(heard.dry_equals(died + silent, taken, d), BLOCK + 1) for d in (0, BLOCK)
        )
        if at is not None
    ]
    assert carried, "nobody carried the dry sound"
    again = first_run(heard.dry_equals(taken, last, delay), RATE // 4)
    assert again is not None, "dry sound is not what it was"
    log.info(
        "audio died: dry sound beside it after %.1f ms, by segue after %.0f ms",
        min(carried) / RATE * 1e3,
        (taken + again - died) / RATE * 1e3,
    )
    rest = taken + again
    free = heard.free[heard.index(rest) : heard.index(last)]
    assert not wrong(heard.dry_equals(rest, last, delay), free, rest)


def judge_stem(heard: Heard, died: int, last: int, loop: np.ndarray, start: int) -> None:
    """The loop goes on where it would have been without the death."""
    taken = next(e["frame"] for e in heard.events if e["event"] == "resumed" and e["frame"] > died)
    again = first_run(heard.stem_equals(loop, start, taken, last), RATE // 4)
    assert again is not None, "the stem is not in its place"
    log.info("audio died: stems in place after %.0f ms", (taken + again - died) / RATE * 1e3)
    rest = taken + again
    free = heard.free[heard.index(rest) : heard.index(last)]
    assert not wrong(heard.stem_equals(loop, start, rest, last), free, rest)
    assert np.abs(heard.recording.between(rest, last)[:, ANSWERS]).max() > 0.01

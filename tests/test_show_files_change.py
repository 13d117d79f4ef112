"""Risk: what happens to files under a performance is heard: a patch that is saved fifty times a
second, every other time broken; stems that are overwritten, cut off and deleted as they play."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest
import soundfile
from stage import OUTPUTS, PATCH, RATE, Stage, interface, music, soon

from engine.bench.jackd import JackServer
from engine.replay import Replay
from engine.replay_check import check
from engine.session import Session, read_session

pytestmark = [pytest.mark.jack, pytest.mark.slow]

A_SECOND = 50
SECONDS = 4


def played(stage: Stage, since: int, frames: int) -> None:
    soon(lambda: stage.frame() > since + frames, "the music goes on")


def untouched(session: Session, first: int, last: int) -> int:
    """How many frames of main in [first, last) are not the dry input, outside what was lost."""
    a, b = first - session.first_frame, last - session.first_frame
    line = session.tracks["input.line"][a:b].view(">u4")
    main = session.tracks["bus.main"][a:b].view(">u4")
    assert len(main) == b - a
    wrong = (main != line).any(axis=1)
    for frame, frames in session.jumps:
        wrong[max(0, frame - first) : max(0, frame + frames - first)] = False
    return int(wrong.sum())


def test_fifty_reloads_a_second_are_answered_and_none_is_heard(tmp_path: Path) -> None:
    with JackServer(inputs=2, outputs=2) as server, interface(server, music(10)):  # noqa: SIM117
        with Stage(server, tmp_path) as stage:
            stage.wait_sound()
            stage.let_in()
            good = stage.patch.read_text()
            versions = (
                good.replace("monitor2: 0", "monitor2: -6"),
                good[: len(good) // 2] + "\n: [",
                good.replace("program: 11", "program: 12"),  # needs a restart
                good,
            )
            assert len({*versions}) == len(versions)
            parts = ("devices.audio.process", "engine.conductor_process")
            before = [stage.pid(part) for part in parts]
            folder = stage.shared.folder
            assert folder is not None
            first = stage.frame()
            asked: list[socket.socket] = []
            for k in range(A_SECOND * SECONDS):
                stage.patch.write_text(versions[k % len(versions)])
                asked.append(socket.socket(socket.AF_UNIX))
                asked[-1].connect(str(folder / "control.sock"))
                asked[-1].sendall(b'{"do": "reload"}\n')
                played(stage, first, (k + 1) * RATE // A_SECOND)
            last = stage.frame()
            answers = [json.loads(s.makefile().readline()) for s in asked]
            for s in asked:
                s.close()
            stage.patch.write_text(versions[0])
            soon(lambda: "said" in stage.ask(do="reload"), "the last one is sound")
            assert [stage.pid(part) for part in parts] == before
            assert stage.stems("playing")
            soon(lambda: bool(stage.events("reload")), "the log, which a thread writes")
            folder_of_session = stage.session
    assert len(answers) == A_SECOND * SECONDS
    assert all("said" in a or "error" in a for a in answers)
    session = read_session(folder_of_session)
    assert untouched(session, first, last) == 0
    assert check(session, Replay(session)).equal


STEMS = PATCH.replace("maker: rules, bars: 1", "folder: {folder}, bars: 1, ahead: 1")


def test_stems_that_change_on_disk_play_on_as_they_were(tmp_path: Path) -> None:
    folder = tmp_path / "loops"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for name in ("one 120bpm.wav", "two 120bpm.wav"):
        soundfile.write(folder / name, rng.uniform(-0.3, 0.3, (2 * RATE, 2)), RATE)
    patch = STEMS.replace("{folder}", str(folder))
    with JackServer(inputs=2, outputs=2) as server, interface(server, music(10)) as witness:
        with Stage(server, tmp_path, patch=patch) as stage:
            stage.wait_sound()
            stage.let_in()
            (stem,) = stage.stems("playing")
            loop = stage.loop_of(stem)
            assert np.abs(loop).max() > 0.05
            one, two = sorted(folder.iterdir())
            first = stage.frame()
            one.write_bytes(b"RIFF and then nothing")
            played(stage, first, RATE)
            with two.open("r+b") as file:
                file.truncate(1000)
            played(stage, first, 2 * RATE)
            one.unlink()
            two.unlink()
            played(stage, first, 4 * RATE)
            assert stage.stems("playing")[0]["id"] == stem["id"]
            session = read_session(stage.session)
        assert witness.recording().audio.shape[1] == OUTPUTS
    a = first - session.first_frame
    heard = session.tracks["bus.cue"][a : a + 4 * RATE].astype(np.float32)
    start = (first - int(stem["start_frame"])) % len(loop)
    wanted = np.roll(loop, -start, axis=0)
    wanted = np.tile(wanted, (1 + len(heard) // len(loop), 1))[: len(heard)]
    inside = np.arange(len(heard)) % len(loop)
    seam = np.minimum((inside + start) % len(loop), len(loop) - (inside + start) % len(loop))
    same = np.isclose(heard, wanted, atol=1e-6).all(axis=1)
    assert same[seam > RATE // 10].mean() > 0.98  # slices may join a little off their places
    assert check(session, Replay(session)).equal

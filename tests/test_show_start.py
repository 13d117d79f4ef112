"""Risk: something wrong at the start leaves half a performance, or takes the sound with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from stage import BLOCK, MAIN, RATE, Stage, delay_of, interface, looped, lost, music, soon

from engine.bench.jackd import JackServer
from engine.patch_load import load_patch
from engine.shm import Shared
from engine.shm_records import AudioPhase

pytestmark = pytest.mark.jack
PATCHES = Path(__file__).parents[1] / "patches"
PRIVATE_MAX = 100 * 1024 * 1024

MINIMAL = """
name: wrong
inputs:
  line: {channel: 1, to: {main: 0}}
outputs:
  main: {channels: [1, 2]}
"""
WAITING = """
name: waiting
audio: {{device: "{device}"}}
inputs:
  line: {{channel: 1, to: {{main: 0}}}}
players:
  mist: {{model: rave, listens: line, checkpoint: "CHECKPOINT", to: {{cue: 0}}}}
outputs:
  main: {{channels: [1, 2]}}
"""


@pytest.fixture
def server() -> Iterator[JackServer]:
    with JackServer(inputs=2, outputs=8) as server:
        yield server


def run_wrong(server: JackServer, patch: Path) -> str:
    """`segue run` of a patch that is none; what it said. Nothing of it may be left."""
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", "run", str(patch), "--name", server.name],
        env=server.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert not list(Path("/dev/shm").glob(f"segue-{os.getuid()}-{server.name}-*"))
    assert [p for p in server.ports() if not p.startswith("system:")] == []
    return done.stderr


@pytest.mark.parametrize(
    ("wrong", "key", "line"),
    [
        ("audio: {block: eight}\n", "block", 7),
        ("nonsense: 1\n", "nonsense", 7),
        ("clock: {bpm: 0}\n", "bpm", 7),
    ],
)
def test_a_wrong_patch_is_told_and_starts_nothing(
    server: JackServer, tmp_path: Path, wrong: str, key: str, line: int
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(MINIMAL + wrong)
    said = run_wrong(server, path)
    assert re.search(rf"wrong\.yaml:{line}\b", said)
    assert key in said
    assert "expected" in said


@pytest.mark.parametrize("head", [b"", b"RIFF\xf8\x0f\0\0sfbk"])
def test_a_soundfont_that_is_none_is_told_and_starts_nothing(
    server: JackServer, tmp_path: Path, head: bytes
) -> None:
    font = tmp_path / "noise.sf2"
    font.write_bytes(head + os.urandom(4096))
    path = tmp_path / "font.yaml"
    path.write_text(MINIMAL + f"soundfont: {font}\n")
    said = run_wrong(server, path)
    assert "font.yaml:7: soundfont" in said or "noise.sf2: cannot be played" in said


def test_a_missing_device_is_waited_for_and_a_bad_checkpoint_silences_its_player_only(
    server: JackServer, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "noise.ts"
    checkpoint.write_bytes(os.urandom(4096))
    patch = WAITING.replace("CHECKPOINT", str(checkpoint))
    play = music(10)
    with Stage(server, tmp_path, device="stage", patch=patch) as stage:
        soon(lambda: "'stage' matches nothing" in stage.said.read_text(), "the missing device")
        witness = interface(server, play, captures=2)
        with witness:
            stage.wait_sound()
            begun = stage.frame() + RATE // 4
            soon(lambda: "player.mist is off" in stage.said.read_text(), "the bad checkpoint")
            until = stage.frame() + 2 * RATE
            soon(lambda: stage.frame() > until, "two seconds")
            events = stage.events()
    assert "noise.ts" in stage.said.read_text()
    assert stage.process is not None
    assert stage.process.returncode == 0
    heard = witness.recording()
    last = begun + 2 * RATE
    main = heard.between(begun, last)[:, MAIN]
    ok = ~lost(heard, events)[begun - heard.start : last - heard.start]
    start = heard.play_frame
    assert start is not None
    assert ok.sum() > RATE
    assert np.array_equal(main[ok, 0], main[ok, 1])
    assert delay_of(main[ok, 0], lambda d: looped(play, start, begun - d, last - d)[ok, 0]) == BLOCK


def private_bytes(pid: int) -> int:
    """What only this process holds in memory, without the arena of the stems."""
    total, arena = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            arena = line.endswith("/arena")
        elif not arena and line.startswith(("Private_Clean", "Private_Dirty")):
            total += 1024 * int(line.split()[1])
    return total


@pytest.mark.parametrize("name", ["stage.yaml", "demo.yaml"])
def test_the_audio_process_is_small(server: JackServer, tmp_path: Path, name: str) -> None:
    shared = Shared.create(tmp_path / "shared", load_patch(PATCHES / name))
    audio = subprocess.Popen(
        [sys.executable, "-m", "devices.audio.process", str(shared.folder)], env=server.env
    )

    def plays() -> bool:
        clock = shared.clock()
        return clock is not None and clock.phase is AudioPhase.RUNNING and clock.callbacks > 800

    try:
        soon(plays, "two seconds of sound")
        held = private_bytes(audio.pid)
    finally:
        audio.terminate()
        audio.wait()
    assert audio.returncode == 0
    assert 0 < held <= PRIVATE_MAX, f"{held / 2**20:.1f} MB"

"""Risk: between two runs the dry sound is silent, doubled, or at the wrong outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from devices.audio.bypass import JackBypass, carried
from engine.bench.jackd import JackServer, wait_until
from engine.bench.native import Witness
from engine.patch import Audio, Input, Output, Patch
from engine.shm import Shared
from engine.shm_records import DRY_COVERING

ONE_TWO = {"main": Output((1, 2)), "monitor1": Output((3,)), "cue": Output((4,))}


def patch(device: str, **inputs: Input) -> Patch:
    return Patch(audio=Audio(device=device), inputs=inputs, outputs=ONE_TWO)


def test_only_main_and_sends_near_unity_are_carried() -> None:
    sends = {"main": -9.0, "monitor1": -0.8, "monitor2": -6.0, "cue": 1.0, "click": 3.0}
    assert carried(Input(channel=1, to=sends)) == ["main", "monitor1", "cue"]
    assert carried(Input(channel=1, trim_db=6.0, to=sends)) == ["main", "monitor2"]
    assert carried(Input(channel=1, to={"cue": -3.0})) == []


def test_without_a_server_there_is_nothing_to_connect() -> None:
    bypass = JackBypass(patch("stage", voice=Input(channel=1, to={"main": 0.0})))
    assert bypass.pairs("segue") == []
    bypass.tend()
    bypass.end(keep=True)
    bypass.close()


def connected(server: JackServer) -> set[tuple[str, str]]:
    return {(a, b) for a, b in server.connections() if a.startswith("stage:out")}


class Perform:
    """What the supervisor's bypass shares with an audio process; here nobody plays."""

    def __init__(self, patch: Patch, folder: Path) -> None:
        self.shared = Shared.create(folder, patch)
        self.bypass = JackBypass(patch)
        self.bypass.shared = self.shared


def test_the_next_run_takes_over_what_the_last_one_left(server: JackServer, tmp_path: Path) -> None:
    sends = {"main": -3.0, "monitor1": 0.0, "cue": -6.0}
    asked = patch(
        "^JACK Audio Connection Kit: stage$",
        voice=Input(channel="out_2", to=sends),
        line=Input(channel=1, dry="hardware", to=sends),
        gone=Input(channel=9, to=sends),
    )
    sound = np.full((128, 2), 0.25, np.float32)
    kept = {("stage:out_2", f"stage:in_{k}") for k in (1, 2, 3)}
    beside = {("stage:out_2", "segue-dry:in_0")}
    with Witness(
        server, name="stage", inputs=["-"] * 4, outputs=["-"] * 2, play=sound, loop=True
    ) as witness:
        last = Perform(asked, tmp_path / "last").bypass
        last.tend()
        assert connected(server) == beside
        last.end(keep=True)
        last.close()
        assert connected(server) == kept
        following = Perform(asked, tmp_path / "following")
        following.bypass.tend()  # with levels of its own: what JACK carries is taken back
        assert connected(server) == beside
        following.bypass.tend()
        assert wait_until(lambda: following.shared.dry_words[DRY_COVERING], 20)
        first = int(witness.recording().end)
        assert wait_until(lambda: witness.recording().end > first + 48_000, 20)
        following.bypass.end(keep=False)
        following.bypass.close()
        assert connected(server) == set()
    heard = witness.recording().between(first + 256, first + 1024)
    wanted = 0.25 * 10 ** (np.array([-3.0, -3.0, 0.0, -6.0]) / 20)
    assert np.median(heard, axis=0) == pytest.approx(wanted, rel=1e-6)


def test_a_device_that_is_not_there_connects_nothing(server: JackServer, tmp_path: Path) -> None:
    bypass = Perform(patch("nowhere", voice=Input(channel=1, to={"main": 0.0})), tmp_path / "p")
    bypass.bypass.tend()
    bypass.bypass.end(keep=True)
    bypass.bypass.close()
    assert not [pair for pair in server.connections() if "segue" in "".join(pair)]

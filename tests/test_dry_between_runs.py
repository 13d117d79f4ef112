"""Risk: between two runs the dry sound is silent, doubled, or at the wrong outputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from devices.audio.bypass import JackBypass, carried
from engine.bench.jackd import JackServer
from engine.bench.native import Witness
from engine.patch import Audio, Input, Output, Patch

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
    assert not bypass.close_gap()
    bypass.release()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JackServer]:
    with JackServer() as running:
        monkeypatch.setenv("JACK_DEFAULT_SERVER", running.name)
        monkeypatch.setenv("JACK_NO_START_SERVER", "1")
        yield running


def connected(server: JackServer) -> set[tuple[str, str]]:
    return {(a, b) for a, b in server.connections() if a.startswith("stage:out")}


def test_the_next_run_takes_over_what_the_last_one_left(server: JackServer) -> None:
    sends = {"main": -3.0, "monitor1": 0.0, "cue": -6.0}
    asked = patch(
        "^JACK Audio Connection Kit: stage$",
        voice=Input(channel="out_2", to=sends),
        line=Input(channel=1, dry="hardware", to=sends),
        gone=Input(channel=9, to=sends),
    )
    sound = np.zeros((128, 2), np.float32)
    wanted = {("stage:out_2", f"stage:in_{k}") for k in (1, 2, 3)}
    with Witness(server, name="stage", inputs=["-"] * 4, outputs=["-"] * 2, play=sound, loop=True):
        last = JackBypass(asked)
        last.tend()
        assert last.close_gap()
        assert connected(server) == wanted
        following = JackBypass(asked)
        following.tend()
        assert following.close_gap()  # made already: as good as made now
        assert connected(server) == wanted
        last.close()
        assert connected(server) == wanted
        following.release()
        assert connected(server) == set()
        following.close()


def test_a_device_that_is_not_there_connects_nothing(server: JackServer) -> None:
    bypass = JackBypass(patch("nowhere", voice=Input(channel=1, to={"main": 0.0})))
    bypass.tend()
    assert not bypass.close_gap()
    assert connected(server) == set()
    bypass.close()

"""Risk: a witness that is wrong: frames shifted, losses hidden, or deaf to a dead server."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from engine.bench import native
from engine.bench.jackd import JackServer, wait_until
from engine.bench.native import (
    CYCLE,
    EXIT_SERVER_DIED,
    LATE,
    LOST,
    SKIPPED,
    NativeError,
    Recording,
    Witness,
    build_witness,
)

BLOCK = 128
SOUND = np.random.default_rng(7).uniform(-0.5, 0.5, (24_000, 2)).astype(np.float32)


def recording(cycles: np.ndarray) -> Recording:
    return Recording(48_000, BLOCK, 0, None, np.zeros((0, 0)), cycles, 0, False)


def test_losses_are_told_cycle_by_cycle() -> None:
    cycles = np.zeros(4, CYCLE)
    cycles["frame"] = [0, 128, 640, 768]
    cycles["frames"] = BLOCK
    cycles["flags"] = [0, LATE, SKIPPED, LOST]
    cycles["skipped"] = [0, 0, 384, 0]
    heard = recording(cycles)
    assert heard.missed().tolist() == [128, 256, 384, 512]
    assert heard.gaps() == [(256, 384), (768, 128)]
    assert heard.end == 896
    with pytest.raises(IndexError, match="captured are 0 to 0"):
        heard.between(0, 1)


def test_missing_compiler_and_headers_name_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "witness.c"
    source.write_text("int main(void) { return 0 }\n")
    with pytest.raises(NativeError, match="cannot compile"):
        build_witness(source)
    source.write_text('#error "jack/jack.h: No such file"\n')
    with pytest.raises(NativeError, match="libjack-jackd2-dev"):
        build_witness(source)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NativeError, match="Debian's gcc"):
        build_witness(source)


def test_compiled_once_for_each_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "witness.c"
    source.write_text("int main(void) { return 0; }\n")
    first = build_witness(source)
    assert first.parent == tmp_path / "segue"
    assert build_witness(source) == first
    source.write_text("int main(void) { return 1; }\n")
    assert build_witness(source) != first
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build_witness(source).exists()  # no compiler needed any more


@pytest.mark.jack
def test_what_was_played_is_captured_at_its_frame_through_another_client() -> None:
    server = JackServer(block=BLOCK)
    with server:
        through = Witness(server, name="through", inputs=["-"] * 2, outputs=["-"] * 2, through=True)
        peers = [f"{name}:out_{k}" for name in ("player", "through") for k in (1, 2)]
        capture = Witness(server, name="capture", inputs=peers)
        with through, capture:
            at = capture.start_frame + 48_000
            player = Witness(
                server,
                name="player",
                outputs=["through:in_1", "through:in_2"],
                play=SOUND,
                play_at=at,
            )
            with player:
                player.wait_connected()
                capture.wait_connected()
                assert wait_until(lambda: capture.recording().end > at + len(SOUND) + 4096, 20)
        heard = capture.recording()
        clients = [w.recording() for w in (player, through, capture)]
    assert clients[0].play_frame == at
    sound = np.concatenate([SOUND, np.zeros((4096, 2), np.float32)])
    good = np.ones(len(sound), bool)  # frames that no client of the chain missed
    for missed in np.concatenate([r.missed() for r in clients]) - at:
        good[max(missed - BLOCK, 0) : max(missed + 2 * BLOCK, 0)] = False
    assert good.mean() > 0.5
    got = heard.between(at, at + len(sound))[good]
    np.testing.assert_array_equal(got[:, :2], sound[good])
    np.testing.assert_array_equal(got[:, 2:], sound[good])
    for witness in (through, capture, player):
        witness.remove()
        assert not witness.folder.exists()


@pytest.mark.jack
def test_what_is_held_begins_when_it_is_told_to() -> None:
    with JackServer(block=BLOCK) as server:
        player = Witness(server, name="player", outputs=["capture:in_1,capture:in_2"] * 2,
                         play=SOUND, hold=True)  # fmt: skip
        with Witness(server, name="capture", inputs=["-"] * 2) as capture, player:
            player.wait_connected()
            before = capture.recording().end
            assert wait_until(lambda: capture.recording().end > before + 4096, 20)
            assert player.recording().play_frame is None
            at = player.begin()
            assert at >= before + 4096
            assert wait_until(lambda: capture.recording().end > at + len(SOUND), 20)
        assert not capture.recording().between(before, at).any()
        assert capture.recording().between(at, at + len(SOUND)).any()
        player.remove()
        with pytest.raises(NativeError, match="does not run"):
            player.begin()


@pytest.mark.jack
def test_a_stalled_client_confesses_and_reconnects_to_a_peer_that_returns() -> None:
    with JackServer(block=BLOCK) as server:
        witness = Witness(server, name="listener", inputs=["peer:out_1"])
        with witness:
            for _ in range(2):
                with Witness(server, name="peer", outputs=["-"]):
                    assert wait_until(
                        lambda: ("peer:out_1", "listener:in_1") in server.connections(), 10
                    )
            assert witness.process is not None
            # started before: the server waits for a stopped client when another comes or goes
            with Witness(server, name="beside") as beside:
                os.kill(witness.process.pid, signal.SIGSTOP)
                frozen = witness.recording().end
                assert wait_until(lambda: beside.recording().end > frozen + 9600, 10)
                os.kill(witness.process.pid, signal.SIGCONT)
            assert wait_until(lambda: witness.recording().end > frozen + 9600, 10)
        heard = witness.recording()
        assert sum(frames for _, frames in heard.gaps()) >= 4800
        assert len(heard.missed()) >= 4800 // BLOCK
        witness.remove()
        beside.remove()


@pytest.mark.jack
def test_death_of_the_server_ends_it_with_its_own_code_and_keeps_the_capture() -> None:
    with JackServer(block=BLOCK) as server:
        witness = Witness(server, inputs=["-"]).start()
        assert wait_until(lambda: witness.recording().end > witness.start_frame + 4800, 10)
        server.kill()
        assert witness.wait(10) == EXIT_SERVER_DIED
        heard = witness.recording()
        assert heard.server_died
        assert len(heard.audio) >= 4800
        witness.remove()
    with pytest.raises(NativeError, match="no JACK server answers"):
        Witness(server).start()


def test_layouts_are_those_of_the_c_source() -> None:
    source = native.SOURCE.read_text()
    struct = source[source.index("typedef struct {") : source.index("} Cycle;")]
    fields = [line.split(";")[0].split()[-1] for line in struct.splitlines() if "_t " in line]
    assert list(CYCLE.names or ()) == fields

"""Risk: `bench forward` measures something else than it says."""

from __future__ import annotations

import struct
import time
from dataclasses import replace

import numpy as np
import pytest

from engine.bench.forward import (
    LedgerReader,
    PeerCost,
    bench_forward,
    miss_figures,
    segue_missed,
    source_sound,
)
from engine.bench.jackd import JackServer
from engine.bench.native import CYCLE, SKIPPED, Recording, Witness
from engine.bench.scsynth import INPUTS, STEMS, TEXTURES, VOICES, Scsynth, busiest_ns
from engine.bench.scsynth_synthdef import AUDIO, SynthDef
from engine.shm_records import LEDGER

BLOCK = 128


def ledger(*frames: int) -> np.ndarray:
    rows = np.zeros(len(frames), LEDGER)
    rows["frame"] = frames
    rows["frames"] = BLOCK
    rows["cpu_ns"] = 100_000
    return rows


def test_late_blocks_and_blocks_never_begun_are_both_missed() -> None:
    rows = ledger(0, 128, 512, 640)
    rows["late_us"] = [0, 5, 0, -300]
    assert segue_missed(rows, BLOCK).tolist() == [128, 256, 384]
    assert segue_missed(ledger(0, 128), BLOCK).tolist() == []


def test_only_cycles_both_were_there_for_are_compared() -> None:
    cycles = np.zeros(3, CYCLE)
    cycles["frame"] = [1280, 2560, 12800]
    cycles["frames"] = BLOCK
    cycles["flags"] = [0, SKIPPED, 0]
    cycles["skipped"] = [0, 128, 0]
    native = Recording(48_000, BLOCK, 1280, None, np.zeros((0, 0)), cycles, 0, False)
    source = replace(native, start=0, cycles=cycles[:2])
    rows = ledger(*range(0, 12800, BLOCK))
    rows["late_us"][[2, 19, 40]] = 9  # before the native client came; excused; ours
    figures = miss_figures(rows, native, source, BLOCK)
    cycles_seen = (12800 - BLOCK - 1280) // BLOCK
    assert figures["cycles"] == cycles_seen
    assert (figures["segue"], figures["native"], figures["source"]) == (2, 1, 1)
    assert figures["excess_per_100k"] == pytest.approx(100_000 / cycles_seen)
    assert figures["excess_per_100k_bound95"] > figures["excess_per_100k"]


def test_ledger_is_read_once_in_order_and_losses_are_counted() -> None:
    table = ledger(*range(4))
    reader = LedgerReader(np.array([3]), table)
    assert reader.new()["frame"].tolist() == [0, 1, 2]
    reader.count[0] = 5
    table["frame"][0] = 4
    assert reader.new()["frame"].tolist() == [3, 4]
    assert len(reader.new()) == 0
    reader.count[0] = 15
    table["frame"] = [12, 13, 14, 11]
    assert reader.new()["frame"].tolist() == [11, 12, 13, 14]
    assert reader.lost == 6


def test_ratios_are_of_thread_to_thread_and_of_work_to_work() -> None:
    cost = PeerCost(
        cycles=10, rest_cycles=5, segue_ns=3_000_000, scsynth_ns=2_000_000, rest_ns=500_000
    )
    figures = cost.figures(callback_us=200.0)
    assert figures["load_ratio"] == pytest.approx(1.5)
    assert figures["dsp_ratio"] == pytest.approx(2.0)
    assert busiest_ns({1: 5, 2: 7}, {1: 6, 2: 17, 3: 4}) == 10


def test_the_inputs_really_sound() -> None:
    sound = source_sound(48_000, seconds=1)
    assert sound.shape == (48_000, INPUTS)
    assert np.abs(sound).max() == pytest.approx(0.5)
    assert (np.sqrt((sound**2).mean(axis=0)) > 0.05).all()


def test_synthdef_bytes_are_the_documented_format() -> None:
    d = SynthDef("hum", {"gain": 0.5})
    sine = d.ugen("SinOsc", AUDIO, [440.0, 0.0])
    d.out(0.0, [d.mul(sine, d["gain"])])
    expected = b"SCgf" + struct.pack(">ih", 2, 1) + b"\x03hum"
    expected += struct.pack(">i2f", 2, 440.0, 0.0)
    expected += struct.pack(">ifi", 1, 0.5, 1) + b"\x04gain" + struct.pack(">i", 0)
    expected += struct.pack(">i", 4)
    expected += b"\x07Control" + struct.pack(">biih", 1, 0, 1, 0) + b"\x01"
    expected += b"\x06SinOsc" + struct.pack(">biih", 2, 2, 1, 0)
    expected += struct.pack(">4i", -1, 0, -1, 1) + b"\x02"
    expected += b"\x0cBinaryOpUGen" + struct.pack(">biih", 2, 2, 1, 2)
    expected += struct.pack(">4i", 1, 0, 0, 0) + b"\x02"
    expected += b"\x03Out" + struct.pack(">biih", 2, 2, 0, 0)
    expected += struct.pack(">4i", -1, 1, 2, 0) + struct.pack(">h", 0)
    assert d.encode() == expected


@pytest.mark.jack
def test_the_peer_plays_the_whole_mix_and_is_heard() -> None:
    with JackServer(inputs=INPUTS, outputs=2) as server:
        sound = source_sound(server.rate, seconds=1)
        feed = [f"scsynth:in_{k + 1}" for k in range(INPUTS)]
        outputs = [f"scsynth:out_{k + 1}" for k in range(10)]
        source = Witness(server, name="source", outputs=feed, play=sound, play_at=0, loop=True)
        with source, Scsynth(server) as peer:
            source.wait_connected()
            assert peer.status()[1] == INPUTS + STEMS + TEXTURES + VOICES + 1
            with Witness(server, name="ear", inputs=outputs) as ear:
                ear.wait_connected()
                peer.run(on=True)
                first = ear.recording().end
                end = time.monotonic() + 10
                while ear.recording().end < first + 24_000 and time.monotonic() < end:
                    peer.sync()
        heard = ear.recording().between(first + 12_000, first + 24_000)
    loud = np.sqrt((heard.astype(np.float64) ** 2).mean(axis=0))
    assert (loud[:6] > 0.01).all()  # main and monitors
    np.testing.assert_allclose(heard[-1, 6:], [0.0, 0.1, 0.2, 0.3], atol=1e-3)  # CV
    assert np.isfinite(heard).all()


class NativeLoad:
    """A native pass-through client in segue's place; its ledger is made from its cycle log."""

    def start(self, server: JackServer) -> None:
        peers = ["-"] * INPUTS
        self.witness = Witness(
            server, name="segue", inputs=peers, outputs=peers, through=True, capture=False
        ).start()
        self.reported = 0

    @property
    def pid(self) -> int:
        assert self.witness.process is not None
        return self.witness.process.pid

    def rows(self) -> np.ndarray:
        cycles = self.witness.recording().cycles[self.reported :]
        self.reported += len(cycles)
        rows = np.zeros(len(cycles), LEDGER)
        rows["frame"], rows["frames"] = cycles["frame"], cycles["frames"]
        rows["cpu_ns"] = cycles["used_us"] * 1000 + 1
        rows["late_us"] = cycles["flags"] & 1
        return rows

    def stop(self) -> None:
        self.witness.remove()


@pytest.mark.jack
def test_a_native_client_under_the_bench_costs_less_than_the_peer() -> None:
    figures = bench_forward(NativeLoad(), block=256, seconds=2.0)
    assert figures["period_us"] == pytest.approx(256e6 / 48_000)
    assert figures["missed"]["cycles"] > 100
    assert figures["peers"]["scsynth"]["load_ratio"] < 1
    assert 0 < figures["cpu_us"]["p50"] <= figures["cpu_us"]["p999"] <= figures["cpu_us"]["max"]
    assert figures["share_p999"] == figures["cpu_us"]["p999"] / figures["period_us"]

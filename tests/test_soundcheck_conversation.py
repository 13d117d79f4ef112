"""Risk: the sound check writes a figure that was not measured, or one under the wrong name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from command_hand import Hand

from engine import cli_rig
from engine.bench.jackd import JackServer
from engine.bench.native import Witness
from engine.channel_map import plain_map
from engine.inserts import late_frames
from engine.patch import Input, Insert, Output, Patch
from engine.rig import Rig, RigInput
from engine.rig_load import load_rig
from engine.rig_place import place
from engine.soundcheck import STEPS, Soundcheck, parse_note
from models.aubio.tuning import pitches

PATCH = Patch(
    inputs={
        "horn": Input(channel=2, to={"main": -6.0, "monitor1": 0.0}),
        "line": Input(channel=1, dry="hardware", to={"main": 0.0, "monitor1": -10.0}),
    },
    outputs={"main": Output(channels=(1, 2)), "monitor1": Output(channels=(3,))},
)
RATE = 48_000
LATE = 500
# What of each output comes back at each input: a loop of 0.1 from main left to horn, and so on.
BACK = {(0, 1): 0.1, (1, 1): 0.1, (2, 1): 0.02, (2, 0): 0.3}


class Hall:
    """An interface in a hall: `playing` sounds at every input while nothing else does."""

    name, rate = "hall", RATE
    inputs = ["in 1", "in 2"]  # noqa: RUF012
    outputs = ["out 1", "out 2", "out 3"]  # noqa: RUF012

    def __init__(self, back: dict[tuple[int, int], float]) -> None:
        self.back = back
        self.playing: tuple[int, float, float] | None = None  # input, Hz, peak
        self.levels: list[float] = []

    def run(self, play: np.ndarray) -> np.ndarray:
        self.levels.append(float(np.abs(play).max()))
        x = np.random.default_rng(len(self.levels)).normal(0.0, 1e-4, (len(play), 2))
        for (output, channel), gain in self.back.items():
            x[LATE:, channel] += gain * play[:-LATE, output]
        if self.playing is not None:
            channel, hz, peak = self.playing
            t = np.arange(len(play)) / RATE
            x[:, channel] += peak * np.sin(2 * np.pi * hz * t)
        return x.astype(np.float32)


class Person:
    """For each question the first answer whose key is in it; questions are kept."""

    def __init__(self, answers: dict[str, str], on: Callable[[str], None]) -> None:
        self.answers, self.on = answers, on
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def ask(self, text: str) -> str:
        self.said.append(text)
        assert len(self.said) < 200, "it asks for ever"
        self.on(text)
        return next((a for key, a in self.answers.items() if key in text), "")

    @contextmanager
    def until_enter(self) -> Iterator[Callable[[], bool]]:
        yield lambda: False


def check(
    answers: dict[str, str], back: dict[tuple[int, int], float] = BACK
) -> tuple[Soundcheck, Person, Hall]:
    hall = Hall(back)

    def on(text: str) -> None:
        hall.playing = None
        if "play horn" in text:
            hall.playing = (1, 233.1, 0.05)
        if "play line" in text:
            hall.playing = (0, 330.0, 0.5)
        if text.startswith("Tuning"):
            hall.playing = (1, 442.5 / 2, 0.05)

    person = Person(answers, on)
    sound = Soundcheck(PATCH, plain_map(PATCH), hall, person, pitches)
    sound.run()
    return sound, person, hall


def test_a_whole_sound_check() -> None:
    sound, _, hall = check({})
    got = sound.changes
    assert got["inputs", "horn", "noise_db"] == pytest.approx(-80.0, abs=0.3)
    assert got["inputs", "horn", "trim_db"] == pytest.approx(14.0, abs=1.0)
    assert got["inputs", "line", "trim_db"] == pytest.approx(-6.0, abs=1.0)
    assert got["audio", "round_trip_ms"] == pytest.approx(1000 * LATE / RATE, abs=0.003)
    # two speakers of 0.1 each, 6 dB down, with the new trim
    main = -20 * np.log10(0.2) + 6.0 - got["inputs", "horn", "trim_db"]
    # noise 20 dB below what comes back makes it careful, never careless
    assert main - 1.5 < got["inputs", "horn", "ring_out_db", "main"] < main + 0.3
    # what the interface itself carries makes no loop of ours, but its monitor send does
    assert ("inputs", "line", "ring_out_db", "main") not in got
    line = -20 * np.log10(0.3) + 10.0 - got["inputs", "line", "trim_db"]
    assert line - 1.5 < got["inputs", "line", "ring_out_db", "monitor1"] < line + 0.3
    both = sound.figures["ring_out"]["monitor1"]["all"]["margin_db"]
    each = [got["inputs", n, "ring_out_db", "monitor1"] for n in ("horn", "line")]
    assert both < min(each)
    assert got["tuning_hz",] == pytest.approx(442.5, abs=0.15)
    assert max(hall.levels) <= 10 ** (-40 / 20) * 1.001


def test_everything_may_be_skipped_and_nothing_is_written_then() -> None:
    sound, _, hall = check({"s: skip": "s"})
    assert sound.changes == {}
    assert sound.figures == {}
    assert hall.levels == []


def test_where_no_cable_is_there_is_no_round_trip() -> None:
    sound, person, _ = check({"Tuning": "s"}, {})
    assert ("audio", "round_trip_ms") not in sound.changes
    assert any("nothing came back clearly" in text for text in person.said)
    assert any("at least" in text and "before it howls" in text for text in person.said)


PEDALS = Patch(
    inputs={
        "horn": Input(
            channel=1, to={"main": 0.0}, insert=Insert(send="monitor1", returns="pedals")
        ),
        "pedals": Input(channel=2),
    },
    outputs={"main": Output(channels=(1, 2)), "monitor1": Output(channels=(3,))},
)


@pytest.mark.parametrize("plugged", [True, False])
def test_a_pedals_way_is_measured_from_its_monitor_to_its_return(plugged: bool) -> None:
    hall = Hall({(2, 1): 0.5} if plugged else {(2, 0): 0.5})
    person = Person({}, lambda _: None)
    sound = Soundcheck(PEDALS, plain_map(PEDALS), hall, person, pitches)
    sound.run(("pedals",))
    if plugged:
        assert sound.changes == {
            ("inputs", "pedals", "late_ms"): pytest.approx(1000 * LATE / RATE, abs=0.003)
        }
        placed = place(PEDALS, Rig(inputs={"pedals": RigInput(late_ms=1000 * LATE / RATE)}))
        assert late_frames(placed, placed.inputs["horn"].insert, RATE) == LATE
    else:
        assert sound.changes == {}
        assert any("is it plugged in" in text for text in person.said)


def test_a_note_that_is_not_the_one_asked_for_is_asked_again() -> None:
    hall = Hall({})
    answers = iter(["Q", "Bb", "A", "s"])
    person = Person({}, lambda text: None)
    person.ask = lambda text: next(answers)  # type: ignore[method-assign]
    hall.playing = (1, 442.5 * 2 ** (3 / 12), 0.05)
    sound = Soundcheck(PATCH, plain_map(PATCH), hall, person, pitches)
    sound.run(("tuning",))
    assert sound.changes == {}
    assert [text.strip()[:6] for text in person.said] == ["A note", "horn: ", "horn: "]


@pytest.mark.parametrize(
    ("text", "key"),
    [("", 69), ("a", 69), ("Bb", 70), ("C", 60), ("f#", 66), ("Cb", 71), ("s", None), ("x1", None)],
)
def test_notes(text: str, key: int | None) -> None:
    assert parse_note(text) == key


def test_steps_are_those_of_the_command() -> None:
    assert STEPS == cli_rig.STEPS


# ---- the real thing

VENUE = """
inputs: {horn: {to: {main: -6}}}
outputs: {main: {}}
"""
RIG = """\
# the hall
name: "hall"
audio: {device: "^JACK.*: stage$"}
inputs:
  horn: {channel: 2}  # by the door
outputs: {main: {channels: [1, 2]}}
"""


def converse(hand: Hand, answers: list[tuple[str, str]]) -> None:
    for question, answer in answers:
        hand.wait_for(question)
        hand.type(answer)


@pytest.mark.slow
@pytest.mark.jack
def test_the_real_thing_over_jack(tmp_path: Path) -> None:
    patch, rig = tmp_path / "patch.yaml", tmp_path / "my rig 🎺.yaml"
    patch.write_text(VENUE)
    rig.write_text(RIG)
    play = np.zeros((RATE, 2), np.float32)
    t = np.arange(RATE) / RATE
    play[:, 1] = 0.1 * sum(np.sin(2 * np.pi * 221 * k * t) / k for k in (1, 2, 3, 4))
    # a period is a block: a cycle that a stalled machine loses or plays twice leaves no edge
    seamless = np.zeros((RATE, 2), np.float32)
    seamless[:, 1] = 0.1 * sum(np.sin(2 * np.pi * 375 * k * t) / k for k in (1, 2, 3, 4))
    peak_db = 20 * np.log10(np.abs(seamless).max())
    command = ["soundcheck", str(patch), "--rig", str(rig)]
    with JackServer() as server:
        with Witness(
            server, name="stage", inputs=["-"] * 2, outputs=["-"] * 2, play=play, loop=True
        ):
            hand = Hand([*command, "--only", "noise"], server.env)
            converse(hand, [("Noise", ""), ("Write these", "n")])
            assert hand.end()[0] == 0
            assert rig.read_text() == RIG
            hand = Hand([*command, "--only", "tuning"], server.env)
            converse(hand, [("Tuning", ""), ("Write these", "y")])
            assert hand.end()[0] == 0
        with Witness(
            server, name="stage", inputs=["-"] * 2, outputs=["-"] * 2, play=seamless, loop=True
        ):
            hand = Hand([*command, "--only", "trim"], server.env)
            converse(hand, [("play horn", ""), ("Write these", "y")])
            assert hand.end()[0] == 0
        first = load_rig(rig).rig
        assert first.inputs["horn"].trim_db == pytest.approx(-12.0 - peak_db, abs=0.3)
        assert first.tuning_hz == 442.0
        with Witness(server, name="stage", inputs=["-"] * 2, outputs=["-"] * 2, through=True):
            hand = Hand([*command, "--only", "loop", "ring"], server.env)
            converse(hand, [("Round trip", ""), ("Ring-out", ""), ("Write these", "y")])
            assert hand.end()[0] == 0
    found = load_rig(rig).rig
    # a client that repeats its input: one period of 128 frames, as the audio process has it too
    assert found.audio.round_trip_ms == pytest.approx(1000 * 128 / RATE, abs=0.01)
    # from output 2 straight into input 2, 6 dB down and trimmed
    assert first.inputs["horn"].trim_db is not None
    margin = 6.0 - first.inputs["horn"].trim_db
    assert found.inputs["horn"].ring_out_db["main"] == pytest.approx(margin, abs=0.3)
    text = rig.read_text()
    assert "# the hall" in text
    assert "# by the door" in text

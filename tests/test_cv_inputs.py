"""Risk: a voltage that comes in moves too much, at the wrong frame, or never lets go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conductor_desk import Desk, playing
from engine_stage import RATE, Stage
from recorded_stage import RecordedStage
from refusals import problems_of

from devices.audio.interface import map_channels
from engine.ask import Ask
from engine.channel_map import plain_map
from engine.cv_routes import CvRoutes
from engine.layout import CommandKind, LevelKind, ReportKind
from engine.patch import Cv, CvIn, Input, MidiIn, Output, Patch, Player, Role, Route, Voice
from engine.patch_load import load_patch
from engine.performance import LivePerformance
from engine.replay import Replay
from engine.session import read_session
from engine.shm import Shared
from engine.shm_records import SWITCH
from engine.state import MAX_CV_IN, MOD
from engine.timeline import Boundary

PATCH = Patch(
    inputs={"mic": Input(channel=1, to={"main": 0.0})},
    voices={"lead": Voice()},
    outputs={"main": Output((1, 2), limit=False)},
    cv_in={
        "knob": CvIn(channel=2, low_volts=-5.0, high_volts=5.0, smooth_ms=2.0),
        "gate": CvIn(kind="gate", channel=3),
        "key": CvIn(kind="pitch", channel=4, low_volts=-1.0, high_volts=1.0),
        "taken": CvIn(channel=5, sample="gate", smooth_ms=0.0),
        "held": CvIn(kind="chaos", channel=6, freeze="gate", smooth_ms=0.0),
        "map": CvIn(kind="chaos", map="logistic", hz=20.0, seed=4, smooth_ms=1.0),
        "flow": CvIn(kind="chaos", hz=3.0, seed=5, freeze="gate"),
    },
    routes={"louder": Route("knob", "send.input.mic.main", low=-40.0, high=0.0)},
    cv={
        name: Cv(channel=3 + i, kind="modulation", source=name, volts=1.0)
        for i, name in enumerate(("knob", "gate", "key", "taken", "held", "map", "flow"))
    },
)
NAMES = list(PATCH.cv)


def rows(out: np.ndarray) -> dict[str, np.ndarray]:
    """Each source, 0..1, as it leaves again as a voltage."""
    return {name: (out[:, 2 + i] * 10.0 + 1.0) / 2.0 for i, name in enumerate(NAMES)}


def volts(frames: int, **given: np.ndarray | float) -> np.ndarray:
    """Device input: 0.25 into the microphone, volts into the rest."""
    x = np.zeros((frames, 6), np.float32)
    x[:, 0] = 0.25
    for name, value in given.items():
        channel = PATCH.cv_in[name].channel
        assert isinstance(channel, int)
        x[:, channel - 1] = np.asarray(value) / 10.0
    return x


def wild(frames: int) -> np.ndarray:
    rng = np.random.default_rng(9)
    gate = np.repeat(rng.choice([0.0, 5.0], 1 + frames // 300), 300)[:frames]
    walk = np.clip(np.cumsum(rng.normal(0, 0.1, frames)), -9, 9)
    return volts(frames, knob=walk, gate=gate, key=walk / 5, taken=walk, held=walk)


@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_block_size_changes_no_bit(block: int) -> None:
    x = wild(3001)
    wanted = Stage(PATCH).play(x)
    assert np.array_equal(Stage(PATCH, block=block).play(x), wanted)
    assert all(np.ptp(row) > 0 for row in rows(wanted).values())


def test_a_successor_goes_on_where_its_predecessor_was() -> None:
    x = wild(9000)
    wanted = Stage(PATCH).play(x)
    stage = Stage(PATCH)
    stage.play(x[:4096])
    stage.resume(stage.engine.state)
    assert np.array_equal(stage.play(x[4096:]), wanted[4096:])


def test_chaos_does_not_stand_still_in_a_gap() -> None:
    still = volts(20_000)
    whole, broken = Stage(PATCH), Stage(PATCH)
    wanted = rows(whole.play(still))
    broken.play(still[:4096])
    broken.resume(broken.engine.state, gap=6000)
    got = rows(broken.play(still[10_096:]))
    for name in ("map", "flow"):  # but for the smoothing, which takes a moment
        assert np.abs(got[name][4800:] - wanted[name][14_896:]).max() < 1e-3


@pytest.mark.parametrize("value", [-1e9, -10.0, 0.0, 10.0, 1e9, np.nan, np.inf])
def test_whatever_comes_in_stays_bounded(value: float) -> None:
    every = dict.fromkeys(("knob", "gate", "key", "taken", "held"), value)
    stage = Stage(PATCH)
    stage.play(volts(64, gate=5.0))
    out = stage.play(volts(4800, **every))
    assert np.isfinite(out).all()
    for row in rows(out).values():
        assert row.min() >= -1e-6
        assert row.max() <= 1 + 1e-6
    calm = stage.play(volts(4800))
    assert rows(calm)["knob"][-1] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("name", ["map", "flow"])
def test_chaos_is_bounded_moves_and_is_the_same_for_the_same_seed(name: str) -> None:
    row = rows(Stage(PATCH).play(volts(4 * RATE)))[name]
    assert 0 <= row.min() < 0.35
    assert 0.65 < row.max() <= 1
    assert np.array_equal(row, rows(Stage(PATCH).play(volts(4 * RATE)))[name])
    other = {**PATCH.cv_in, name: CvIn(**{**vars(PATCH.cv_in[name]), "seed": 99})}
    changed = Patch(**{**vars(PATCH), "cv_in": other})
    assert np.abs(row - rows(Stage(changed).play(volts(4 * RATE)))[name]).max() > 0.1


def test_gate_freezes_and_lets_go() -> None:
    gate = np.zeros(9600)
    gate[3000:6000] = 5.0
    x = volts(9600, gate=gate, held=np.linspace(0, 5, 9600))
    got = rows(Stage(PATCH).play(x))
    for name in ("held", "flow"):
        assert np.ptp(got[name][3000:6000]) == 0
        assert np.ptp(got[name][:3000]) > 0
        assert np.ptp(got[name][6000:]) > 0
    assert np.abs(np.diff(got["flow"])).max() < 0.01  # it thaws where it froze


def test_sample_is_taken_at_the_rise_and_kept() -> None:
    gate = np.zeros(4800)
    gate[1000:1500] = gate[3000:3100] = 5.0
    got = rows(Stage(PATCH).play(volts(4800, gate=gate, taken=np.linspace(0, 5, 4800))))["taken"]
    assert not got[:1000].any()
    assert got[1000:3000] == pytest.approx(1000 / 4799, abs=1e-3)
    assert got[3000:] == pytest.approx(3000 / 4799, abs=1e-3)


def test_gate_has_hysteresis_and_says_when_it_moved() -> None:
    gate = np.full(3000, 0.05)
    gate[500:] = 0.9  # not yet
    gate[777:] = 1.2
    gate[1200:] = 0.4  # still up
    gate[2001:] = 0.05
    stage = Stage(PATCH)
    begun = stage.t
    got = rows(stage.play(volts(3000, gate=gate)))["gate"]
    assert np.flatnonzero(got > 0.5).tolist() == list(range(777, 2001))
    told = [r for r in stage.reports() if r["kind"] == ReportKind.CV_GATE]
    assert [(r["frame"] - begun, r["slot"], r["a"]) for r in told] == [(777, 1, 1), (2001, 1, 0)]


def test_pitch_is_a_note_in_spite_of_noise_and_spikes() -> None:
    rng = np.random.default_rng(3)
    x = 7 / 12 + rng.normal(0, 0.008, 4800)
    x[::100] = 9.0
    got = rows(Stage(PATCH).play(volts(4800, key=x)))["key"]
    assert np.unique(np.round((got[10:] * 2 - 1) * 12, 3)).tolist() == [7.0]


def test_send_follows_a_voltage() -> None:
    stage = Stage(PATCH)
    up = stage.play(volts(9600, knob=5.0))[:, 0]
    assert up[-1] == pytest.approx(0.25, rel=1e-3)
    down = stage.play(volts(9600, knob=-5.0))[:, 0]
    assert down[-1] == pytest.approx(0.0025, rel=1e-2)
    middle = stage.play(volts(9600))[:, 0]
    assert middle[-1] == pytest.approx(0.025, rel=1e-2)
    assert np.abs(np.diff(np.concatenate([up[200:], down, middle]))).max() < 0.005  # no step


@pytest.mark.parametrize("block", [1, 64, 128, 1031])
def test_hand_takes_a_route_to_a_send_off_and_on_without_a_step(block: int) -> None:
    """Off: the send stands at its own level; its successor remembers."""
    stage = Stage(PATCH, block=block)
    stage.play(volts(4800, knob=-5.0))
    off, on = ({"slot": 0, "c": int(LevelKind.ROUTE), "a": 960, "x": x} for x in (0.0, 1.0))
    stage.command(CommandKind.LEVEL, frame=stage.t + 1000, **off)
    heard = stage.play(volts(4800, knob=-5.0))[:, 0]
    assert heard[999] == pytest.approx(0.0025, rel=1e-2)
    assert heard[-1] == 0.25
    stage.resume(stage.engine.state)
    assert stage.play(volts(4800, knob=-5.0))[-1, 0] == 0.25
    stage.command(CommandKind.LEVEL, frame=stage.t, **on)
    back = stage.play(volts(4800, knob=-5.0))[:, 0]
    assert back[-1] == pytest.approx(0.0025, rel=1e-2)
    assert np.abs(np.diff(np.concatenate([heard, back]))).max() < 0.001


def test_hand_and_undo_reach_the_route_s_place_in_the_audio_process() -> None:
    routes = {
        "deep": Route("knob", "density.bass"),
        "wet": Route("knob", "send.input.mic.reverb"),
        "louder": Route("knob", "send.input.mic.main"),
    }
    desk = Desk(patch=replace(PATCH, roles={"bass": Role()}, routes=routes))
    desk.run(0.1)
    told = []
    for name, what in (("route", "louder"), ("route", "deep"), ("undo", None), ("undo", None)):
        desk.conductor.commands.clear()
        desk.conductor.act(name, desk.now, ask=Ask(desk.now, what=what))
        told.append([(int(c["slot"][0]), float(c["x"][0])) for c in desk.conductor.commands])
    assert told == [[(1, 0.0)], [], [], [(1, 1.0)]]


ROUTED = Patch(
    inputs={"mic": Input(channel=3)},
    voices={"lead": Voice()},
    midi={"keys": MidiIn()},
    players={
        "duo": Player(model="notochord", listens="keys", voice="lead"),
        "mist": Player(model="rave", listens="mic", to={"main": 0.0}),
    },
    roles={"bass": Role(), "drums": Role()},
    cv_in={"a": CvIn(channel=1), "b": CvIn(kind="gate", channel=2)},
    routes={
        "1": Route("a", "latent.mist.2", low=-2.0, high=2.0),
        "2": Route("b", "generate.duo"),
        "3": Route("b", "generate.bass", low=1.0, high=0.0),
        "4": Route("a", "density.bass", low=0.2, high=0.6),
    },
)


def test_what_leaves_is_known_in_volts_by_its_name() -> None:
    given = replace(PATCH.cv["gate"], volts_full_scale=5.0, polarity=-1, offset_volts=0.5)
    patch = replace(PATCH, cv={**PATCH.cv, "gate": given})
    stage, routes = Stage(patch), CvRoutes(patch)
    assert routes.volts == dict.fromkeys(NAMES, 0.0)
    stage.play(volts(4800, knob=5.0, gate=5.0))
    routes.see(stage.engine.state[0]["cv"])
    assert routes.volts["knob"] == pytest.approx(1.0, abs=1e-3)
    assert routes.volts["gate"] == pytest.approx(1.0, abs=1e-3)
    fewer = {name: channel for name, channel in plain_map(patch).cv.items() if name != "knob"}
    engine = LivePerformance(
        patch, Shared.private(patch), replace(plain_map(patch), cv=fewer), RATE, None
    )
    engine.hear(volts(64, gate=0.0), 64)
    engine.forward(64)
    routes.see(engine.state[0]["cv"])  # one that is not there moves no other's place
    assert routes.volts["gate"] == pytest.approx(-1.0, abs=1e-3)
    assert routes.volts["knob"] == pytest.approx(0.0, abs=1e-3)


def test_latents_density_and_conditions_follow() -> None:
    stage = Stage(ROUTED)
    routes, switch = CvRoutes(ROUTED), np.zeros(1, SWITCH)
    seen = []
    for a, b in ((0.0, 0.0), (5.0, 5.0), (2.5, 0.0)):
        stage.play(np.tile(np.array([[a, b, 0.0]], np.float32) / 10, (9600, 1)))
        routes.hear(stage.engine.state[0]["mods"])
        routes.steer(switch, allowed=True)
        seen.append(
            (
                round(float(switch[0]["controls"][1, 2]), 3),
                switch[0]["generate"][:2].tolist(),
                routes.lets("bass"),
                routes.lets("drums"),
            )
        )
    assert seen == [
        (-2.0, [0, 1], True, True),
        (2.0, [1, 1], False, True),
        (0.0, [0, 1], True, True),
    ]
    routes.steer(switch, allowed=False)
    assert not switch[0]["generate"].any()


def mods(**values: float) -> np.ndarray:
    """What the audio process published."""
    records = np.zeros(MAX_CV_IN, MOD)
    for i, name in enumerate(ROUTED.cv_in):
        records[i]["value"] = values.get(name, 0.0)
    return records


def test_stems_that_are_asked_for_get_the_density_of_the_moment() -> None:
    desk = Desk()
    desk.conductor.routes = CvRoutes(ROUTED)
    desk.conductor.routes.hear(mods(a=0.5))
    desk.conductor.book.requests.clear()
    for role in ("bass", "drums"):
        desk.act("regenerate", role)
    desk.run(0.01)
    asked = {entry.role: request.density for entry, request in desk.conductor.book.requests}
    assert asked == {"bass": pytest.approx(0.4), "drums": 0.5}


def test_a_role_enters_while_its_gate_lets_it_and_leaves_at_its_boundary() -> None:
    desk = Desk()
    desk.conductor.routes = CvRoutes(ROUTED)  # bass: while b is down
    desk.conductor.routes.hear(mods(b=1.0))
    desk.let_in()
    desk.ready()
    desk.act("enter", "bass")
    desk.run(5)
    assert not desk.plays()
    desk.conductor.routes.hear(mods(b=0.0))
    playing(desk, "bass")
    desk.conductor.routes.hear(mods(b=1.0))
    desk.run(4)
    stop = next(c for c in desk.sent if c["kind"] == CommandKind.STEM_STOP)
    line = desk.conductor.line
    assert line is not None
    assert line.next_boundary(int(stop["frame"]), Boundary.BAR) == int(stop["frame"])
    desk.conductor.routes.hear(mods(b=0.0))  # it is still wanted
    before = len(desk.plays())
    desk.say(ReportKind.STEM_ENDED, id=int(desk.plays()[-1]["id"]), slot=int(stop["slot"]))
    desk.ready()
    desk.run(5)
    assert len(desk.plays()) > before


def test_a_hand_freezes_every_chaos_and_lets_it_go() -> None:
    stage = Stage(PATCH)
    x = volts(4800, held=np.linspace(0, 5, 4800), knob=np.linspace(-5, 5, 4800))
    stage.play(x)
    stage.command(CommandKind.CV_FREEZE, slot=1)
    still = rows(stage.play(x))
    assert [name for name in NAMES if np.ptp(still[name]) == 0] == [
        "gate", "key", "taken", "held", "map", "flow",
    ]  # fmt: skip
    stage.command(CommandKind.CV_FREEZE, slot=0)
    going = rows(stage.play(x))
    assert all(np.ptp(going[name]) > 0 for name in ("held", "map", "flow"))


def test_freeze_is_a_hand_s_and_is_remembered() -> None:
    desk = Desk()
    assert desk.act("freeze") == "frozen"
    desk.run(0.01)
    frozen = [int(c["slot"]) for c in desk.sent if c["kind"] == CommandKind.CV_FREEZE]
    assert frozen == [1]
    other = Desk()
    other.conductor.restore(desk.conductor.to_dict())
    assert other.act("freeze") == "let go"


def test_what_is_not_plugged_in_is_named_and_silent() -> None:
    channels, missing = map_channels(PATCH, 3, 9, [], [])
    assert channels.cv_in == {"knob": 1, "gate": 2}
    assert missing == [
        "cv_in key: channel 4 of 3",
        "cv_in taken: channel 5 of 3",
        "cv_in held: channel 6 of 3",
    ]
    assert channels.channels_in == 3


def test_a_recorded_performance_hears_the_same_voltages_again(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path, PATCH)
    x = wild(6000)
    heard = stage.play(x, lambda t: stage.turn())
    stage.turn()
    replay = Replay(read_session(stage.take))
    again = np.concatenate([block.out.copy() for block in replay.blocks()])
    assert np.array_equal(again, heard)
    assert all(np.ptp(row) > 0 for row in rows(again).values())


YAML = """
inputs: {mic: {channel: 1, to: {main: 0}}}
players: {mist: {model: rave, listens: mic, to: {main: -6}}}
roles: {bass: {}}
outputs: {main: {channels: [1, 2]}}
cv_in:
  wild: {kind: chaos, hz: 0.5, freeze: hold}
  hold: {kind: gate, channel: 3}
routes:
  deep: {source: wild, to: latent.mist.0, low: -2, high: 2}
"""


@pytest.mark.parametrize(
    ("old", "new", "key", "found"),
    [
        ("freeze: hold", "freeze: holt", "cv_in.wild.freeze", "holt"),
        ("freeze: hold", "freeze: wild", "cv_in.wild.freeze", "wild"),
        ("freeze: hold", "sample: hold", "cv_in.wild.sample", "one for a chaos"),
        ("gate, channel: 3", "gate, channel: 1", "cv_in.hold.channel", "inputs.mic"),
        ("gate, channel: 3", "gate", "cv_in.hold.channel", "nothing"),
        ("hz: 0.5", "hz: 0", "cv_in.wild.hz", "0"),
        ("hz: 0.5", "low_volts: 5", "cv_in.wild.high_volts", "as low_volts"),
        ("source: wild", "source: wld", "routes.deep.source", "wld"),
        ("latent.mist.0", "latent.mist.99", "routes.deep.to", "latent.mist.99"),
        ("latent.mist.0", "send.input.mic.reverb", "routes.deep.to", "send.input.mic.reverb"),
        ("latent.mist.0", "density.bass", "routes.deep.high", "-2 to 2"),
        ("2}", "2}\n  too: {source: hold, to: latent.mist.0}", "routes.too.to", "again"),
    ],
)
def test_a_patch_names_what_is_wrong(
    tmp_path: Path, old: str, new: str, key: str, found: str
) -> None:
    path = tmp_path / "patch.yaml"
    path.write_text(YAML)
    patch = load_patch(path)
    assert Patch.from_json(patch.to_json()) == patch
    assert YAML.count(old) == 1 or old == "2}"
    head, _, tail = YAML.rpartition(old)
    path.write_text(head + new + tail)
    (problem,) = problems_of(load_patch, path)
    assert problem.key == key
    assert found in problem.found

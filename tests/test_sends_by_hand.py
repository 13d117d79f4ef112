"""Risk: what somebody has balanced by hand is thrown away by a standby, an audio process that is
started again, or the next song; or it is heard in standby."""

from __future__ import annotations

from dataclasses import replace

import pytest
from songs_desk import MAIN, REVERB, TWO, Night

from engine.ask import Ask
from engine.layout import ReportKind
from engine.mixer import BUS_ORDER, linear
from engine.patch import Output

CUE = BUS_ORDER.index("cue")


def send(night: Night, db: float, source: str = "stems.drums", bus: str = "main") -> None:
    ask = Ask(night.now, source=source, bus=bus, db=db)
    assert night.conductor.act("send", night.now, ask=ask).endswith("dB")
    night.run(0.1)


def standby(night: Night) -> None:
    night.act("standby")
    night.run(2)


def begun() -> Night:
    night = Night()
    night.run(6.3)
    return night


def test_it_stands_again_after_standby() -> None:
    night = begun()
    send(night, -20.0)
    standby(night)
    assert night.gain("stems.drums") == 0.0
    standby(night)
    assert night.gain("stems.drums") == pytest.approx(linear(-20.0))


def test_in_standby_it_is_kept_for_afterwards_and_not_heard() -> None:
    night = begun()
    standby(night)
    send(night, -18.0)
    send(night, -30.0, bus="reverb")
    assert night.gain("stems.drums") == 0.0
    assert night.gain("stems.drums", REVERB) in (None, 0.0)
    send(night, -9.0, source="input.horn")  # nobody's model: it sounds all the time
    assert night.gain("input.horn") == pytest.approx(linear(-9.0))
    standby(night)
    assert night.gain("stems.drums") == pytest.approx(linear(-18.0))
    assert night.gain("stems.drums", REVERB) == pytest.approx(linear(-30.0))


@pytest.mark.parametrize("who", ["audio", "conductor"])
def test_it_outlives_whoever_dies(who: str) -> None:
    night = begun()
    night.choose("scene", "full")  # the scene has moved it first
    night.run(5)
    send(night, -20.0)
    if who == "audio":
        night.say(ReportKind.RESUMED, frame=night.now)
    else:
        night.again()
        standby(night)
        standby(night)
    night.run(0.1)
    assert night.gain("stems.drums") == pytest.approx(linear(-20.0))


def test_a_scene_that_wants_something_else_moves_it_and_one_that_does_not_leaves_it() -> None:
    night = begun()
    send(night, -20.0)
    send(night, -7.0, source="texture.mist")
    night.choose("scene", "full")
    night.run(5)
    assert night.gain("stems.drums") == pytest.approx(linear(-9.0))
    assert night.gain("texture.mist") == 0.0  # off there
    night.choose("scene", "thin")
    night.run(5)
    assert night.gain("stems.drums") == 1.0
    assert night.gain("texture.mist") == pytest.approx(linear(-7.0))


def test_the_next_song_begins_with_it() -> None:
    night = begun()
    send(night, -7.0, source="stems.bass")
    night.act("next_song")
    night.run(12)
    assert night.status()["song"] == "two"
    assert night.gain("stems.bass") == pytest.approx(linear(-7.0))


def test_solo_is_heard_in_standby_and_after_it() -> None:
    night = Night(replace(TWO, outputs={**TWO.outputs, "cue": Output((4,))}))
    night.run(6.3)
    standby(night)
    ask = Ask(night.now, source="stems.drums", on=True)
    night.conductor.act("solo", night.now, ask=ask)
    night.run(0.1)
    assert night.gain("stems.drums", CUE) == 1.0
    assert night.gain("stems.drums", MAIN) == 0.0
    standby(night)
    assert night.gain("stems.drums", CUE) == 1.0
    night.conductor.act("solo", night.now, ask=replace(ask, on=False))
    night.run(0.1)
    assert night.gain("stems.drums", CUE) == 0.0

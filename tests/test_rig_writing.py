"""Risk: `segue soundcheck` writes over what somebody wrote in their rig."""

from __future__ import annotations

from pathlib import Path

from engine.rig import RigInput
from engine.rig_load import load_rig
from engine.rig_write import changed

OURS = """\
# the hall, as of Tuesday
name: hall
inputs:
  # Bob's, mind the cable
  horn: {channel: 3}   # red
  voice:
    channel: 1
    trim_db: -2
  tuba:
outputs:
  main: {channels: [1, 2]}
"""


def test_what_people_wrote_stays(tmp_path: Path) -> None:
    changes = {
        ("inputs", "horn", "trim_db"): 4.56789,
        ("inputs", "horn", "ring_out_db", "main"): 9.0,
        ("inputs", "horn", "ring_out_db", "cue"): 19.0,
        ("inputs", "voice", "trim_db"): -7.0,
        ("inputs", "voice", "noise_db"): -70.1,
        ("inputs", "tuba", "noise_db"): -71.0,
        ("inputs", "flute", "noise_db"): -72.0,
        ("tuning_hz",): 441.5,
        ("audio", "round_trip_ms"): 7.25,
    }
    text = changed(OURS, changes)
    for comment in ("# the hall, as of Tuesday", "# Bob's, mind the cable", "# red"):
        assert comment in text
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    rig = load_rig(path).rig
    assert rig.inputs["horn"].ring_out_db == {"main": 9.0, "cue": 19.0}
    assert rig.inputs["horn"].trim_db == 4.568
    assert rig.inputs["voice"] == RigInput(channel=1, trim_db=-7.0, noise_db=-70.1)
    assert rig.inputs["tuba"].noise_db == -71.0
    assert rig.inputs["flute"].noise_db == -72.0
    assert (rig.tuning_hz, rig.audio.round_trip_ms) == (441.5, 7.25)
    assert changed(text, changes) == text


def test_a_rig_that_says_nothing_yet_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(changed("~\n", {("audio", "round_trip_ms"): 3.0}))
    assert load_rig(path).rig.audio.round_trip_ms == 3.0

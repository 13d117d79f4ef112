"""Risk: a wrong rig starts something, is refused without saying where, or hides a fault that only
shows over a patch."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import problems_of
from test_patch_shipped import accepts

from engine.patch_load import PatchError, Problem
from engine.patch_schema import FOLDER, PUBLISHED, json_schema, published
from engine.rig import Rig
from engine.rig_load import default_rig, load_rig
from engine.set_load import load_performance

RIG = """\
name: Südpol, small hall
tuning_hz: 441.5
audio:
  device: "Fireface UCX II \\\\(23 / 42\\\\) 🎺"
  rate: 48000
inputs:
  horn: {channel: 3, trim_db: -4.5, dry: jack, noise_db: -71, ring_out_db: {main: 9.5}}
outputs:
  main: {channels: [1, 2]}
midi:
  keys: {port: "Nord Stage"}
surfaces:
  pads: {port: "LPProMK3 MIDI"}
cv:
  pitch: {channel: 7, volts_full_scale: 9.8}
"""
PATCH = """\
inputs:
  horn: {to: {main: 0}}
voices:
  piano: {to: {main: 0}}
outputs:
  main: {}
cv:
  pitch: {source: piano}
"""


def problems(tmp_path: Path, rig: str | bytes, patch: str = PATCH) -> list[Problem]:
    there, here = tmp_path / "rig.yaml", tmp_path / "patch.yaml"
    there.write_bytes(rig.encode() if isinstance(rig, str) else rig)
    here.write_text(patch)
    return problems_of(load_performance, here, there, {})


def test_a_rig_loads(tmp_path: Path) -> None:
    path = tmp_path / "a rig, with spaces 🎺.yaml"
    path.write_text(RIG)
    rig = load_rig(path).rig
    assert rig.name == "Südpol, small hall"
    assert rig.inputs["horn"].ring_out_db == {"main": 9.5}
    assert accepts(json_schema(Rig), yaml.safe_load(RIG))


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "found", "expected"),
    [
        ("tuning_hz: 441.5", "tuning_hz: 4415", 2, "tuning_hz", "4415", "from 400 to 480 Hz (A4)"),
        ("tuning_hz", "tunnig_hz", 2, "tunnig_hz", "an unknown key", "did you mean tuning_hz?"),
        ("channel: 3", "channel: 0", 7, "inputs.horn.channel", "0", "a channel from 1 to 64"),
        ("dry: jack", "dry: alsa", 7, "inputs.horn.dry", '"alsa"', "hardware, jack, segue"),
        ("trim_db: -4.5", "trim_db: .nan", 7, "inputs.horn.trim_db", "not a number", "dB"),
        ("rate: 48000", "rate: 48k", 5, "audio.rate", '"48k"', "Hz"),
        ('port: "Nord Stage"', 'port: "("', 11, "midi.keys.port", "unterminated", "compiles"),
        ("name: S", "name: &a S", 1, "name", "the anchor", "without an anchor"),
        # only with the patch: the voltage would go to a speaker, and it is the rig that says so
        ("channel: 7", "channel: 2", 15, "cv.pitch.channel", "outputs.main", "destroy a speaker"),
    ],
)
def test_one_fault_one_error_in_the_rig(
    tmp_path: Path, old: str, new: str, line: int, key: str, found: str, expected: str
) -> None:
    assert RIG.count(old) == 1
    (problem,) = problems(tmp_path, RIG.replace(old, new))
    assert (problem.file, problem.key) == (str(tmp_path / "rig.yaml"), key)
    assert found in problem.found
    assert expected in problem.expected
    assert problem.line == line


def test_faults_of_patch_and_rig_are_told_apart(tmp_path: Path) -> None:
    rig = RIG.replace("channel: 7", "channel: 2")
    found = problems(tmp_path, rig, PATCH.replace("source: piano", "source: harp"))
    assert {(Path(p.file).name, p.key) for p in found} == {
        ("patch.yaml", "cv.pitch.source"),
        ("rig.yaml", "cv.pitch.channel"),
    }


def test_without_a_rig_the_patch_has_to_say_where(tmp_path: Path) -> None:
    path = tmp_path / "patch.yaml"
    path.write_text(PATCH)
    keys = {p.key: p.expected for p in problems_of(load_performance, path, None, {})}
    assert set(keys) == {"inputs.horn.channel", "outputs.main.channels", "cv.pitch.channel"}
    assert all("a rig" in expected for expected in keys.values())


@pytest.mark.parametrize("text", [b"\xff", b"", b"[]", b"a: b: c", b"inputs: 5", b"---\n---\n"])
def test_what_is_no_rig_is_refused_whole(tmp_path: Path, text: bytes) -> None:
    assert all(Path(p.file).name == "rig.yaml" for p in problems(tmp_path, text))


def test_a_calibration_that_is_not_here_is_done_without_and_said(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG.replace("{channel: 7,", "{channel: 7, calibration: cv/none.txt,"))
    loaded = load_rig(path)
    assert loaded.rig.cv["pitch"].calibration is None
    assert loaded.rig.cv["pitch"].channel == 7
    (line,) = loaded.missing
    assert str(tmp_path / "cv" / "none.txt") in line
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "none.txt").touch()
    assert load_rig(path).rig.cv["pitch"].calibration == str(tmp_path / "cv" / "none.txt")
    assert load_rig(path).missing == ()


def test_a_rig_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match=r"no such file, expected a rig file"):
        load_rig(tmp_path / "none.yaml")


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_rig() == tmp_path / "segue" / "rig.yaml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_rig() == Path.home() / ".config" / "segue" / "rig.yaml"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_schema_is_the_table(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == published(PUBLISHED[name])


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    data = bytearray(RIG.encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 6))] = draw(st.binary(max_size=6))
    return bytes(data)


@settings(max_examples=150, deadline=None)
@given(mangled())
def test_a_mangled_rig_loads_or_says_where(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rig.yaml"
        path.write_bytes(data)
        problems: list[Problem] = []
        try:
            load_rig(path)
        except PatchError as error:
            problems = error.problems
        assert all(p.file == str(path) and p.expected for p in problems)

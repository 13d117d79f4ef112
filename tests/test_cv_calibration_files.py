"""Risk: a calibration with gaps or nonsense reaches an oscillator, or a good one is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from engine_stage import Stage
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import problems_of

from engine.calibration import (
    MAX_BYTES,
    CalibrationError,
    interpolate,
    parse_calibration,
    read_calibration,
    value_table,
    volts_table,
    write_calibration,
)
from engine.layout import NoteKind
from engine.patch import Patch
from engine.patch_check_cv import check_cv
from engine.patch_load import PatchError, load_patch
from engine.rig_load import load_rig

HEAD = "Silent Way Calibration Data\nversion: 1\n"
# As the manual prints it: only notes that could be calibrated are in a file.
GOOD = HEAD + "0 -0.98087925\n1 -0.96048236\n2 -0.94008547\n3 -0.91968852\n14 -0.89929163\n"


def test_a_file_of_silent_way_is_read() -> None:
    table = parse_calibration(GOOD.replace("\n", "\r\n") + "\r\n", "x")
    assert table[0] == (0.0, -0.98087925)
    assert [note for note, _ in table] == [0, 1, 2, 3, 14]


def test_a_file_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vco.txt"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert read_calibration(path) == parse_calibration(GOOD, "x")


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("", 1, "nothing"),
        ("Silent Way Calibration Data\n", 2, "nothing"),
        ("Calibration\nversion: 1\n0 0\n1 0.1\n", 1, "Calibration"),
        (GOOD.replace("version: 1", "version: 2"), 2, "version: 2"),
        (HEAD, 3, "0 notes"),
        (HEAD + "60 0.0\n", 4, "1 notes"),
        (HEAD + "60 0.0\n60 0.1\n", 4, "note 60 after 60"),
        (HEAD + "60 0.0\n59 0.1\n", 4, "note 59 after 60"),
        (HEAD + "60 0.0\n73 0.1\n", 4, "a gap: note 73 after 60"),
        (HEAD + "60 0.0\n61 0.1\n62 0.05\n", 5, "62 0.05"),
        (HEAD + "60 0.0\n61 0.0\n", 4, "the same value for notes 60 and 61"),
        (HEAD + "60 0.0\n61 1.5\n", 4, "61 1.5"),
        (HEAD + "60 0.0\n61 nan\n", 4, "61 nan"),
        (HEAD + "60 0.0\n128 0.1\n", 4, "128 0.1"),
        (HEAD + "60 0.0\n61 0.1 0.2\n", 4, "61 0.1 0.2"),
        (HEAD + "60 0.0\nsixty-one 0.1\n", 4, "sixty-one 0.1"),
        (HEAD + "60 0.0\n61.5 0.1\n", 4, "61.5 0.1"),
        (HEAD + "60 0.0\n" + "x" * 500, 4, "x" * 60 + "..."),
    ],
)
def test_nonsense_is_one_clear_error(text: str, line: int, found: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        parse_calibration(text, "vco.txt")
    assert str(caught.value).startswith(f"vco.txt:{line}: found {found}, expected ")


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, x: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    for data in (x, GOOD.encode() + x):
        path.write_bytes(data)
        with contextlib.suppress(CalibrationError):
            assert all(-1 <= value <= 1 for _, value in read_calibration(path))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big").write_text(GOOD + "\n" * MAX_BYTES)
    for name in ("big", "none", "."):
        with pytest.raises(CalibrationError, match="found"):
            read_calibration(tmp_path / name)


@given(st.lists(st.floats(0.05, 0.11), min_size=1, max_size=60), st.sampled_from([1, -1]))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[float], polarity: int
) -> None:
    volts = np.cumsum(steps) - 3.0
    table = [(36.0 + i, float(v)) for i, v in enumerate([-3.0, *volts])]
    path = tmp_path_factory.getbasetemp() / "round.txt"
    write_calibration(path, value_table(table, 8.0, 0.1, polarity))
    back = volts_table(read_calibration(path), 8.0, 0.1, polarity)
    np.testing.assert_allclose(back, table, atol=1e-7)
    for note, value in table:
        assert interpolate(back, note) == pytest.approx(value, abs=1e-7)


def test_a_bad_table_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError):
        write_calibration(tmp_path / "x.txt", [(60.0, 0.0), (61.0, 2.0)])
    assert not list(tmp_path.iterdir())


def test_between_and_beyond_its_notes_a_table_goes_on() -> None:
    table = [(48.0, -1.0), (60.0, 0.0), (66.0, 0.6), (72.0, 1.2)]
    assert interpolate(table, 54) == pytest.approx(-0.5)
    assert interpolate(table, 84) == pytest.approx(2.4)
    assert interpolate(table, 36) == pytest.approx(-2.0)


PATCH = """
voices:
  lead: {}
outputs:
  main: {channels: [1, 2]}
roles:
  bass: {}
cv:
  pitch: {channel: 3, source: lead, calibration: vco.txt, volts_full_scale: 10}
"""


def test_a_patch_takes_its_table_with_it(tmp_path: Path) -> None:
    path = tmp_path / "patch.yaml"
    path.write_text(PATCH)
    rows = "".join(f"{note} {(note - 60) / 120 * 1.03 + 0.01}\n" for note in range(36, 97))
    (tmp_path / "vco.txt").write_text(HEAD + rows)
    patch = load_patch(path)
    (tmp_path / "vco.txt").unlink()  # it is needed no more
    assert Patch.from_json(patch.to_json()) == patch
    assert not list(check_cv(patch, tmp_path))  # as part of a set it is checked once more
    stage = Stage(patch)
    stage.note("midi_notes", NoteKind.ON, key=72)
    assert stage.play(256)[-1, 2] == pytest.approx(0.103 + 0.01, abs=1e-6)


def test_the_rig_brings_the_oscillator_of_tonight(tmp_path: Path) -> None:
    patch, rig = tmp_path / "patch.yaml", tmp_path / "venue" / "rig.yaml"
    rig.parent.mkdir()
    patch.write_text(PATCH.replace("calibration: vco.txt", "table: [[60, 0], [72, 1]]"))
    rig.write_text("cv: {pitch: {calibration: vco.txt, volts_full_scale: 8}}\n")
    # one that is not here is missing, and the patch's own word stands
    assert load_patch(patch, rig=load_rig(rig)).cv["pitch"].table == ((60.0, 0.0), (72.0, 1.0))
    assert "vco.txt" in load_rig(rig).missing[0]
    (rig.parent / "vco.txt").write_text("60 zero\n")
    with pytest.raises(PatchError, match=r"rig\.yaml:1: cv\.pitch\.calibration: found .*vco\.txt"):
        load_patch(patch, rig=load_rig(rig))
    (rig.parent / "vco.txt").write_text(HEAD + "60 0.0\n72 0.5\n")
    placed = load_patch(patch, rig=load_rig(rig))
    assert placed.cv["pitch"].table == ((60.0, 0.0), (72.0, 4.0))


@pytest.mark.parametrize(
    ("old", "new", "key", "found"),
    [
        ("vco.txt", "none.txt", "cv.pitch.calibration", "none.txt"),
        (
            "calibration: vco.txt",
            "table: [[60, 0], [61, -1], [62, 1]]",
            "cv.pitch.table",
            "nonsense",
        ),
        ("calibration: vco.txt", "table: [[60, 0], [90, 1]]", "cv.pitch.table", "gaps"),
        ("calibration: vco.txt", "table: [[60, 0]]", "cv.pitch.table", "gaps"),
        ("calibration: vco.txt", "table: [[60, 0], [61, 9]]", "cv.pitch.table", "9 V for note 61"),
        ("vco.txt", "steep.txt", "cv.pitch.calibration", "240 V an octave"),
        ("vco.txt", "flat.txt", "cv.pitch.calibration", "V an octave"),
        (
            "vco.txt",
            "vco.txt, table: [[60, 0], [61, 0.1]]",
            "cv.pitch.table",
            "beside a calibration",
        ),
        ("vco.txt", "vco.txt, kind: gate", "cv.pitch.calibration", "the kind gate"),
        ("source: lead, calibration: vco.txt", "kind: gate", "cv.pitch.source", "nothing"),
        ("source: lead", "source: stems.bass", "cv.pitch.source", "stems.bass"),
        ("lead, calibration: vco.txt", "lead, kind: lfo", "cv.pitch.source", "lead"),
        ("lead, calibration: vco.txt", "input.no, kind: level", "cv.pitch.source", "input.no"),
    ],
)
def test_a_patch_names_what_is_wrong(
    tmp_path: Path, old: str, new: str, key: str, found: str
) -> None:
    (tmp_path / "vco.txt").write_text(GOOD)
    (tmp_path / "steep.txt").write_text(HEAD + "60 -1\n61 1\n")
    (tmp_path / "flat.txt").write_text(HEAD + "60 0.5\n61 0.50000001\n")
    path = tmp_path / "patch.yaml"
    path.write_text(PATCH.replace(old, new))
    (problem,) = problems_of(load_patch, path)
    assert problem.key == key
    assert problem.line == 9
    assert found in problem.found

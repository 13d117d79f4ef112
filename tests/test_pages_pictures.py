"""Risk: the pictures of the pages show other pages than there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from devices.launchpad.drawing import place, screen_colour
from devices.launchpad.layout import PAGE_BUTTONS
from devices.launchpad.mk3 import CELLS, LOGO
from devices.launchpad.pages import paint
from devices.launchpad.sheet import BEAT, draw_pages, sheet
from engine.cli import main
from engine.patch import PAGES
from engine.patch_load import load_patch

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "devices" / "launchpad" / "pages"
# Drawn of (`segue launchpad pages PATCH`, and the one page of it kept):
OF = dict.fromkeys(PAGES, "stage") | {"songs": "trombone-and-keys", "cv": "eurorack"}
CORNER = 8  # pixels into a cell, where nothing is written


def patch_of(page: str) -> Path:
    return ROOT / "patches" / f"{OF[page]}.yaml"


@pytest.mark.parametrize("page", PAGES)
def test_the_picture_in_the_readme_is_of_the_page_that_there_is(page: str) -> None:
    assert f"devices/launchpad/pages/{page}.png" in (ROOT / "README.md").read_text()
    picture = Image.open(PICTURES / f"{page}.png").convert("RGB")
    cells = paint(sheet(load_patch(patch_of(page)), page), BEAT)
    step, margin, gap = 64, 16, 3
    for index in CELLS:
        if index != LOGO:
            column, row = place(index)
            at = (margin + column * step + gap + CORNER, margin + row * step + gap + CORNER)
            assert picture.getpixel(at) == screen_colour(index, cells[index]), f"cell {index}"


def test_pages_are_drawn_into_a_new_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a" / "b"
    patch = ROOT / "patches" / "minimal.yaml"
    assert main(["launchpad", "pages", str(patch), "--out", str(out), "--json"]) == 0
    drawn = json.loads(capsys.readouterr().out)["drawn"]
    assert [Path(p).stem for p in drawn] == list(PAGES) == list(PAGE_BUTTONS.values())
    assert all(Path(p).stat().st_size > 1000 for p in drawn)


def test_where_nothing_can_be_written_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wall = tmp_path / "wall"
    wall.write_text("no folder")
    patch = ROOT / "patches" / "minimal.yaml"
    assert main(["launchpad", "pages", str(patch), "--out", str(wall)]) == 1
    assert "cannot be written" in capsys.readouterr().err
    with pytest.raises(OSError, match="wall"):
        draw_pages(load_patch(patch), wall)

"""Risk: the picture fails on what a performance really leaves, or shows it in the wrong place."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from engine.picture import LEFT, RIGHT, ROLES, RULER, TOP, WIDTH, Lane, Mark, Picture, Span, draw


def drawn(picture: Picture, folder: Path) -> Image.Image:
    draw(picture, folder / "p.png")
    image = Image.open(folder / "p.png")
    assert image.format == "PNG"
    return image.convert("RGB")


def share_of(image: Image.Image, role: str, box: tuple[int, int, int, int]) -> float:
    colour = np.array(ImageColor.getrgb(ROLES[role][0]))
    pixels = np.asarray(image.crop(box), int)
    return float(np.mean(np.abs(pixels - colour).max(axis=2) < 12))


def test_a_span_lies_where_its_seconds_say(tmp_path: Path) -> None:
    lane = Lane("drums", "stem", [Span(25.0, 75.0, "", "stem")])
    image = drawn(Picture("t", "s", 100.0, [lane]), tmp_path)
    assert image.width == WIDTH
    wide = WIDTH - LEFT - RIGHT
    row = (TOP + RULER + 40, TOP + RULER + 46)

    def at(start: float, end: float) -> float:
        return share_of(
            image,
            "stem",
            (round(LEFT + start * wide), row[0], round(LEFT + end * wide), row[1]),
        )

    assert at(0.26, 0.74) > 0.99
    assert at(0.0, 0.245) == 0.0
    assert at(0.755, 1.0) == 0.0


def test_what_a_night_leaves_is_drawn(tmp_path: Path) -> None:
    lanes = [
        Lane(
            "trombone with a very long name indeed",
            "played",
            [Span(-5.0, 1.0, "before", "played"), Span(3.0, 3.0, "no length", "played")],
            [Mark(k / 10, f"2 frames late −312 µs {k} " + "x" * 300, "fault") for k in range(90)],
            np.array([np.nan, -np.inf, np.inf, -20.0, 400.0]),
        ),
        Lane("empty", "answer"),
        Lane("asked", "stem", [Span(2.0, 500.0, "asked", "asked")], [], np.zeros(0), "note"),
        Lane("main", "main", [], [Mark(1e6, "after the end", "hand")], np.full(100_000, -12.0)),
    ]
    image = drawn(Picture("night", "", 12.5, lanes, [-2.5, 0.0, 2.5, 99.0], 4, 7), tmp_path)
    assert image.height > 1_000
    assert share_of(image, "fault", (0, TOP, WIDTH, image.height)) > 0.001


@pytest.mark.parametrize("seconds", [0.4, 7_200.0])
def test_a_moment_and_a_night_of_bars_fit(tmp_path: Path, seconds: float) -> None:
    bars = list(np.arange(0.0, seconds, 2.5))
    image = drawn(Picture("t", "s", seconds, [Lane("a", "main")], bars), tmp_path)
    assert image.width == WIDTH


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        draw(Picture("t", "s", seconds, []), tmp_path / "p.png")
    assert not list(tmp_path.iterdir())


def test_an_unknown_role_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="role 'drum', expected one of played, answer"):
        draw(Picture("t", "s", 1.0, [Lane("a", "drum")]), tmp_path / "p.png")

"""What words of the command line may be: for argparse's `type`, which says what was found and ends
with exit code 2."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from engine.shm_folder import plain_name


def number(low: float, high: float, unit: str) -> Callable[[str], float]:
    """A finite number from low to high."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"found {text!r}, expected a number from {low:g} to {high:g} {unit}"
            )
        return value

    return read


def whole(low: int, high: int, unit: str) -> Callable[[str], int]:
    """A whole number from low to high."""

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected a whole number from {low} to {high} {unit}"
        )

    return read


def pattern(text: str) -> str:
    """A regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no pattern ({error})") from None
    return text


def file_to_write(ending: str) -> Callable[[str], Path]:
    """A file with this ending, in a folder that is there: asked for before what takes minutes."""

    def read(text: str) -> Path:
        path, fits = Path(text), False
        with contextlib.suppress(OSError):  # a name that is too long
            fits = path.suffix.lower() == ending and path.parent.is_dir() and not path.is_dir()
        if not fits:
            raise argparse.ArgumentTypeError(
                f"found {text!r}, expected a file that ends in {ending}, in a folder that is there"
            )
        return path

    return read


def performance_name(text: str) -> str:
    """A performance's: anything, but not nothing."""
    try:
        plain_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text

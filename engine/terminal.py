"""A person at the terminal, as engine/venue.py wants one. What is said goes to a stream (standard
error: standard output is for results), what they type comes from a descriptor. Not thread-safe.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from engine.venue import VenueError

LINE_MAX = 4096  # bytes; a cat on the keyboard types no answer


class Terminal:
    """source: a file descriptor that lines are read from."""

    def __init__(self, source: int, out: TextIO) -> None:
        self._source, self._out = source, out
        self._typed = b""
        self._ended = False

    def say(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def ask(self, text: str) -> str:
        """The next line. Raises VenueError when there will be none."""
        self._out.write(text)
        self._out.flush()
        while b"\n" not in self._typed and not self._ended:
            self._read(None)
        if self._ended and b"\n" not in self._typed:
            self._out.write("\n")
            raise VenueError("nobody answers any more: the input has ended")
        return self._line()

    @contextmanager
    def until_enter(self) -> Iterator[Callable[[], bool]]:
        def pressed() -> bool:
            self._read(0.0)
            if b"\n" not in self._typed:
                return False
            self._line()
            return True

        yield pressed

    def _line(self) -> str:
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode("utf-8", "replace").strip()

    def _read(self, timeout_s: float | None) -> None:
        if self._ended or not select.select([self._source], [], [], timeout_s)[0]:
            return
        data = os.read(self._source, LINE_MAX)
        self._ended = not data
        self._typed = (self._typed + data)[-LINE_MAX:]

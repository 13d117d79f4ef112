"""YAML text to a checked tree that knows its lines.

A patch is read with PyYAML's safe parser, stricter than YAML itself: no anchors, aliases, tags or
second documents, no key twice, limits on size, depth and number of values, and plain scalars mean
what YAML 1.2's core schema says (`no` is text, `010` is ten). Depth is checked before descending,
so hostile nesting is refused and never recursed into. Nothing here is real-time safe.

Problem      one fault: file, line, key, what was found, what was expected.
PatchError   all faults that could be collected.
Scalar, Sequence, Mapping   the tree; lines count from 1.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 128 * 1024  # a large patch is 10 KB; more than this is no patch
MAX_DEPTH = 12  # the deepest patch key lies at 4; a player's own config may nest a little
MAX_VALUES = 4000  # PyYAML reads about 20,000 values a second: refused in a fifth of a second
MAX_PROBLEMS = 40  # after so many, reading stops
SHOWN = 48  # characters of a found text that a message repeats
# Lines, escapes to a terminal, and halves of characters, which no stream writes.
UNPRINTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Problem:
    """line counts from 1 (0: the whole file). key is dotted, '' for the file itself."""

    file: str
    line: int
    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        said = f"{where}:{key} found {self.found}, expected {self.expected}"
        return UNPRINTED.sub("\N{REPLACEMENT CHARACTER}", said)


class PatchError(Exception):
    """A patch that cannot be played; `problems` holds every fault found, in order of line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: p.line)
        super().__init__("\n".join(str(p) for p in self.problems))


@dataclass(frozen=True)
class Scalar:
    line: int
    value: bool | int | float | str | None

    def describe(self) -> str:
        return describe(self.value)


@dataclass(frozen=True)
class Sequence:
    line: int
    items: tuple[Node, ...]

    def describe(self) -> str:
        return f"a list of {len(self.items)}"


@dataclass(frozen=True)
class Mapping:
    """entries: key -> (line of the key, value)."""

    line: int
    entries: dict[str, tuple[int, Node]]

    def describe(self) -> str:
        return "a mapping" if self.entries else "an empty mapping"


Node = Scalar | Sequence | Mapping


def describe(value: Any) -> str:
    """A found value in a reader's words, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "infinity", -math.inf: "minus infinity"}.get(value, "not a number (.nan)")
    if isinstance(value, int | float):
        return f"{value!r}"
    text = str(value)
    if len(text) > SHOWN:
        text = text[:SHOWN] + "…"
    return f'the text "{text}"'


_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?")
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}


def plain(text: str) -> bool | int | float | str | None:
    """What an unquoted scalar means (YAML 1.2 core schema, decimal numbers only)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Reader:
    """Builds the tree from parser events; `key` in messages is the path walked so far."""

    def __init__(self, file: str, text: str, what: str) -> None:
        self.file, self.what = file, what
        self.events = yaml.SafeLoader(text)
        self.values = 0

    def fail(self, line: int, key: str, found: str, expected: str) -> PatchError:
        return PatchError([Problem(self.file, line, key, found, expected)])

    def document(self) -> Node:
        self.events.get_event()  # stream start
        if self.events.check_event(yaml.StreamEndEvent):
            raise self.fail(1, "", "an empty file", f"a {self.what} (see patches/)")
        self.events.get_event()  # document start
        node = self.node("", 0)
        self.events.get_event()  # document end
        if not self.events.check_event(yaml.StreamEndEvent):
            line = self.events.peek_event().start_mark.line + 1
            raise self.fail(line, "", "a second document (---)", f"one {self.what} in a file")
        return node

    def node(self, key: str, depth: int) -> Node:
        event = self.events.get_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise self.fail(
                line, key, f"the alias *{(event.anchor or '')[:SHOWN]}", "the value itself"
            )
        if event.anchor is not None:
            found = f"the anchor &{event.anchor[:SHOWN]}"
            raise self.fail(line, key, found, "a value without an anchor")
        if event.tag is not None:
            raise self.fail(line, key, f"the tag {event.tag[:SHOWN]}", "a value without a tag")
        self.values += 1
        if self.values > MAX_VALUES:
            found = f"more than {MAX_VALUES} values"
            raise self.fail(line, key, found, f"at most {MAX_VALUES} in a {self.what}")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(line, plain(event.value) if event.implicit[0] else event.value)
        if depth >= MAX_DEPTH:
            found = f"nesting deeper than {MAX_DEPTH} levels"
            raise self.fail(line, key, found, f"at most {MAX_DEPTH}")
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not self.events.check_event(yaml.SequenceEndEvent):
                items.append(self.node(f"{key}[{len(items)}]", depth + 1))
            self.events.get_event()
            return Sequence(line, tuple(items))
        return self.mapping(line, key, depth)

    def mapping(self, line: int, key: str, depth: int) -> Mapping:
        entries: dict[str, tuple[int, Node]] = {}
        while not self.events.check_event(yaml.MappingEndEvent):
            name = self.node(key, depth + 1)
            if not isinstance(name, Scalar) or not isinstance(name.value, str):
                raise self.fail(name.line, key, f"{name.describe()} as a key", "a name")
            path = join(key, name.value[:SHOWN])
            if name.value in entries:
                first = entries[name.value][0]
                found = f"the key a second time (first on line {first})"
                raise self.fail(name.line, path, found, "each key once")
            entries[name.value] = (name.line, self.node(path, depth + 1))
        self.events.get_event()
        return Mapping(line, entries)


def join(path: str, name: str) -> str:
    """The dotted path of `name` under `path`."""
    return f"{path}.{name}" if path else name


def read_tree(file: str, data: bytes, what: str = "patch") -> Node:
    """Parse a whole file's bytes. Raises PatchError for whatever is wrong with them. what: patch or
    rig, for messages."""

    def fail(line: int, found: str, expected: str) -> PatchError:
        return PatchError([Problem(file, line, "", found, expected)])

    if len(data) > MAX_BYTES:
        raise fail(0, f"more than {MAX_BYTES // 1024} KiB", f"a {what} of a few kilobytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fail(line, f"the byte 0x{data[error.start]:02x}", "text in UTF-8") from None
    try:
        return _Reader(file, text, what).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        context = f" {error.context}" if error.context else ""
        raise fail(line, f"text that is not YAML ({error.problem}{context})", "YAML") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character)
        raise fail(line, f"the control character U+{code:04X}", "plain text") from None

"""The tree of engine/patch_yaml.py to the dataclasses of engine/patch.py, by the table of fields.

Reader collects every fault instead of stopping at the first: a bad value is replaced by the field's
default so that the rest can still be checked, and the patch is thrown away at the end.
"""

from __future__ import annotations

import difflib
import math
import re
import warnings
from collections.abc import Iterable
from typing import Any, NoReturn

from engine.patch_fields import FIELDS, SEND_NAMES
from engine.patch_kinds import (
    MAX_TEXT,
    Channel,
    Choice,
    Field,
    Flag,
    Free,
    Kind,
    ListOf,
    MapOf,
    Named,
    Number,
    SendsTo,
    Table,
    Text,
)
from engine.patch_yaml import (
    MAX_PROBLEMS,
    SHOWN,
    UNPRINTED,
    Mapping,
    Node,
    PatchError,
    Problem,
    Scalar,
    Sequence,
    describe,
    join,
)


class _Bad(Exception):
    """A value that cannot stand; its problem has been noted."""


class Reader:
    """file: named in messages. lines: dotted path -> line, for the checks that follow."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.lines: dict[str, int] = {}

    def note(self, line: int, key: str, found: str, expected: str) -> None:
        """Remember a fault; at MAX_PROBLEMS give up with all of them."""
        self.problems.append(Problem(self.file, line, key, found, expected))
        if len(self.problems) >= MAX_PROBLEMS:
            raise PatchError(self.problems)

    def line_of(self, key: str) -> int:
        """The line of a key, or of the nearest key above it that is written in the file."""
        while key and key not in self.lines:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return self.lines.get(key, 1)

    def faulty(self, key: str) -> bool:
        """True when a fault is already noted at the key, above it or below it."""
        return any(_related(p.key, key) for p in self.problems)

    def table(self, node: Node, key: str, of: type) -> Any:
        """An instance of dataclass `of`."""
        known = FIELDS[of]
        given: dict[str, Any] = {}
        expected = "a mapping of " + ", ".join(known)
        if not isinstance(node, Mapping) and not _blank(node):
            self.note(node.line, key, node.describe(), expected)
            return of()
        entries = self.entries(node, key, expected)
        for name, (line, value) in entries.items():
            path = join(key, name[:SHOWN])
            self.lines[path] = line
            if name not in known:
                self.note(line, path, "an unknown key", suggest(name, known))
                continue
            try:
                given[name] = self.field(value, path, known[name])
            except _Bad:
                continue
        for name, spec in known.items():
            if spec.required and name not in entries:
                self.note(self.line_of(key), join(key, name), "nothing", spec.kind.expected)
        return of(**given)

    def entries(self, node: Node, key: str, expected: str) -> dict[str, tuple[int, Node]]:
        """A mapping's entries; a key without a value stands for an empty mapping."""
        if isinstance(node, Mapping):
            return node.entries
        if not _blank(node):
            self.refuse(node, key, expected)
        return {}

    def field(self, node: Node, key: str, spec: Field) -> Any:
        if _blank(node) and spec.optional:
            return None
        return self.value(node, key, spec.kind)

    def refuse(self, node: Node, key: str, expected: str, found: str = "") -> NoReturn:
        self.note(node.line, key, found or node.describe(), expected)
        raise _Bad

    def value(self, node: Node, key: str, kind: Kind) -> Any:
        """One value of a kind; raises _Bad after noting what is wrong."""
        match kind:
            case Table():
                return self.table(node, key, kind.of)
            case Named():
                return self.named(node, key, kind)
            case SendsTo():
                return self.sends(node, key, kind)
            case Free():
                return {
                    name: self.free(value, join(key, name))
                    for name, (_, value) in self.entries(node, key, kind.expected).items()
                }
            case ListOf():
                return self.list_of(node, key, kind)
            case MapOf():
                return self.map_of(node, key, kind)
        if not isinstance(node, Scalar):
            self.refuse(node, key, kind.expected)
        value = node.value
        match kind:
            case Number():
                return self.number(node, key, kind)
            case Flag():
                fits = isinstance(value, bool)
            case Choice():
                # True == 1 in Python, but not in a patch.
                fits = not isinstance(value, bool) and value in kind.values
                if not fits and isinstance(value, str):
                    self.refuse(node, key, suggest(value, [str(v) for v in kind.values]))
            case Channel() if isinstance(value, str):
                return self.text(node, key, kind.expected, regex=True, empty=False)
            case Channel():
                fits = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 64
            case Text():
                return self.text(node, key, kind.expected, kind.regex, kind.empty)
        if not fits:
            self.refuse(node, key, kind.expected)
        return value

    def number(self, node: Scalar, key: str, kind: Number) -> int | float:
        value = node.value
        right = int if kind.whole else int | float
        if isinstance(value, bool) or not isinstance(value, right):
            self.refuse(node, key, kind.expected)
        if not (math.isfinite(value) and kind.low <= value <= kind.high):
            self.refuse(node, key, kind.expected)
        return value if kind.whole else float(value)

    def text(self, node: Scalar, key: str, expected: str, regex: bool, empty: bool) -> str:
        value = node.value
        if not isinstance(value, str):
            self.refuse(node, key, expected)
        if not value and not empty:
            self.refuse(node, key, expected, "an empty text")
        if len(value) > MAX_TEXT:
            self.refuse(node, key, f"at most {MAX_TEXT}", f"{len(value)} characters")
        if found := UNPRINTED.search(value):
            what = f"text with the control character U+{ord(found[0]):04X}"
            self.refuse(node, key, expected, what)
        if regex:
            try:
                # Python warns of patterns that will mean something else one day: refused as well.
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    re.compile(value)
            except (re.error, Warning, OverflowError, RecursionError) as error:
                wrong = f"{describe(value)} ({error})"
                self.refuse(node, key, f"{expected}; a regular expression that compiles", wrong)
        return value

    def list_of(self, node: Node, key: str, kind: ListOf) -> tuple[Any, ...]:
        if not isinstance(node, Sequence):
            self.refuse(node, key, kind.expected)
        if not kind.least <= len(node.items) <= kind.most:
            self.refuse(node, key, kind.expected)
        made = []
        for index, item in enumerate(node.items):
            path = f"{key}[{index}]"
            self.lines[path] = item.line
            try:
                made.append(self.value(item, path, kind.item))
            except _Bad:
                continue
        return tuple(made)

    def sends(self, node: Node, key: str, kind: SendsTo) -> dict[str, float]:
        given = self.entries(node, key, kind.expected)
        return self.each(given, key, kind.gain, SEND_NAMES, "an unknown bus or effect")

    def named(self, node: Node, key: str, kind: Named) -> dict[str, Any]:
        entries = self.entries(node, key, kind.expected)
        if len(entries) > kind.most:
            self.refuse(node, key, f"at most {kind.most}", f"{len(entries)} names")
        made: dict[str, Any] = {}
        for name, (line, value) in entries.items():
            path = join(key, name[:SHOWN])
            self.lines[path] = line
            if kind.names and name not in kind.names:
                self.note(line, path, "an unknown name", suggest(name, kind.names))
            elif not re.fullmatch(kind.pattern, name):
                self.note(line, path, f"the name {describe(name)}", kind.form)
            else:
                made[name] = self.table(value, path, kind.of)
        return made

    def map_of(self, node: Node, key: str, kind: MapOf) -> dict[str, Any]:
        given = self.entries(node, key, kind.expected)
        if len(given) > kind.most:
            self.refuse(node, key, f"at most {kind.most}", f"{len(given)} names")
        return self.each(given, key, kind.item, kind.names, "an unknown name")

    def each(
        self,
        given: dict[str, tuple[int, Node]],
        key: str,
        kind: Kind,
        known: tuple[str, ...],
        unknown: str,
    ) -> dict[str, Any]:
        """The good ones of a mapping's entries, each of one kind. known: the names allowed, empty
        for any; unknown: what another name is called."""
        made: dict[str, Any] = {}
        for name, (line, value) in given.items():
            path = join(key, name[:SHOWN])
            self.lines[path] = line
            if known and name not in known:
                self.note(line, path, unknown, suggest(name, known))
                continue
            try:
                made[name] = self.value(value, path, kind)
            except _Bad:
                continue
        return made

    def free(self, node: Node, key: str) -> Any:
        """A value that is passed on as it stands; only what JSON cannot carry is refused."""
        self.lines[key] = node.line
        if isinstance(node, Mapping):
            return {n: self.free(v, join(key, n)) for n, (_, v) in node.entries.items()}
        if isinstance(node, Sequence):
            return [self.free(v, f"{key}[{i}]") for i, v in enumerate(node.items)]
        if isinstance(node.value, float) and not math.isfinite(node.value):
            self.refuse(node, key, "a finite number")
        return node.value


def suggest(name: str, known: Iterable[str]) -> str:
    """What was expected in place of `name`: the nearest known name first, if one is near."""
    known = list(known)
    near = difflib.get_close_matches(name[:SHOWN], known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"one of {', '.join(known)}{hint}" if known else "one, but none is defined"


def _blank(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _related(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    return long == short or (long.startswith(short) and long[len(short)] in ".[" if short else True)

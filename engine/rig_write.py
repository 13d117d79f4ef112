"""A rig as YAML: written anew, or changed in place so that what people wrote beside it stays.

Files are replaced whole (a rename), so a power cut leaves the old one or the new one. Not real-time
safe; any thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.rig import Rig

HEAD = """\
# What stands here. Laid over a patch by `segue run PATCH --rig THIS`, and by itself from
# ~/.config/segue/rig.yaml. Names are the patch's; what is left out stays as the patch says.
# Written by `segue rig`; `segue soundcheck` keeps trims, tuning and measurements in it up to date.

"""
Path_ = tuple[str, ...]  # the keys that lead to a value


def to_yaml(rig: Rig) -> str:
    """The text of a new rig file: one line for each thing that stands here."""
    lines = []
    for f in fields(rig):
        value = getattr(rig, f.name)
        if isinstance(value, dict):
            entries = {name: _said(entry) for name, entry in value.items()}
        elif is_dataclass(value):
            entries = _said(value)
        else:
            if value not in (None, ""):
                lines.append(f"{f.name}: {scalar(value)}")
            continue
        if entries:
            lines.append(f"{f.name}:")
            lines += [f"  {name}: {flow(entry)}" for name, entry in entries.items()]
    return HEAD + "\n".join(lines) + "\n"


def _said(entry: Any) -> dict[str, Any]:
    """What a part of the rig says, without what it leaves to the patch."""
    values = {f.name: getattr(entry, f.name) for f in fields(entry)}
    return {k: v for k, v in values.items() if v is not None and v not in ((), {})}


def scalar(value: Any) -> str:
    """A number, truth or text as YAML writes it; text always quoted."""
    if isinstance(value, float):
        return repr(round(value, 3))
    return json.dumps(value, ensure_ascii=False)


def flow(value: Any) -> str:
    """Any value on one line."""
    if is_dataclass(value):
        value = _said(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    return scalar(value)


def changed(text: str, changes: Mapping[Path_, Any]) -> str:
    """A rig's text with these values set; all else (comments, order, spacing) stays as it is. text:
    one that load_rig takes. A value that is there is replaced, another added to its mapping."""
    for path, value in changes.items():
        text = _set(text, path, value)
    return text


def _set(text: str, path: Path_, value: Any) -> str:
    node = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):  # a rig that says nothing yet
        return HEAD + flow(_nested(path, value))[1:-1] + "\n"
    for depth, key in enumerate(path):
        found = next((v for k, v in node.value if k.value == key), None)
        if found is None:
            return _add(text, node, key, _nested(path[depth + 1 :], value))
        rest = path[depth + 1 :]
        if not rest or not isinstance(found, yaml.MappingNode):
            a, b = found.start_mark.index, found.end_mark.index
            new = flow(_nested(rest, value))
            return text[:a] + (" " if a == b else "") + new + text[b:]
        node = found
    return text


def _nested(path: Path_, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _add(text: str, mapping: yaml.MappingNode, key: str, value: Any) -> str:
    """One more entry: last in {braces}, first in a block."""
    if mapping.flow_style:
        at = mapping.end_mark.index - 1
        comma = ", " if mapping.value and not text[:at].rstrip().endswith(",") else ""
        return f"{text[:at].rstrip()}{comma}{key}: {flow(value)}{text[at:]}"
    at, column = mapping.start_mark.index, mapping.start_mark.column
    return f"{text[:at]}{key}: {flow(value)}\n{' ' * column}{text[at:]}"


def save(path: Path, text: str) -> None:
    """Replace a file whole. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)

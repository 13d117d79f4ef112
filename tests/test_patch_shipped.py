"""Risk: a patch that ships does not load, or the schema for editors disagrees with the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.patch_load import known_models, load_patch
from engine.patch_schema import json_schema
from engine.set_load import load_performance
from engine.song import SetList, songs_of

PATCHES = sorted((Path(__file__).parent.parent / "patches").glob("*.yaml"))
SETS = sorted((PATCHES[0].parent / "sets").glob("*.yaml"))


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """Just enough of JSON Schema to judge a patch by what json_schema() uses."""
    if "anyOf" in schema:
        return any(accepts(s, value) for s in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema["type"]
    if kind == "object":
        known, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        return (
            isinstance(value, dict)
            and all(name in value for name in schema.get("required", []))
            and len(value) <= schema.get("maxProperties", len(value))
            and all(member(known.get(n, rest), v) for n, v in value.items())
            and all(member(schema.get("propertyNames", {}), n) for n in value)
        )
    if kind == "array":
        fits = isinstance(value, list) and schema["minItems"] <= len(value) <= schema["maxItems"]
        return fits and all(accepts(schema["items"], v) for v in value)
    if kind == "string":
        return isinstance(value, str) and schema["minLength"] <= len(value) <= schema["maxLength"]
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "null":
        return value is None
    if isinstance(value, bool) or not isinstance(value, int if kind == "integer" else int | float):
        return False
    return bool(schema["minimum"] <= value <= schema["maximum"])


def member(schema: dict[str, Any] | bool, value: Any) -> bool:
    """additionalProperties may be false, and a schema without a type takes anything here."""
    if isinstance(schema, bool):
        return schema
    return accepts(schema, value) if schema.keys() & {"type", "anyOf", "enum"} else True


@pytest.mark.parametrize("path", PATCHES, ids=lambda p: p.stem)
def test_shipped_patch_loads_and_fits_the_schema(path: Path) -> None:
    patch = load_patch(path)
    assert "main" in patch.outputs
    assert accepts(json_schema(), yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("path", SETS, ids=lambda p: p.stem)
def test_shipped_set_loads_and_fits_the_schema(path: Path) -> None:
    assert len(songs_of(load_performance(path))) >= 2
    assert accepts(json_schema(SetList), yaml.safe_load(path.read_text()))


def test_there_are_patches() -> None:
    assert {"demo", "stage", "minimal", "trombone-and-keys", "eurorack"} <= {
        p.stem for p in PATCHES
    }


def test_models_are_found_without_importing_them(tmp_path: Path) -> None:
    (tmp_path / "echo").mkdir()
    (tmp_path / "echo" / "__init__.py").write_text('raise SystemExit\nKIND = "notes"\n')
    (tmp_path / "junk").mkdir()
    assert known_models(tmp_path) == {"echo": "notes"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"outputs": {"main": {"channels": [1], "limt": True}}},
        {"outputs": {"main": {"channels": [65]}}},
        {"outputs": {"man": {"channels": [1]}}},
        {},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(wrong: dict[str, Any]) -> None:
    assert not accepts(json_schema(), wrong)

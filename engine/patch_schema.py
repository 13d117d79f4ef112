"""JSON Schema (draft 2020-12) of a patch, a set or a rig, from the table of fields: for editors
that check YAML. Published in patches/schema/ (`python -m engine.patch_schema` writes them anew; a
test holds the two together) and by `segue schema`.

It knows keys, types and ranges; references and routes are checked by load_patch alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.patch import Patch
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
from engine.rig import Rig
from engine.song import SetList

FOLDER = Path(__file__).parent.parent / "patches" / "schema"
PUBLISHED: dict[str, type] = {"patch.json": Patch, "rig.json": Rig, "set.json": SetList}


def json_schema(of: type = Patch) -> dict[str, Any]:
    """The schema of a whole file: Patch, SetList or Rig."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"segue {of.__name__.lower()}",
        **_table(of),
    }


def published(of: type) -> str:
    """The text of a published schema."""
    return json.dumps(json_schema(of), indent=1) + "\n"


def _table(of: type) -> dict[str, Any]:
    fields = FIELDS[of]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _field(spec) for name, spec in fields.items()},
        "additionalProperties": False,
    }
    required = [name for name, spec in fields.items() if spec.required]
    return {**schema, "required": required} if required else schema


def _field(spec: Field) -> dict[str, Any]:
    schema = {**_kind(spec.kind), "description": spec.kind.expected}
    return {"anyOf": [schema, {"type": "null"}]} if spec.optional else schema


def _kind(kind: Kind) -> dict[str, Any]:
    match kind:
        case Number():
            kind_name = "integer" if kind.whole else "number"
            return {"type": kind_name, "minimum": kind.low, "maximum": kind.high}
        case Flag():
            return {"type": "boolean"}
        case Choice():
            return {"enum": list(kind.values)}
        case Text():
            return {"type": "string", "minLength": 0 if kind.empty else 1, "maxLength": MAX_TEXT}
        case Channel():
            number = {"type": "integer", "minimum": 1, "maximum": 64}
            return {"anyOf": [number, {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}]}
        case ListOf():
            items = {"items": _kind(kind.item), "minItems": kind.least, "maxItems": kind.most}
            return {"type": "array", **items}
        case SendsTo():
            gains = {name: _kind(kind.gain) for name in SEND_NAMES}
            return {"type": "object", "properties": gains, "additionalProperties": False}
        case MapOf():
            members = {"additionalProperties": _kind(kind.item), "maxProperties": kind.most}
            if kind.names:
                members["propertyNames"] = {"enum": list(kind.names)}
            return {"type": "object", **members}
        case Free():
            return {"type": "object"}
        case Table():
            return _table(kind.of)
        case Named():
            names = {"enum": list(kind.names)} if kind.names else {"pattern": f"^{kind.pattern}$"}
            members = {"additionalProperties": _table(kind.of), "maxProperties": kind.most}
            return {"type": "object", "propertyNames": names, **members}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, of in PUBLISHED.items():
        (FOLDER / name).write_text(published(of), encoding="utf-8")

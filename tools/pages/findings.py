"""Findings as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from tools.pages.markdown import table

__all__ = ["page", "schema_text"]

HEAD = """# Findings as JSON

`unbug diagnose RUN --json` prints one object, the finding to fix first in front. It follows
[this JSON schema](findings-1.schema.json) (draft 2020-12), which ships with the package, and is a contract:
fields may be added to `unbug.findings/1`, none is removed or changes its meaning.
"""


def schema_text() -> str:
    """The schema as it ships."""
    return resources.files("unbug.report").joinpath("findings-1.schema.json").read_text(encoding="utf-8")


def page() -> str:
    """A table of the fields for each object in the schema."""
    schema = json.loads(schema_text())
    parts = [HEAD, "## The object", table(("field", "type", "meaning"), _fields(schema))]
    for name, inner in schema.get("$defs", {}).items():
        if "properties" in inner:
            parts += [f"## {name.capitalize()}", inner.get("description", "")]
            parts.append(table(("field", "type", "meaning"), _fields(inner)))
    return "\n\n".join(part for part in parts if part)


def _fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, inner in schema["properties"].items():
        yield (
            f"`{name}`",
            _type(inner) + ("" if name in required else ", optional"),
            inner.get("description", ""),
        )


def _type(inner: Mapping[str, Any]) -> str:
    if "$ref" in inner:
        return str(inner["$ref"]).rpartition("/")[2]
    if "const" in inner:
        return f"`{json.dumps(inner['const'])}`"
    if "enum" in inner:
        return " or ".join(f"`{json.dumps(value)}`" for value in inner["enum"])
    if "anyOf" in inner or "oneOf" in inner:
        return " or ".join(_type(option) for option in inner.get("anyOf", inner.get("oneOf")))
    kind = inner.get("type", "any")
    if kind == "array":
        return "list" if "items" not in inner else f"list of {_type(inner['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)

"""Findings as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tools.pages.markdown import arguments, table
from unbug.report import findings_schema
from unbug.types import Evidence, Finding, Source

__all__ = ["page", "schema_text"]

HEAD = """# Findings as JSON

`unbug diagnose RUN --json` prints one object, the finding to fix first in front. It follows
[this JSON schema](findings.schema.json) (draft 2020-12), which ships with the package, and is a contract:
fields may be added to `unbug.findings/1`, none is removed or changes its meaning.
"""
RECORDS = {"finding": Finding, "evidence": Evidence, "source": Source}


def schema_text() -> str:
    """The schema as it ships."""
    return json.dumps(findings_schema(), indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """A table of the fields for each object in the schema."""
    schema = findings_schema()
    parts = [HEAD, "## The object", table(("field", "type", "meaning"), _fields(schema, {}))]
    for name, inner in sorted(schema["$defs"].items(), key=lambda item: item[0] != "finding"):
        about = inner.get("description", "")
        if name in RECORDS:
            meanings = arguments(RECORDS[name])
            parts += [f"## {name.capitalize()}", _sentence(about)]
            parts.append(table(("field", "type", "meaning"), _fields(inner, meanings)))
        else:
            parts += [f"## {name.capitalize()}", _sentence(about), f"`{json.dumps(inner)}`"]
    return "\n\n".join(part for part in parts if part)


def _sentence(text: str) -> str:
    return text and f"{text[0].upper()}{text[1:]}."


def _fields(
    schema: Mapping[str, Any], meanings: Mapping[str, str], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Rows for the fields of an object, those of objects inside it by dotted name."""
    for name, inner in schema["properties"].items():
        kind = _type(inner) + ("" if name in schema.get("required", ()) else ", optional")
        yield f"`{prefix}{name}`", kind, inner.get("description") or meanings.get(name, "")
        if "properties" in inner:
            yield from _fields(inner, {}, f"{prefix}{name}.")
        elif "properties" in inner.get("items", {}):
            yield from _fields(inner["items"], {}, f"{prefix}{name}[].")


def _type(inner: Mapping[str, Any]) -> str:
    if "$ref" in inner:
        name = str(inner["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name})"
    if "const" in inner:
        return f"`{json.dumps(inner['const'])}`"
    if "enum" in inner:
        return " or ".join(f"`{json.dumps(value)}`" for value in inner["enum"])
    if "anyOf" in inner:
        return " or ".join(_type(option) for option in inner["anyOf"])
    kind = inner.get("type", "any")
    if "prefixItems" in inner:
        return "list of " + ", ".join(_type(item) for item in inner["prefixItems"])
    if kind == "array" and "items" in inner:
        return f"list of {_type(inner['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)

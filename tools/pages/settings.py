"""Settings."""

from __future__ import annotations

from tools.pages.markdown import code, table
from unbug.settings import KNOWN, Known

__all__ = ["page"]

HEAD = """# Settings

The first of these that says something wins: the option on the command line or the argument of `unbug.run`;
the environment variable; `unbug.toml`, or `[tool.unbug]` in `pyproject.toml`, in the current folder or the
nearest one upwards; the default. `unbug doctor` shows every value and where it came from.

```toml
[tool.unbug]
budget = "1%"
tags = ["nightly"]

[tool.unbug.privacy]
source = "hash"
```
"""


def page() -> str:
    """All settings in one table."""
    rows = [_row(known) for known in KNOWN.values()]
    return HEAD + "\n" + table(("setting", "variable", "takes", "default", "what it does"), rows)


def _row(known: Known) -> tuple[str, ...]:
    variable = code([known.variable] if known.variable else [])
    return f"`{known.name}`", variable, known.allowed, _default(known), known.help


def _default(known: Known) -> str:
    value = known.default
    if value is None or value == () or value == {}:
        return "none"
    if isinstance(value, bool):
        return "`1`" if value else "`0`"
    if known.name == "disk":
        return f"`{value // 1_000_000}MB`"
    return f"`{value:.0%}`" if isinstance(value, float) else f"`{value}`"

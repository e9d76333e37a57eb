"""Errors and exit codes."""

from __future__ import annotations

from tools.pages.markdown import code, docstring, table
from unbug import errors

__all__ = ["page"]


def page() -> str:
    """Exit codes, then every exception with what raises it."""
    parts = [
        "# Errors and exit codes",
        "## Exit codes",
        table(("code", "meaning"), [(f"`{number}`", text) for number, text in errors.EXIT_CODES.items()]),
        "`unbug run` ends with the program's own code if that is not 0. A program ended by a signal ends "
        "`unbug run` the same way.",
        "## Errors",
        "Every message says what could not be done, what was given, what there is and what to do next. "
        "From Python they are exceptions of `unbug.errors`, and keep their facts as attributes.",
    ]
    kinds = [getattr(errors, name) for name in errors.__all__]
    kinds = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, errors.UnbugError)]
    rows = [
        (f"`{kind.__name__}`", code(base.__name__ for base in kind.__bases__), f"`{kind.exit_code}`",
         docstring(kind))
        for kind in sorted(kinds, key=lambda kind: (len(kind.__mro__), kind.__name__))
    ]  # fmt: skip
    parts.append(table(("error", "is a", "exit code", "when"), rows))
    return "\n\n".join(parts)

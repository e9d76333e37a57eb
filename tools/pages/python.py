"""The Python interface."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from tools.pages.markdown import docstring, signature
from unbug import session

__all__ = ["page"]

HEAD = """# Python

```python
import unbug
```

`import unbug` is light: torch, numpy and the readers are loaded by the verb that needs them.
"""


def page() -> str:
    """`unbug.run` with what it gives, `unbug.open` with what it gives."""
    parts = [HEAD]
    for name, function in (("run", session.run), ("open", session.open_run)):
        parts += [f"## unbug.{name}", signature(function, f"unbug.{name}"), docstring(function)]
        given = inspect.signature(function).return_annotation
        kind = getattr(session, given) if isinstance(given, str) else given
        parts += [f"## {kind.__name__}", docstring(kind), *_members(kind)]
    return "\n\n".join(part for part in parts if part)


def _members(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"### {kind.__name__}.{name}"
            yield docstring(member)
        elif inspect.isfunction(member):
            yield f"### {kind.__name__}.{name}"
            yield signature(member, name)
            yield docstring(member)

"""The Python interface."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from tools.pages.markdown import docstring, signature
from unbug import session, store

__all__ = ["page"]

HEAD = """# Python

```python
import unbug
```

`import unbug` is light: torch, numpy and the readers are loaded by the verb that needs them.
"""

MEDIA = ("Image", "Text", "Audio", "Table", "Histogram", "Figure")


def page() -> str:
    """`unbug.run` with what it gives, `unbug.open` with what it gives, and what `Session.log` takes."""
    parts = [HEAD]
    for name, function in (("run", session.run), ("open", session.open_run)):
        parts += [f"## unbug.{name}", signature(function, f"unbug.{name}"), docstring(function)]
        given = inspect.signature(function).return_annotation
        kind = getattr(session, given) if isinstance(given, str) else given
        parts += [f"## {kind.__name__}", docstring(kind), *_members(kind)]
    for name in MEDIA:
        kind = getattr(session, name)
        parts += [
            f"## unbug.{name}",
            signature(kind, f"unbug.{name}").replace(" -> None", ""),
            docstring(kind),
        ]
    parts += ["## MediaItem", docstring(store.MediaItem), *_members(store.MediaItem)]
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

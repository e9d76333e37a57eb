"""Lines of the program where something is written that the graph shows: by words, in the code that ran."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterable, Iterator
from types import CodeType

from unbug.hooks import Frame
from unbug.record.places import source_of

__all__ = ["line_in_classes", "loss_line"]

_UP = 25


def line_in_classes(kinds: Iterable[type], pattern: str) -> tuple[str, int] | None:
    """The first line that matches in methods of the user's classes, these in order of nearness."""
    wanted = re.compile(pattern)
    for kind in kinds:
        source = source_of(kind)
        if source is None:
            continue
        for line in sorted(set(_lines(kind))):
            if wanted.search(linecache.getline(source[0], line).partition("#")[0]):
                return source[0], line
    return None


def loss_line(frame: Frame | None) -> tuple[str, int] | None:
    """Where the loss is computed that a line calls backward on: the assignment before it, else that line."""
    if frame is None:
        return None
    text = linecache.getline(frame.file, frame.line)
    called = re.search(r"(\w+)(?:\s*[*/]\s*[\w.]+\s*\))?\.backward\(|backward\(\s*(\w+)", text)
    name = next((one for one in called.groups() if one), "") if called else ""
    if name:
        assigns = re.compile(rf"\b{re.escape(name)}\b[^=(]*(?<![=!<>+*/-])=(?!=)")
        for line in range(frame.line, max(frame.line - _UP, 0), -1):
            code = linecache.getline(frame.file, line)
            if assigns.search(code):
                return frame.file, line
            if code.lstrip().startswith(("def ", "class ")):
                break
    return frame.file, frame.line


def _lines(kind: type) -> Iterator[int]:
    for member in vars(kind).values():
        code = getattr(member, "__code__", None)
        if isinstance(code, CodeType) and code.co_qualname.startswith(kind.__qualname__):
            yield from (line for _, _, line in code.co_lines() if line is not None)

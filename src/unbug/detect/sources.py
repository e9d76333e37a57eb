"""The line of the user's program that a finding points to."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unbug.detect.culprits import culprit
from unbug.types import Event, Finding, Phase, Place, Source

if TYPE_CHECKING:
    from unbug.detect.window import Window
    from unbug.store.contract import Reader

__all__ = ["Excerpt", "excerpts", "locate"]

AROUND = 1


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """A line of the program with its neighbours, from the copy that the run keeps.

    Args:
        first: Number of the first line.
        lines: As written, without the indentation that all of them share.
    """

    first: int
    lines: tuple[str, ...]


def locate(findings: Iterable[Finding], window: Window, reader: Reader) -> list[Finding]:
    """Give each finding its source: the only line of the program that can be the fault, else the one that the
    rule named, else that of its place or the nearest enclosing module, else of the call that stands for
    `loss`, `optimizer` or `loop`."""
    places = {place.path: place for place in window.places}
    lines = _Lines(reader)
    located = []
    for finding in findings:
        source = finding.source or _of_place(finding.place, places, lines) or _of_call(finding.place, window)
        source = culprit(replace(finding, source=source), lines.texts) or source
        located.append(replace(finding, source=None if source is None else lines.with_text(source)))
    return located


def excerpts(findings: Iterable[Finding], texts: Mapping[str, str]) -> dict[str, Excerpt]:
    """By the id of each finding that has a line of a file that was kept.

    Args:
        texts: File -> text.
    """
    found = {}
    for finding in findings:
        source = finding.source
        lines = texts[source.file].splitlines() if source is not None and source.file in texts else []
        if source is None or not 0 < source.line <= len(lines):
            continue
        first = max(1, source.line - AROUND)
        cut = textwrap.dedent(
            "\n".join(line.expandtabs(4) for line in lines[first - 1 : source.line + AROUND])
        )
        found[finding.id] = Excerpt(first=first, lines=tuple(cut.split("\n")))
    return found


def _of_place(path: str, places: dict[str, Place], lines: _Lines) -> Source | None:
    """Where the place was written: the class of the module, else the line of the nearest class around it that
    assigns the attribute, else the line that assigns the variable."""
    seen: set[str] = set()
    name = ""
    while path in places and path not in seen:
        seen.add(path)
        place = places[path]
        if place.source is not None:
            file, line = place.source
            return Source(file=file, line=lines.attribute(file, line, name) if name else line)
        name = path.rpartition(".")[2] if place.kind == "module" or not name else name
        outer = place.parent if place.parent is not None else path.rpartition(".")[0]
        if outer not in places:
            return lines.variable(path)
        path = outer
    return None


def _of_call(path: str, window: Window) -> Source | None:
    for kind in _KINDS.get(path, ()):
        for event in window.events(kind):
            file, line = event.fields.get("file"), event.fields.get("line")
            if file and line and not (kind == "loss_call" and _evaluates(event)):
                return Source(file=str(file), line=int(line))
    return None


def _evaluates(event: Event) -> bool:
    """Whether a loss was called in an evaluation, as its call site says (the event may be told later)."""
    told = event.fields.get("phase")
    return told == "eval" if isinstance(told, str) else event.phase is Phase.EVAL


def _margin(text: str) -> int:
    return len(text) - len(text.lstrip())


_KINDS = {
    "optimizer": ("optimizer", "parameters"),
    "loss": ("loss_call", "parameters"),
    "loop": ("loop_order", "parameters", "loss_call"),
}
"""Events that know a line of the program, for places that are no module: `parameters` that of the step."""


class _Lines:
    """Text of source lines, from the copies of the program's modules that the run keeps."""

    def __init__(self, reader: Reader) -> None:
        self._texts: dict[str, list[str]] = {}
        for event in reader.events("source"):
            file, text = event.fields.get("file"), event.fields.get("text")
            if isinstance(file, str) and isinstance(text, str):
                self._texts[file] = text.splitlines()

    @property
    def texts(self) -> Mapping[str, list[str]]:
        """Lines of each file."""
        return self._texts

    def attribute(self, file: str, line: int, name: str) -> int:
        """The line of a class, from its first one on, that assigns an attribute; the first one if none
        does."""
        lines = self._texts.get(file, [])
        margin = _margin(lines[line - 1]) if 0 < line <= len(lines) else 0
        pattern = re.compile(rf"\bself\.{re.escape(name)}\s*(:[^=]+)?=[^=]")
        for number in range(line + 1, len(lines) + 1):
            text = lines[number - 1]
            if text.strip() and _margin(text) <= margin:
                break
            if pattern.search(text):
                return number
        return line

    def variable(self, name: str) -> Source | None:
        """The only line of the program that assigns a variable; None where there are several or none."""
        pattern = re.compile(rf"(^|[;,]|\bas\b)\s*{re.escape(name)}\s*(=[^=]|,[^=()]*=[^=])")
        found = [
            Source(file=file, line=number)
            for file, lines in self._texts.items()
            for number, text in enumerate(lines, 1)
            if pattern.search(text)
        ]
        return found[0] if len(found) == 1 and name.isidentifier() else None

    def with_text(self, source: Source) -> Source:
        if source.text:
            return source
        lines = self._texts.get(source.file, [])
        text = lines[source.line - 1].strip() if 0 < source.line <= len(lines) else ""
        return Source(file=source.file, line=source.line, text=text)

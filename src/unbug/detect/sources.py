"""The line of the user's program that a finding points to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from unbug.types import Finding, Phase, Place, Source

if TYPE_CHECKING:
    from unbug.detect.window import Window
    from unbug.store.contract import Reader

__all__ = ["locate"]


def locate(findings: Iterable[Finding], window: Window, reader: Reader) -> list[Finding]:
    """Give each finding its source: the one that the rule named, else that of its place or the nearest
    enclosing module, else of the call that stands for `loss`, `optimizer` or `loop`."""
    places = {place.path: place for place in window.places}
    lines = _Lines(reader)
    located = []
    for finding in findings:
        source = finding.source or _of_place(finding.place, places) or _of_call(finding.place, window)
        located.append(replace(finding, source=None if source is None else lines.with_text(source)))
    return located


def _of_place(path: str, places: dict[str, Place]) -> Source | None:
    """Where the place was written: its own line, else that of the nearest module around it."""
    seen: set[str] = set()
    while path in places and path not in seen:
        seen.add(path)
        place = places[path]
        if place.source is not None:
            return Source(file=place.source[0], line=place.source[1])
        path = place.parent if place.parent is not None else path.rpartition(".")[0]
    return None


def _of_call(path: str, window: Window) -> Source | None:
    for kind in _KINDS.get(path, ()):
        for event in window.events(kind):
            file, line = event.fields.get("file"), event.fields.get("line")
            if file and line and (kind != "loss_call" or event.phase is not Phase.EVAL):
                return Source(file=str(file), line=int(line))
    return None


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

    def with_text(self, source: Source) -> Source:
        if source.text:
            return source
        lines = self._texts.get(source.file, [])
        text = lines[source.line - 1].strip() if 0 < source.line <= len(lines) else ""
        return Source(file=source.file, line=source.line, text=text)

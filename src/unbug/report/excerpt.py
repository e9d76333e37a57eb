"""The lines of the user's program around a finding, from the copy that the run keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unbug.report.language import Language, say
from unbug.report.markup import Markup, tag
from unbug.types import Bilingual, Source

if TYPE_CHECKING:
    from unbug.types import Event

__all__ = ["Program"]

AROUND = 4


@dataclass(frozen=True)
class Program:
    """The stored source files, by the name under which findings cite them."""

    files: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Program:
        """From the run's events of kind `source`."""
        stored = ((event.fields.get("file"), event.fields.get("text")) for event in events)
        return cls(
            {
                file: text.split("\n")
                for file, text in stored
                if isinstance(file, str) and isinstance(text, str)
            }
        )

    def excerpt(self, source: Source, language: Language = "en") -> Markup:
        """The cited line with some around it; the line alone if the file was not kept."""
        lines = self.files.get(source.file, [])
        if not 0 < source.line <= len(lines):
            shown = [(source.line, source.text)] if source.text else []
        else:
            first = max(1, source.line - AROUND)
            shown = list(enumerate(lines[first - 1 : source.line + AROUND], first))
        where = Bilingual(f"{source.file}, line {source.line}", f"{source.file}，第 {source.line} 行")
        caption = tag("figcaption", say(where, language))
        body = Markup("".join(_line(number, line, number == source.line) for number, line in shown))
        return tag("figure", caption, tag("pre", body) if shown else None, class_="code")


def _line(number: int, line: str, cited: bool) -> Markup:
    # Tabs are spread by hand, since `text` takes control characters out.
    return tag("span", tag("i", number), line.expandtabs(4) or " ", class_="at" if cited else None)

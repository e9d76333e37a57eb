"""How text looks on a terminal: colour where it is wanted, widths as they are shown."""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from typing import TextIO

__all__ = ["COLORS", "can_show", "clip", "pad", "paint", "terminal_width", "visible_width", "wants_color"]

COLORS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def wants_color(stream: TextIO | None = None) -> bool:
    """Whether to use colour: a terminal, and neither `NO_COLOR` nor a dumb one."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return (sys.stdout if stream is None else stream).isatty()


def can_show(stream: TextIO, signs: str = "✖─█→") -> bool:
    """Whether a stream's encoding has more than ASCII."""
    try:
        signs.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def terminal_width() -> int:
    """Columns of the terminal, at least 40 and at most 160."""
    return min(max(shutil.get_terminal_size((100, 24)).columns, 40), 160)


def paint(text: str, style: str, *, color: bool) -> str:
    """Text in a style such as `bold red`."""
    if not color or not style or not text:
        return text
    codes = ";".join(COLORS[word] for word in style.split())
    return f"\x1b[{codes}m{text}\x1b[0m"


def visible_width(text: str) -> int:
    """Columns that a text takes: wide characters two, combining ones none, escapes none."""
    text = _ESCAPES.sub("", text)
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def clip(text: str, width: int) -> str:
    """Text without control characters, cut to a width with an ellipsis."""
    text = _CONTROL.sub("�", text.replace("\n", " ").replace("\t", " "))
    if visible_width(text) <= width:
        return text
    kept, used = [], 0
    for letter in text:
        used += visible_width(letter)
        if used > width - 1:
            break
        kept.append(letter)
    return "".join(kept) + "…"


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Text filled up with blanks to a width."""
    blanks = " " * max(width - visible_width(text), 0)
    return blanks + text if right else text + blanks

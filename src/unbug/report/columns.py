"""Columns that text takes in a terminal, where Chinese characters take two, and lines that keep to them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["columns", "wrapped"]

_WIDE = frozenset("WF")
_NEVER_FIRST = frozenset("，。；：、！？）】》”’,.;:!?)]}%")


def columns(text: str) -> int:
    """How many columns the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(sign) in _WIDE else not unicodedata.combining(sign) for sign in text
    )


def wrapped(text: str, width: int, *, indent: int) -> list[str]:
    """The text as indented lines of at most `width` columns, broken at blanks and between Chinese characters.

    A word that is longer than a line is broken anywhere.
    """
    room, lines, line = max(width - indent, 2), list[str](), ""
    for piece in _pieces(text):
        if columns(line) + columns(piece.rstrip()) > room and line.strip():
            lines.append(line.rstrip())
            line, piece = "", piece.lstrip()
        while columns(piece.rstrip()) > room:
            cut = _fitting(piece, room)
            lines.append(piece[:cut])
            piece = piece[cut:]
        line += piece
    lines.append(line.rstrip())
    blank = " " * indent
    return [blank + one for one in lines]


def _pieces(text: str) -> Iterator[str]:
    """What must not be broken: words with the blanks behind them, and single wide characters with the marks
    behind them."""
    piece = ""
    for word in re.findall(r"\S+\s*|\s+", text):
        for sign in word:
            wide = unicodedata.east_asian_width(sign) in _WIDE
            if piece and sign not in _NEVER_FIRST and (wide or _ends_wide(piece)) and not _opens(piece):
                yield piece
                piece = ""
            piece += sign
        if not _opens(piece.rstrip()):
            yield piece
            piece = ""
    if piece:
        yield piece


def _ends_wide(piece: str) -> bool:
    return unicodedata.east_asian_width(piece[-1]) in _WIDE


def _opens(piece: str) -> bool:
    return bool(piece) and piece[-1] in "（【《“‘"


def _fitting(piece: str, room: int) -> int:
    cut = 0
    while cut < len(piece) and columns(piece[: cut + 1]) <= room:
        cut += 1
    return max(cut, 1)

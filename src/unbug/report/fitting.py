"""Texts and paths cut to what a terminal line has room for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from unbug.report.columns import columns
from unbug.report.words import clean

__all__ = ["below", "clip", "gist", "listed_in_chinese", "short"]


def gist(message: str) -> str:
    """The first clause of a message."""
    return re.split(r"[;；:：]\s?| \(|（", message, maxsplit=1)[0]


def clip(text: str, width: int) -> str:
    """The text in at most `width` columns; an ellipsis stands for the rest."""
    if columns(text) <= width:
        return text
    kept = text[: max(width - 1, 0)]
    while columns(kept) > width - 1:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def listed_in_chinese(parts: Sequence[str], *, most: int = 3) -> str:
    """`a`、`b`，或 `a`、`b` 等 4 个"""
    shown = "、".join(parts[:most])
    return shown if len(parts) <= most else f"{shown} 等 {len(parts)} 个"


def short(path: Path) -> str:
    """The path for a command line."""
    text = below(path)
    return f"'{text}'" if " " in text else text


def below(path: Path) -> str:
    """The path from where the user is, if it lies below."""
    try:
        return clean(str(path.absolute().relative_to(Path.cwd())))
    except (ValueError, OSError):
        return clean(str(path))

"""The fault vocabulary: one class for each root cause, in `vocabulary.toml` beside this file."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

__all__ = ["classes"]


@cache
def classes() -> dict[str, str]:
    """Every fault class with its one-line definition."""
    text = resources.files("unbug.detect").joinpath("vocabulary.toml").read_text(encoding="utf-8")
    return {name: meaning for section in tomllib.loads(text).values() for name, meaning in section.items()}

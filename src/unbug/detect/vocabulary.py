"""The fault vocabulary: one class for each root cause, in the two `vocabulary` files beside this one."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from unbug.types import Bilingual

__all__ = ["classes"]


@cache
def classes() -> dict[str, Bilingual]:
    """Every fault class with its one-line definition."""
    of = {name: meaning for section in _read("vocabulary.toml").values() for name, meaning in section.items()}
    native = _read("vocabulary.zh.toml")
    return {name: Bilingual(meaning, native.get(name, "")) for name, meaning in of.items()}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("unbug.detect").joinpath(name).read_text(encoding="utf-8"))

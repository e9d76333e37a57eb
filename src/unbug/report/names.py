"""How a page names the facts that were recorded, in English and Chinese."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from unbug.types import Bilingual

__all__ = ["fact_name", "facts_in_order", "run_name"]


def fact_name(key: str) -> Bilingual:
    """The name of a fact that a finding rests on; without one, its key as words."""
    return _name("facts", key)


def run_name(key: str) -> Bilingual:
    """The name of a fact of the run itself: of its coverage or its environment."""
    return _name("run", key)


@cache
def facts_in_order() -> dict[str, int]:
    """Where each known fact of a finding stands in a list of facts."""
    return {key: at for at, key in enumerate(_names()["facts"])}


def _name(of: str, key: str) -> Bilingual:
    named = _names()[of].get(key)
    return Bilingual(*named) if named else Bilingual(key.replace("_", " "))


@cache
def _names() -> dict[str, dict[str, list[str]]]:
    text = resources.files("unbug.report").joinpath("names.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)

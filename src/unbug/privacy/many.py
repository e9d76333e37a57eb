"""All texts of a large value as one, so that what holds no secret is seen to hold none at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unbug.privacy.names import is_secret_name

__all__ = ["text_of_many"]

_MANY = 1000


def text_of_many(value: Any) -> str:
    """Every string and key of a JSON value on its own line; empty where they are few, or a key is secret."""
    texts: list[str] = []
    keys: set[str] = set()
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, Mapping):
            keys.update(map(str, one))
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)
    if len(texts) < _MANY or any(map(is_secret_name, keys)):
        return ""
    return "\n".join([*texts, *keys])

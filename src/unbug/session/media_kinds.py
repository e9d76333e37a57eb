"""What the kinds of media share: pieces that are taken at the call and encoded by the background thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Encoded", "Media", "Piece"]

Encoded = tuple[bytes, Mapping[str, Any]]
"""The file, and what encoding it has found out."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One thing to keep: a copy, which the program cannot change any more.

    Args:
        encode: Makes the file; given what takes secrets out of text. Called off the training's thread.
        size_bytes: What it holds in memory until then.
        fields: What is known of it already, JSON values.
    """

    kind: str
    suffix: str
    encode: Callable[[Callable[[str], str]], Encoded]
    size_bytes: int
    fields: Mapping[str, Any] = field(default_factory=dict)


class Media(Protocol):
    """What `run.log` takes beside numbers."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """One, or as many as a batch holds."""
        ...

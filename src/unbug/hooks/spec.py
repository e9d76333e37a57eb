"""What one tap is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["ALL", "Spec"]

ALL = ("*",)
"""As `leave_names`: every parameter."""


def _nothing(*_: Any) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One tap: where, what it tells, when it is silent, and the two calls (see `tap.make_tap`).

    Args:
        name: Dotted path from the package on.
        inner: A function that it defines, which is tapped in its place; `existing` finds those made before.
        refused: Why it cannot be put in place; empty if it can be tried.
        make_leave: Makes `leave` from the names of all parameters, for `leave_names=ALL`.
    """

    name: str
    what: str
    guard: str
    enter: Callable[..., Any] = _nothing
    leave: Callable[..., None] = _nothing
    enter_names: tuple[str, ...] = ()
    leave_names: tuple[str, ...] = ()
    refused: str = ""
    inner: str | None = None
    existing: Callable[[], list[Any]] | None = None
    make_leave: Callable[[tuple[str, ...]], Callable[..., None]] | None = None

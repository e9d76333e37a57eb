"""The one table of patches: what is changed in torch, under which guard, and how it is undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import CodeType, FunctionType

from unbug.hooks.tap import Tapped

__all__ = ["Patch", "Table"]


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A row of the table.

    Args:
        name: What is changed, e.g. `torch.nn.functional.cross_entropy`.
        what: What it tells, in words.
        guard: When it stays silent, in words.
        undo: How it is undone, in words.
        installed: Whether it is in place.
        reason: Why not, if it is not.
    """

    name: str
    what: str
    guard: str
    undo: str
    installed: bool
    reason: str = ""


class Table:
    """Changes that were made, each with its undo. `undo` may be called at any time, in a forked child too."""

    def __init__(self) -> None:
        self._rows: list[Patch] = []
        self._undo: list[Callable[[], object]] = []

    def tap(self, name: str, what: str, guard: str, function: FunctionType, tapped: Tapped) -> None:
        """Put the new code in place."""
        function.__code__ = tapped.code
        self._undo.append(lambda: _restore(function, tapped.code, tapped.original))
        self._add(name, what, guard, "the original `__code__` is put back", "")

    def also(self, undo: Callable[[], object]) -> None:
        """More that belongs to the row before."""
        self._undo.append(undo)

    def refused(self, name: str, what: str, guard: str, reason: str) -> None:
        """State that a patch is not in place; nothing was changed for it."""
        self._add(name, what, guard, "nothing to undo", reason)

    def rows(self) -> list[Patch]:
        """All patches, those that are not in place with the reason."""
        return list(self._rows)

    def undo(self) -> None:
        """Restore everything, last change first. Idempotent."""
        while self._undo:
            self._undo.pop()()
        self._rows = [
            row if row.reason else replace(row, installed=False, reason="removed") for row in self._rows
        ]

    def _add(self, name: str, what: str, guard: str, undo: str, reason: str) -> None:
        self._rows.append(
            Patch(name=name, what=what, guard=guard, undo=undo, installed=not reason, reason=reason)
        )


def _restore(function: FunctionType, ours: CodeType, original: CodeType) -> None:
    if function.__code__ is ours:  # else somebody put her own in, after us
        function.__code__ = original

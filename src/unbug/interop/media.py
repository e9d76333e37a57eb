"""Images, texts, histograms and the like that the program logs elsewhere: that they exist, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.interop.numbers import number_of

__all__ = ["Media", "kind_of"]

MOST_NAMES = 500
_DRAWN = {"matplotlib": "figure", "plotly": "figure", "PIL": "image", "pandas": "table"}
_ARRAYS = {"torch", "numpy", "jax", "tensorflow"}


@dataclass
class _Count:
    count: int = 0
    first_step: float | None = None
    last_step: float | None = None
    told: int = 0


class Media:
    """Counts them by origin, kind and name.

    Args:
        event: Writes an event of kind `logged`.
    """

    def __init__(self, event: Callable[[Mapping[str, Any]], None]) -> None:
        self._event = event
        self._counts: dict[tuple[str, str, str], _Count] = {}
        self.dropped = 0

    def add(self, origin: str, kind: str, name: Any, user_step: Any) -> None:
        """One more; told at the first and at each tenfold."""
        key = (origin, kind, name if isinstance(name, str) else f"<{type(name).__qualname__}>")
        known = self._counts.get(key)
        if known is None:
            if len(self._counts) >= MOST_NAMES:
                self.dropped += 1
                return
            known = self._counts[key] = _Count()
        known.count += 1
        step = None if user_step is None else number_of(user_step, read=False)
        if step is not None:
            known.first_step = step if known.first_step is None else known.first_step
            known.last_step = step
        if known.count >= 10 * known.told:
            self._tell(key, known, final=False)

    def close(self) -> None:
        """Tell how many there were."""
        for key, known in list(self._counts.items()):
            if known.count != known.told:
                self._tell(key, known, final=True)

    def _tell(self, key: tuple[str, str, str], known: _Count, *, final: bool) -> None:
        known.told = known.count
        origin, kind, name = key
        self._event(
            {
                "origin": origin,
                "kind": kind,
                "name": name,
                "count": known.count,
                "first_step": known.first_step,
                "last_step": known.last_step,
                "final": final,
            }
        )


def kind_of(value: Any) -> str:
    """What something is that is no number, in one word."""
    if isinstance(value, (list, tuple)) and value:
        return kind_of(value[0])
    if isinstance(value, str):
        return "text"
    kind = type(value)
    home = kind.__module__.partition(".")[0]
    if home in ("wandb", "trackio"):
        return kind.__name__.lower()
    return _DRAWN.get(home, "array" if home in _ARRAYS else "object")

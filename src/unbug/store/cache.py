"""Decoded columns, kept while they fit."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

__all__ = ["Cache"]


class Cache:
    """The most recently used arrays, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of that key, made if it is not there."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        made = make()
        if made.nbytes <= self._limit // 4:
            self._kept[key] = made
            self._size += made.nbytes
            while self._size > self._limit:
                _, dropped = self._kept.popitem(last=False)
                self._size -= dropped.nbytes
        return made

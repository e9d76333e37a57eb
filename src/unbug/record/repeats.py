"""The same examples at every step, and the larger set that the program takes them from.

A batch that a loop picks out of a table anew, and that still never changes, is told from a small data set by
three things in the program's own variables: the batch is a new object at each step, no variable holds just
these examples, and one holds them and many others. Names are read where backward is called, and not kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.hooks import user_scopes
from unbug.record.columns import readable
from unbug.record.credit import Credit
from unbug.record.holdings import Named, hashes_of, holds_samples, named_tables, tensor_of
from unbug.record.kept_tree import tensors_in

if TYPE_CHECKING:
    from unbug.record.core import Core

__all__ = ["Repeats"]

_ASKED_AT = (20, 60, 200)
"""Looks in a row at the same examples after which the larger set is looked for."""
_FEWEST, _MOST, _TIMES, _DISTINCT, _MOST_STREAMS = 2, 4096, 3, 0.9, 24
_SAMPLES, _ALIKE, _DEPTH = 4, 0.3, 6


@dataclass(slots=True)
class _Stream:
    """What one name, or the input, holds at each look."""

    key: int = 0
    looks: int = 0
    same: int = 0
    fresh: int = 0
    varied: bool = False
    object: weakref.ref[Any] | None = None

    def take(self, key: int, thing: Any) -> None:
        self.looks += 1
        if key == self.key and self.looks > 1:
            self.same += 1
            self.fresh += self.object is None or self.object() is not thing
        else:
            self.varied = self.varied or self.looks > 1
            self.key, self.same, self.fresh = key, 0, 0
        self.object = _weak(thing)


class Repeats:
    """Of one training after the other; writes a `repeated` event at most once for each."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._number = -1
        self._credit = Credit(core)
        self._streams: dict[str, _Stream] = {}
        self._given: tuple[weakref.ref[Any] | None, int, list[torch.Tensor]] | None = None
        self._told: set[int] = set()
        self._asked: tuple[dict[str, Any], dict[str, Callable[[], Any]]] | None = None

    def given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """A root module is given the examples of a step."""
        if not self._starts() or not self._credit.due():
            self._given = None
            return
        start = perf_counter_ns()
        tensors = [one for _, one in tensors_in((args, dict(kwargs)))][:4]
        size = len(tensors[0]) if tensors and tensors[0].dim() else 0
        parts = [one for one in tensors if readable(one) and len(one) == size]
        self._given = None
        if _FEWEST <= size <= _MOST and parts and parts[0] is tensors[0]:
            hashes = [told for one in parts if (told := hashes_of(one.detach())) is not None]
            if len(hashes) == len(parts):
                self._stream("").take(_key(_together(hashes)), parts[0])
                self._given = _weak(parts[0]), size, [one.detach() for one in parts]
        self._credit.paid(perf_counter_ns() - start)

    def backward(self) -> None:
        """Backward begins: the variables of the program still hold the batch."""
        given, self._given = self._given, None
        if given is None and (self._core.last_root is not None or not self._starts()):
            return
        if given is None and not self._credit.due():
            return
        start = perf_counter_ns()
        tables = list(named_tables(user_scopes(_DEPTH)))
        self._variables(tables, given)
        self._core.chosen_ns += perf_counter_ns() - start

    # Helpers.
    def _starts(self) -> bool:
        number = max(self._core.number(), 0)
        if number in self._told:
            return False
        if number != self._number:
            self._number, self._streams, self._credit = number, {}, Credit(self._core)
            self._asked = None
        return True

    def _stream(self, name: str) -> _Stream:
        return self._streams.setdefault(name, _Stream())

    def _variables(
        self, tables: Sequence[Named], given: tuple[weakref.ref[Any] | None, int, list[torch.Tensor]] | None
    ) -> None:
        if self._asked is not None:
            self._tell(*self._asked, dict(tables))
            return
        stream = self._streams.get("")
        if given is not None and stream is not None:
            if stream.looks in _ASKED_AT and stream.same == stream.looks - 1:
                self._ask("", stream, given[2], tables)
            if not stream.varied:  # what the model is given tells enough
                return
        shapes: dict[str, tuple[int, ...]] = {}
        for name, value in tables:
            tensor = tensor_of(value)
            if tensor is None or not _FEWEST <= len(tensor) <= _MOST or name.startswith("_"):
                continue
            if tensor.dim() < 2 or (given is not None and len(tensor) != given[1]):
                continue
            if name not in self._streams and len(self._streams) >= _MOST_STREAMS:
                continue
            hashes = hashes_of(tensor)
            if hashes is None or len(set(hashes.tolist())) < _DISTINCT * len(hashes):
                continue
            self._stream(name).take(_key(hashes), value)
            shapes[name] = tuple(tensor.shape[1:])
            known = self._streams[name]
            if known.looks not in _ASKED_AT or known.same < known.looks - 1:
                continue
            if given is None:
                alike = [one for one, shape in shapes.items() if shape == shapes[name] and one != name]
                if any(self._streams[one].varied for one in alike):
                    continue
            elif not _related(given[2][0], tensor):
                continue
            self._ask(name, known, [tensor], tables)

    def _ask(self, name: str, stream: _Stream, parts: list[torch.Tensor], tables: Sequence[Named]) -> None:
        """Look for the set that a batch which never changed was taken from; told at the next look."""
        wanted = hashes_of(parts[0])
        if wanted is None:
            return
        rows, whole, source, names = len(parts[0]), 0, "", set(wanted.tolist())
        holders: dict[str, Callable[[], Any]] = {}
        wide = len(names) >= _DISTINCT * rows and parts[0].dim() > 1
        for told, value in tables if wide else ():
            table = _rows_like(tensor_of(value), parts[0])
            if table is None:
                same = isinstance(value, list) and len(value) == rows
                if same and holds_samples(value, parts[0][:_SAMPLES].tolist()):
                    holders[told] = _Same(value)
                larger = isinstance(value, list) and len(value) >= max(_TIMES * rows, whole + 1)
                if larger and holds_samples(value, parts[0][:_SAMPLES].tolist()):
                    whole, source = len(value), told
            elif len(table) == rows:
                current = hashes_of(table, like=parts[0].dtype)
                if current is not None and set(current.tolist()) == names:
                    holders[told] = _weak(value) or _Same(value)
            elif len(table) >= max(_TIMES * rows, whole + 1):
                current = hashes_of(table, like=parts[0].dtype)
                if current is not None and names <= set(current.tolist()):
                    whole, source = len(table), told
        if not whole:
            whole, source = _by_index(parts, tables)
        if whole:
            fields = {
                "variable": name, "rows": rows, "looked_at": stream.looks, "whole": whole, "set": source,
                "fresh": stream.fresh,
            }  # fmt: skip
            self._asked = fields, holders

    def _tell(
        self, fields: dict[str, Any], holders: dict[str, Callable[[], Any]], now: Mapping[str, Any]
    ) -> None:
        """Tell of it, and whether a variable has held just these examples all the time."""
        self._asked = None
        self._told.add(self._number)
        held = [
            name for name, known in holders.items()
            if name in now and known() is now[name]
        ]  # fmt: skip
        self._core.event("repeated", {**fields, "held": bool(held)}, training=self._number)


class _Same:
    """A list, which cannot be held weakly, until the next look."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __call__(self) -> Any:
        return self._thing


def _rows_like(table: torch.Tensor | None, given: torch.Tensor) -> torch.Tensor | None:
    """A table if its rows have as many elements as those that were given, whatever their shape."""
    if table is None or table.dim() < 2 or given.dim() < 2 or not table.numel():
        return None
    return table if table[0].numel() == given[0].numel() else None


def _by_index(parts: list[torch.Tensor], tables: Sequence[Named]) -> tuple[int, str]:
    """The set, where a variable holds the numbers of the examples in it."""
    size = len(parts[0])
    for _, value in tables:
        index = tensor_of(value)
        if index is None or index.dim() != 1 or len(index) != size or index.is_floating_point():
            continue
        if index.dtype == torch.bool or len(index.unique()) < _DISTINCT * size or int(index.min()) < 0:
            continue
        found = []
        for part in parts:
            for told, other in tables:
                table = tensor_of(other)
                if table is None or table.shape[1:] != part.shape[1:] or len(table) < _TIMES * size:
                    continue
                if len(table) > int(index.max()) and torch.equal(table[index.long()].to(part.dtype), part):
                    found.append((len(table), told))
                    break
        if len(found) == len(parts):
            return found[0]
    return 0, ""


def _related(given: torch.Tensor, tensor: torch.Tensor) -> bool:
    """Whether an input is another form of these examples, such as with noise, row by row."""
    if given.numel() != tensor.numel() or not given.is_floating_point():
        return False
    one = given.reshape(-1).double()
    other = tensor.reshape(-1).double()
    one, other = one - one.mean(), other - other.mean()
    scale = float(one.norm() * other.norm())
    return scale > 0 and float(one @ other) / scale >= _ALIKE


def _together(hashes: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    whole = hashes[0].copy()
    for number, one in enumerate(hashes[1:], start=1):
        whole ^= one * np.uint64(2 * number + 1)
    return whole


def _key(hashes: NDArray[np.uint64]) -> int:
    """The same for the same rows in any order."""
    return hash(np.sort(hashes).tobytes())


def _weak(thing: Any) -> weakref.ref[Any] | None:
    try:
        return weakref.ref(thing)
    except TypeError:
        return None

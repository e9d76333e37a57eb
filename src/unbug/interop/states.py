"""What a checkpoint holds: which states, how many tensors; and which tensor came from which file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from unbug.hooks import addresses, is_tensor

__all__ = ["Held", "Sources", "held", "some_tensors"]

MOST_TENSORS, MOST_PARTS, MOST_DEPTH, MOST_ASKED = 20_000, 30, 6, 16
_ENDINGS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a state holds.

    Args:
        parts: Names of the states in it, in order; empty where it is one by itself.
        is_state: Whether it is the state of a model or an optimizer, or holds one.
        own: The tensors of these states, without what else is saved beside them.
    """

    tensors: tuple[Any, ...]
    parts: tuple[str, ...]
    is_state: bool
    own: tuple[Any, ...]


def held(state: Any) -> Held:
    """Look through a state, without running any of its code."""
    tensors = tuple(_tensors(state))
    inside: dict[str, Any] = {}
    if isinstance(state, dict) and not _is_state(state):
        named = ((name, value) for name, value in dict.items(state) if isinstance(name, str))
        inside = {name: value for name, value in named if _holds_state(value, 1)}
    return Held(
        tensors=tensors,
        parts=tuple(inside)[:MOST_PARTS],
        is_state=bool(inside) or _holds_state(state, 0),
        own=tuple(_tensors(inside)) if inside else tensors,
    )


def some_tensors(state: Any) -> tuple[Any, ...]:
    """The first few tensors in a state."""
    return tuple(islice(_tensors(state), MOST_ASKED))


def _is_state(value: Any) -> bool:
    """The state of a module or an optimizer, or a module itself."""
    if _is_module(value):
        return True
    if not isinstance(value, dict):
        return False
    if hasattr(value, "_metadata") or {"state", "param_groups"} <= set(value):
        return True
    names = [name for name, one in dict.items(value) if isinstance(name, str) and is_tensor(one)]
    return any("." in name or name.endswith(_ENDINGS) for name in names)


def _holds_state(value: Any, depth: int) -> bool:
    if _is_state(value):
        return True
    if depth >= 2:
        return False
    if isinstance(value, dict):
        return any(_holds_state(one, depth + 1) for one in dict.values(value))
    return isinstance(value, (list, tuple)) and any(_holds_state(one, depth + 1) for one in value[:8])


def _is_module(value: Any) -> bool:
    there = getattr(value, "__dict__", None)
    return isinstance(there, dict) and {"_parameters", "_buffers", "_modules"} <= set(there)


def _tensors(state: Any) -> Iterator[Any]:
    """Every tensor in it, in order, each module once."""
    waiting: list[tuple[Any, int]] = [(state, 0)]
    seen: set[int] = set()
    looked_at = 0
    while waiting and looked_at < MOST_TENSORS:
        value, depth = waiting.pop()
        looked_at += 1
        inside: list[Any] = []
        if is_tensor(value):
            yield value
        elif isinstance(value, dict):
            inside = list(dict.values(value))
        elif isinstance(value, (list, tuple)):
            inside = list(value[:MOST_TENSORS])
        elif _is_module(value) and id(value) not in seen:
            seen.add(id(value))
            there = vars(value)
            for part in ("_parameters", "_buffers", "_modules"):
                inside += there[part].values()
            depth -= 1
        if depth < MOST_DEPTH:
            waiting += [(one, depth + 1) for one in reversed(inside)]


class Sources:
    """Which file a tensor was read from, as long as it is where it was put. Holds no tensor."""

    MOST_FILES, MOST_IN_FILE = 8, 2_000

    def __init__(self) -> None:
        self._files: OrderedDict[str, Mapping[int, tuple[int, ...]]] = OrderedDict()

    def read(self, path: str, tensors: tuple[Any, ...]) -> None:
        """These were read from there."""
        self._files.pop(path, None)
        self._files[path] = dict(addresses(tensors[: self.MOST_IN_FILE]))
        if len(self._files) > self.MOST_FILES:
            self._files.popitem(last=False)

    def of(self, tensors: tuple[Any, ...]) -> str | None:
        """The file that most of these came from."""
        if not self._files:
            return None
        where = addresses(tensors)
        for path in reversed(self._files):
            there = self._files[path]
            if where and 2 * sum(there.get(at) == shape for at, shape in where) > len(where):
                return path
        return None

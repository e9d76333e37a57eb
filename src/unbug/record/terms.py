"""What a loss is the sum of, read from its graph: nothing is computed again and nothing is kept.

Additions, differences, constant factors, and sums over a stack are followed. A term has a value where a loss
function was seen to give it; if one term alone has none, it is what is left of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from unbug.hooks import Frame, node_time

__all__ = ["Given", "Sum", "Term", "terms_of"]

_MOST_TERMS, _MOST_NODES = 16, 128
_ALIKE = ("Squeeze", "Unsqueeze", "View", "UnsafeView", "Reshape", "ReshapeAlias", "Clone", "ToCopy", "Alias")


@dataclass(frozen=True, slots=True)
class Given:
    """What a loss function returned: its name and line, and the value; a copy where it is on a device."""

    function: str
    frame: Frame | None
    value: float | torch.Tensor


@dataclass(frozen=True, slots=True)
class Term:
    """One addend. `factor` is None where a constant in front could not be read; `time` is its node's."""

    op: str
    factor: float | None
    time: int


def terms_of(loss: torch.Tensor) -> list[Term] | None:
    """The addends of a loss of one element; None where there are more than are followed."""
    found: list[Term] = []
    waiting: list[tuple[Any, float | None]] = [(loss.grad_fn, 1.0)]
    for _ in range(_MOST_NODES):
        if not waiting:
            return found
        node, factor = waiting.pop()
        if node is None:
            continue
        parts = _parts(node)
        if parts is None:
            found.append(Term(_name(node), factor, node_time(node)))
            if len(found) > _MOST_TERMS:
                return None
            continue
        for part, by in reversed(parts):
            waiting.append((part, None if factor is None or by is None else factor * by))
    return None


class Sum:
    """A loss with its terms.

    Args:
        given: What loss functions returned since the last backward, by the time of their nodes.
    """

    def __init__(self, terms: list[Term], given: Mapping[int, Given]) -> None:
        self._terms = terms
        self._given = [given.get(term.time) if term.factor is not None else None for term in terms]
        self.known = [one for one in self._given if one is not None]
        self.names = _names(terms, self._given)
        unknown = len(terms) - len(self.known)
        self.row_names = [name for name, one in zip(self.names, self._given, strict=True) if one is not None]
        if unknown and self.known:
            self.row_names.append(self.names[self._given.index(None)] if unknown == 1 else "rest")

    def row(self, total: float, known: list[float]) -> list[float]:
        """What each of `row_names` adds to the whole, from the values that the loss functions returned."""
        factors = [
            term.factor or 0.0 for term, one in zip(self._terms, self._given, strict=True) if one is not None
        ]
        values = [factor * value for factor, value in zip(factors, known, strict=True)]
        return [*values, total - sum(values)] if len(self.row_names) > len(values) else values

    def fields(self, total: float, row: list[float]) -> dict[str, Any]:
        """The `loss_terms` event."""
        values = dict(zip(self.row_names, row, strict=True))
        sizes = sum(abs(value) for value in row)
        entries = []
        for name, term, one in zip(self.names, self._terms, self._given, strict=True):
            value = values.get(name)
            entries.append(
                {
                    "name": name,
                    "op": term.op,
                    "factor": term.factor,
                    "value": value,
                    "share": abs(value) / sizes if value is not None and sizes > 0 else None,
                    "file": one.frame.file if one is not None and one.frame is not None else "",
                    "line": one.frame.line if one is not None and one.frame is not None else 0,
                }
            )
        return {"total": total, "terms": entries, "rest": values.get("rest")}


def _names(terms: list[Term], given: list[Given | None]) -> list[str]:
    """A name for each term, told apart by number where several are called alike."""
    names: list[str] = []
    for term, known in zip(terms, given, strict=True):
        name = known.function if known is not None else term.op
        same = sum(one == name or one.startswith(f"{name} ") for one in names)
        names.append(f"{name} {same + 1}" if same else name)
    return names


def _parts(node: Any) -> list[tuple[Any, float | None]] | None:
    """What a node adds up, with the factor of each; None for one that is a term by itself."""
    name = _name(node)
    sources = [source for source, _ in node.next_functions]
    some = [source for source in sources if source is not None]
    if name in ("Add", "Sub"):
        by = _number(getattr(node, "_saved_alpha", 1))
        second = None if by is None else by if name == "Add" else -by
        return list(zip(sources, (1.0, second), strict=False))
    if name == "Neg":
        return [(sources[0], -1.0)]
    if name in ("Mul", "Div") and len(some) == 1 and (name == "Mul" or sources[0] is not None):
        factor = _constant(node, "other" if sources[0] is not None else "self")
        if factor is None or (name == "Div" and not factor):
            return [(some[0], None)]
        return [(some[0], factor if name == "Mul" else 1 / factor)]
    if name in ("Sum", "Mean") and len(some) == 1 and _name(some[0]) in ("Stack", "Cat"):
        inner = [source for source, _ in some[0].next_functions]
        return [(source, 1.0 if name == "Sum" else 1 / len(inner)) for source in inner]
    if name in _ALIKE and len(some) == 1:
        return [(some[0], 1.0)]
    return None


def _constant(node: Any, which: str) -> float | None:
    """A constant that a node has kept; not where the program packs what is kept: its own code would run."""
    kept = getattr(node, f"_raw_saved_{which}", None)
    if kept is None or getattr(kept, "unpack_hook", kept) is not None:
        return None
    try:
        tensor = getattr(node, f"_saved_{which}")
    except RuntimeError:  # changed in place since
        return None
    if not isinstance(tensor, torch.Tensor) or tensor.numel() != 1 or tensor.device.type != "cpu":
        return None
    return None if tensor.is_complex() else float(tensor.detach())


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _name(node: Any) -> str:
    return type(node).__name__.rstrip("0123456789").removesuffix("Backward")

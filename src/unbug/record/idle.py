"""Optimizers that are never stepped, though their parameters get gradients: the `idle_optimizers` event.

Looked at after some backward calls, while another optimizer counts the steps; told at the end. Of each a few
elements of its parameters are remembered, so that one whose parameters change by other means is not meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unbug.record.roots import overlap
from unbug.record.tensors import reason_unseen

if TYPE_CHECKING:
    from unbug.record.core import Core
    from unbug.record.trainings import OptimizerState
    from unbug.record.watched import Watched

__all__ = ["IdleOptimizers", "is_due"]

_AT = frozenset((1, 2, 5, 10, 20, 50, 100, 200, 500))
_EVERY = 1000
_MOST, _MOST_TENSORS, _ELEMENTS = 8, 4, 16
_MOST_PLACES, _MOST_JOINED = 10, 64


def is_due(step: int) -> bool:
    """Whether optimizers are looked at in a step."""
    return step in _AT or (step > 0 and step % _EVERY == 0)


@dataclass(slots=True, eq=False)
class _Idle:
    state: OptimizerState
    begun: torch.Tensor
    since: int
    training: int
    with_gradient: int = 0
    changed: bool = False
    places: tuple[str, ...] = ()


class IdleOptimizers:
    """Those of all trainings."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._known: dict[int, _Idle] = {}

    def look(self, watched: Watched) -> None:
        """Backward ended in a step in which this is due."""
        for state in self._never_stepped():
            known = self._known.get(state.order)
            if known is None:
                if len(self._known) >= _MOST:
                    return
                begun = _elements(state)
                if begun is None:
                    continue
                training = watched.training
                known = self._known[state.order] = _Idle(state, begun, training.steps, training.number)
            known.with_gradient += _has_gradient(state)
            known.changed = known.changed or _changed(known)
            known.places = known.places or self._places(known)

    def close(self) -> None:
        """Tell of those that never stepped. They may be gone by now, with all that they held."""
        stepped = [state.parameters for state in self._joined() if state.steps]
        for known in self._known.values():
            if not known.state.steps and not any(overlap(one, known.state.parameters) for one in stepped):
                self._tell(known)
        self._known.clear()

    def _tell(self, known: _Idle) -> None:
        core, state = self._core, known.state
        steps = core.trainings.all[known.training].steps
        fields: dict[str, Any] = {
            "class": state.class_name,
            "parameters": len(state.parameters),
            "elements": state.size,
            "since": known.since,
            "looks_with_gradient": known.with_gradient,
            "changed": known.changed or _changed(known),
            "places": list(known.places),
        }
        if state.frame is not None:
            fields |= {"file": state.frame.file, "line": state.frame.line}
        core.event("idle_optimizers", fields, training=known.training, step=max(steps - 1, 0))

    def _places(self, known: _Idle) -> tuple[str, ...]:
        watched = self._core.watched.get(known.training)
        if watched is None or watched.map is None:
            return ()
        places = [watched.map.parameter(tensor) for tensor in _alive(known.state)]
        return tuple(place.path for place in places if place is not None)[:_MOST_PLACES]

    def _joined(self) -> list[OptimizerState]:
        return [state for training in self._core.trainings.all for state in training.optimizers]

    def _never_stepped(self) -> list[OptimizerState]:
        """Live ones without a step, none of whose parameters another has stepped."""
        joined = self._joined()
        stepped = [state.parameters for state in joined if state.steps]
        if not stepped or len(joined) > _MOST_JOINED:
            return []
        return [
            state
            for state in (*joined, *self._core.trainings.waiting())
            if not state.steps
            and state.ref() is not None
            and not any(overlap(table, state.parameters) for table in stepped)
        ]


def _changed(known: _Idle) -> bool:
    """Whether its parameters are others than at first; those that are gone cannot be asked."""
    now = _elements(known.state)
    return now is not None and now.shape == known.begun.shape and bool((now != known.begun).any())


def _alive(state: OptimizerState) -> list[torch.Tensor]:
    return [tensor for ref in list(state.parameters.values())[:64] if (tensor := ref()) is not None]


def _has_gradient(state: OptimizerState) -> bool:
    """Whether one of its parameters has a gradient; off the CPU nobody asks whether it is above zero."""
    with torch.no_grad():
        for tensor in _alive(state)[-_MOST_TENSORS:]:
            gradient = tensor.grad
            if gradient is None:
                continue
            if gradient.is_sparse or gradient.device.type != "cpu" or bool(gradient.any()):
                return True
    return False


def _elements(state: OptimizerState) -> torch.Tensor | None:
    """A few elements of its parameters, copied; None where they cannot be read."""
    with torch.no_grad():
        parts = []
        for tensor in _alive(state)[:_MOST_TENSORS]:
            if reason_unseen(tensor) or not tensor.is_floating_point() or tensor.device.type != "cpu":
                return None
            parts.append(tensor.detach().reshape(-1)[:_ELEMENTS].float().clone())
        return torch.cat(parts) if parts else None

"""Which parameters an optimizer owns, and which it should: the `parameters` event."""

from __future__ import annotations

from typing import Any

import torch

from unbug.hooks import user_frame
from unbug.record.core import Core
from unbug.record.kept import KeptGraphs
from unbug.record.roots import same
from unbug.record.trainings import OptimizerState
from unbug.record.unregistered import Unregistered, is_due
from unbug.record.watched import Watched
from unbug.types import Place

__all__ = ["Ownership"]

_AT = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
_MOST_LISTED = 200
_CHANGED_EVERY = 10


class Ownership:
    """Compares a training's modules with its optimizers, now and then."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._held: dict[int, int] = {}
        self._kept: dict[int, KeptGraphs] = {}
        self._unregistered: dict[int, Unregistered] = {}

    def changed(self, watched: Watched) -> bool:
        """Whether the modules hold other parameters than when they were last asked for, now and then."""
        if watched.training.steps % _CHANGED_EVERY:
            return False
        now = hash(tuple(id(one) for root in watched.live_roots() for one in root.parameters()))
        before = self._held.get(watched.training.number, now)
        self._held[watched.training.number] = now
        return now != before

    def look(self, watched: Watched, state: OptimizerState, *, changed: bool = False) -> None:
        """Gradients are there and an optimizer is about to use them."""
        step = watched.training.steps
        if not changed and step not in _AT and (step < 1000 or step % 1000):
            return
        if watched.map is None:
            return
        fields = self._fields(watched, state)
        frame = user_frame()
        if frame is not None:
            fields |= {"file": frame.file, "line": frame.line}
        if is_due(step):
            fields["unregistered"] = self._outside(watched)
        self._core.event("parameters", fields, training=watched.training.number, step=step)
        kept = self._kept.setdefault(watched.training.number, KeptGraphs()).look(step)
        if kept is not None:
            self._core.event("graphs", kept, training=watched.training.number, step=step)

    def _outside(self, watched: Watched) -> list[dict[str, Any]]:
        core = self._core
        roots = [module for root in core.roots.alive() if (module := root.ref()) is not None]
        optimised = [training.parameters for training in core.trainings.all]
        optimised += [state.parameters for state in core.trainings.waiting()]
        finder = self._unregistered.setdefault(watched.training.number, Unregistered())
        return finder.look(watched, roots, optimised)

    def _fields(self, watched: Watched, state: OptimizerState) -> dict[str, Any]:
        assert watched.map is not None
        training = watched.training
        live: dict[int, torch.Tensor] = {}
        for root in watched.live_roots():
            for parameter in root.parameters():
                live[id(parameter)] = parameter
        owned_places: list[Place] = []
        frozen: list[str] = []
        without: list[Place] = []
        strangers: list[tuple[torch.Tensor, Place | None]] = []
        for parameter in live.values():
            place = watched.map.parameter(parameter)
            if same(training.parameters, parameter):
                if place is not None:
                    owned_places.append(place)
                    if not parameter.requires_grad:
                        frozen.append(place.path)
                    elif parameter.grad is None and same(state.parameters, parameter):
                        without.append(place)  # those of other optimizers may have their turn later
            elif parameter.requires_grad:
                strangers.append((parameter, place))
            elif place is not None:
                frozen.append(place.path)
        orders = [place.order for place in owned_places]
        stale = []
        for key, reference in training.parameters.items():
            tensor = reference()
            if tensor is not None and key not in live and watched.roots and _abandoned(tensor):
                place = watched.map.parameter(tensor)
                stale.append({"path": place.path if place else "", "shape": list(tensor.shape)})
        shared = [[place.path, *place.aliases] for place in owned_places if place.aliases]
        return {
            "unowned": [self._stranger(watched, *one, orders) for one in strangers[:_MOST_LISTED]],
            "unowned_count": len(strangers),
            "stale": stale[:_MOST_LISTED],
            "stale_count": len(stale),
            "without_gradient": [place.path for place in without[:_MOST_LISTED]],
            "without_gradient_count": len(without),
            "without_gradient_ran": sorted(_ran(watched, without[:_MOST_LISTED])),
            "frozen": frozen[:_MOST_LISTED],
            "frozen_count": len(frozen),
            "shared": shared[:_MOST_LISTED],
            "owned_count": len(owned_places),
        }

    def _stranger(
        self, watched: Watched, parameter: torch.Tensor, place: Place | None, orders: list[int]
    ) -> dict[str, Any]:
        before = after = None
        if place is not None and orders:
            before, after = place.order < min(orders), place.order > max(orders)
        created = [state.known_then for state in watched.training.optimizers if state.known_then is not None]
        return {
            "path": place.path if place is not None else "",
            "shape": list(parameter.shape),
            "has_grad": parameter.grad is not None,
            "created_after_optimizer": not any(same(known, parameter) for known in created)
            if created
            else None,
            "position": "unknown"
            if before is None
            else "before"
            if before
            else "after"
            if after
            else "between",
        }


def _ran(watched: Watched, without: list[Place]) -> set[str]:
    """Paths of those modules of the given parameters that gave an output in the training's first pass."""
    parents = {place.parent for place in without if place.parent is not None}
    if not parents or watched.map is None:
        return set()
    modules = [watched.first.module(key) for key in tuple(watched.first.order)]
    places = [watched.map.module(module) for module in modules if module is not None]
    return {place.path for place in places if place is not None and place.path in parents}


def _abandoned(tensor: torch.Tensor) -> bool:
    """Whether it was made for a module and gets no gradient; a tensor optimised by itself gets one."""
    return isinstance(tensor, torch.nn.Parameter) and tensor.grad is None

"""What a model is given in training and in evaluation: scale of features, rows in common, idle passes.

Training and evaluation are told apart by how the model is called, not by which loader delivered: most
programs index tensors, and many evaluate without a loader. Where gradients are on, a call belongs to the
training once a loss is found to depend on it, see `record.undecided`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.record.columns import readable
from unbug.record.credit import Credit
from unbug.record.inputlook import InputLook, look_at
from unbug.record.inputs import Features
from unbug.record.sight import TOLD_AT
from unbug.record.tensors import first_tensor
from unbug.record.undecided import Undecided

if TYPE_CHECKING:
    from unbug.record.core import Core
    from unbug.record.roots import Root

__all__ = ["Looked", "Sides"]

_ROWS_KEPT, _BATCHES_KEPT, _STEPS_KEPT = 1 << 15, 256, 64
_MOST_SIDES, _MOST_LATER = 32, 8


@dataclass(frozen=True, slots=True)
class Looked:
    """One look at an input of the training, for what is found out about its labels.

    Args:
        hashes: One for each row; None where they are not all that the model was given.
        table: `(rows, features)` where the input is small; else None.
    """

    rows: int
    hashes: NDArray[np.uint64] | None
    table: NDArray[np.float64] | None


@dataclass(slots=True)
class _Pass:
    """A batch of an evaluation: its rows, and how often it came at one step."""

    hashes: NDArray[np.uint64]
    step: int = -2
    times: int = 0
    most: int = 0


@dataclass(slots=True)
class _Side:
    credit: Credit
    module: str = ""
    batches: int = 0
    rows: int = 0
    features: Features | None = None
    by: str = ""
    shape: tuple[int, ...] = ()
    scaled: dict[str, int] = field(default_factory=dict)
    distinct: int = 0
    whole: bool = True
    alike: int = 0
    tokens: dict[str, Any] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    full: bool = False
    passes: OrderedDict[int, _Pass] = field(default_factory=OrderedDict)
    storage_rows: int = 0
    evaluated_at: OrderedDict[int, None] = field(default_factory=OrderedDict)
    looks: int = 0


class Sides:
    """Of every training its two sides; writes `given` events, one for each side."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._sides: dict[tuple[int, int, bool], _Side] = {}
        self._roots: list[Root] = []
        self._undecided: Undecided[tuple[int, int], InputLook] = Undecided(self._decided)
        self.looked: Looked | None = None
        """The last look at an input of the training, until the loss of these examples is there."""

    @property
    def waits(self) -> bool:
        """Whether the output of a call is waited for."""
        return self._undecided.waits

    def given(
        self, root: Root, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, grad: bool, first: bool = True
    ) -> None:
        """A root module is given its input, with gradients (`grad`) or surely in an evaluation.

        Args:
            first: It is the first since the last backward pass.
        """
        if not grad or first:
            self.looked = None
        key = max(self._core.number(), 0), id(root)
        if grad and not first and not 0 < self._undecided.count(key) < _MOST_LATER:
            return  # what comes behind the first model of a step is fed by it, mostly
        side = self._side(*key, grad, root)
        if side is None:
            return
        if first or not grad:
            side.batches += 1
        if not side.credit.due():
            return
        tensor = first_tensor(args, kwargs)
        if tensor is None or not readable(tensor):
            return
        start = perf_counter_ns()
        look = look_at(tensor, self._core.position()[1])
        if grad:
            small = look.table if look.by == "feature" else None
            alone = len(args) == 1 and not kwargs and isinstance(args[0], torch.Tensor)
            if self.looked is None or self.looked.rows != look.rows:
                self.looked = Looked(look.rows, look.hashes if alone else None, small)
            self._undecided.called(key, replace(look, table=None))
        else:
            self._merge((*key, False), side, replace(look, table=None))
        side.credit.paid(perf_counter_ns() - start)

    def left(self, output: Any) -> None:
        """The module that was given its input last has given its output."""
        self._undecided.left(output)

    def backward(self, losses: tuple[torch.Tensor, ...]) -> None:
        """Backward begins at these."""
        self._undecided.backward(losses)

    def close(self) -> None:
        """Say of every side how it stands at the end."""
        self._undecided.close()
        for key in self._sides:
            self._tell(key, final=True)
        self._sides.clear()
        self._roots.clear()
        self.looked = None

    def _side(self, number: int, root_id: int, grad: bool, root: Root | None) -> _Side | None:
        key = number, root_id, grad
        side = self._sides.get(key)
        if side is None:
            other = self._sides.get((number, root_id, not grad))
            if len(self._sides) >= _MOST_SIDES or (root is None and other is None):
                return None
            name = root.class_name if root is not None else other.module if other is not None else ""
            side = self._sides[key] = _Side(Credit(self._core), name)
            if root is not None:
                self._roots.append(root)
        return side

    def _decided(self, key: tuple[int, int], look: InputLook, trains: bool) -> None:
        side = self._side(*key, trains, None)
        if side is None:
            return
        before = self._sides.get((*key, True))
        if not trains and before is not None:  # it was counted with the training
            side.batches, before.batches = side.batches + 1, before.batches - 1
        self._merge((*key, trains), side, look)

    def _merge(self, key: tuple[int, int, bool], side: _Side, look: InputLook) -> None:
        side.looks += 1
        side.rows += look.rows
        if look.hashes is not None:
            side.alike += len(look.hashes) > 1 and bool((look.hashes == look.hashes[0]).all())
            if len(side.seen) < _ROWS_KEPT:
                side.seen.update(look.hashes.tolist())
            else:
                side.full = True
            if not key[2]:
                self._evaluated(side, look.hashes, look.step)
            else:
                side.storage_rows = max(side.storage_rows, look.storage_rows)
        if look.tokens is not None:
            _merge_tokens(side.tokens, look.tokens)
        if look.sums is not None:
            columns, count, sums = look.sums
            if side.features is None or side.shape != look.shape:
                side.features, side.by, side.shape = Features((columns,)), look.by, look.shape
            side.features.merge(count, sums)
            if look.scaling:
                side.scaled[look.scaling] = side.scaled.get(look.scaling, 0) + 1
        if look.distinct is not None:
            side.distinct, side.whole = max(side.distinct, look.distinct[0]), side.whole and look.distinct[1]
        if side.looks in TOLD_AT:
            self._tell(key)

    @staticmethod
    def _evaluated(side: _Side, hashes: NDArray[np.uint64], step: int) -> None:
        side.evaluated_at[step] = None
        if len(side.evaluated_at) > _STEPS_KEPT:
            side.evaluated_at.popitem(last=False)
        key = hash(hashes.tobytes())
        known = side.passes.get(key)
        if known is None:
            known = side.passes[key] = _Pass(hashes)
            if len(side.passes) > _BATCHES_KEPT:
                side.passes.popitem(last=False)
        known.times = known.times + 1 if known.step == step else 1
        known.step, known.most = step, max(known.most, known.times)

    def _tell(self, key: tuple[int, int, bool], **more: Any) -> None:
        side = self._sides[key]
        number, root, grad = key
        fields: dict[str, Any] = {
            "phase": "train" if grad else "eval",
            "module": side.module,
            "root": next((n for n, one in enumerate(self._roots) if id(one) == root), -1),
            "batches": side.batches,
            "batches_looked_at": side.looks,
            "rows_looked_at": side.rows,
            "distinct_rows": len(side.seen),
            "distinct_rows_capped": side.full,
            "batches_of_one_row": side.alike,
            "shape": list(side.shape),
            "by": side.by,
            "distinct_values": side.distinct,
            "whole_numbers": side.whole and side.distinct > 0,
            "scaled_alone": dict(side.scaled),
            "storage_rows": side.storage_rows,
            **{f"token_{name}": value for name, value in side.tokens.items()},
        }
        if side.features is not None:
            told = side.features.fields()
            fields |= {name: told[name] for name in ("mean", "std", "min", "max", "nan_share", "inf_share")}
        if not grad:
            fields |= self._common(side, self._sides.get((number, root, True)))
        self._core.event("given", {**fields, **more}, training=number)

    @staticmethod
    def _common(side: _Side, training: _Side | None) -> dict[str, Any]:
        """How many rows of the evaluation the training had too, by batch; and passes that came again."""
        trained = training.seen if training is not None else set()
        whole = part = none = 0
        rows: dict[int, bool] = {}
        for one in side.passes.values():
            given = one.hashes.tolist()
            inside = sum(row in trained for row in given)
            rows.update((row, row in trained) for row in given)
            whole += inside >= 0.99 * len(given)
            none += inside <= 0.01 * len(given)
            part += 0.01 * len(given) < inside < 0.99 * len(given)
        shared = sum(rows.values())
        return {
            "batches_in_training": whole,
            "batches_partly_in_training": part,
            "batches_not_in_training": none,
            "rows_in_training": shared,
            "rows_not_in_training": len(rows) - shared,
            "passes_at_one_step": min((one.most for one in side.passes.values()), default=0),
            "steps_evaluated_at": len(side.evaluated_at),
        }


def _merge_tokens(known: dict[str, Any], told: dict[str, Any]) -> None:
    known["count"] = known.get("count", 0) + told["tokens"]
    known["padded"] = known.get("padded", 0) + told["padded"]
    known["width"] = max(known.get("width", 0), told["width"])
    counts, before = told["counts"], known.get("counts", [])
    if counts is not None and before is not None:
        size = max(len(counts), len(before))
        whole = np.zeros(size, np.int64)
        whole[: len(before)] += np.asarray(before, np.int64)
        whole[: len(counts)] += counts
        known["counts"] = whole.tolist()
    else:
        known["counts"] = None
    if told["padding"] is not None:
        known["padding"], known["side"] = told["padding"], told["side"]

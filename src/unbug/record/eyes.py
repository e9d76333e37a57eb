"""Further looks at a training, each by budget and none of them needed by another: what they share, and when.

Each part that fails is told once, is off from then on, and leaves the others and the program alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import torch

from unbug.record.inputs import Features, feature_sums
from unbug.record.loaders import loader_facts
from unbug.record.rows import Later
from unbug.record.rows_seen import RowsSeen, row_hashes
from unbug.record.tensors import first_tensor

if TYPE_CHECKING:
    from unbug.record.budget import Item
    from unbug.record.core import Core

__all__ = ["Eyes"]

_TOLD_AT = frozenset(mantissa * 10**power for power in range(10) for mantissa in (1, 2, 5))
_NEVER = 1e9
_MOST_LATE = 64
_ROWS_SHARE = 0.05
"""Of the budget's share: what the hashes of rows may cost once the first steps are over."""
_MOST_SPREAD = 64


class Eyes:
    """Called by the recorder where things happen, while it is awake."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._off: set[str] = set()
        self._late: deque[Later] = deque()
        self._features: dict[int, Features] = {}
        self._rows: dict[int, RowsSeen] = {}
        self._rows_ns = 50_000.0

    # What the recorder tells.
    def given(self, tensor: torch.Tensor) -> None:
        """A root module is given its input, with grad mode on."""
        item = self._planned("features")
        if item is not None:
            self._look("features", item, lambda: self._feature_sums(tensor))

    def batch(self, loader: Any, batch: Any, *, grad: bool) -> None:
        """A loader delivered, or without loaders a root module is given its input (`loader` is None)."""
        self._safely("rows", lambda: self._hash(loader, batch, grad=grad))

    def exhausted(self, loader: Any) -> None:
        """A loader has given all."""
        self._safely("rows", lambda: self._epoch(loader))

    def close(self) -> None:
        """Tell how everything stands at the end."""
        self._poll(wait=True)
        for number in self._features:
            self._tell_features(number, final=True)
        for number, seen in self._rows.items():
            if seen.streams:
                self._core.event("sampling", {**seen.fields(), "final": True}, training=number)

    # Inputs.
    def _feature_sums(self, tensor: torch.Tensor) -> bool:
        found = feature_sums(tensor)
        if found is None:
            return False
        shape, rows, sums = found
        number = self._core.number()
        known = self._features.get(number)
        if known is None:
            known = self._features[number] = Features(shape)
        if known.shape == shape:
            self._fetch(sums, lambda got: self._merge(number, known, rows, got))
        return True

    def _merge(self, number: int, known: Features, rows: int, sums: list[float]) -> None:
        known.merge(rows, sums)
        if known.looks in _TOLD_AT:
            self._tell_features(number)

    def _tell_features(self, number: int, **more: Any) -> None:
        self._core.event("input_features", {**self._features[number].fields(), **more}, training=number)

    # Rows.
    def _hash(self, loader: Any, batch: Any, *, grad: bool) -> None:
        core = self._core
        number = core.number()
        if number < 0:
            number = 0
        seen = self._rows.get(number)
        if seen is None:
            seen = self._rows[number] = RowsSeen()
        known = len(seen.streams)
        stream = seen.stream(loader, grad=grad, slept=core.slept)
        if len(seen.streams) > known and loader is not None:
            self._safely("loader", lambda: core.event("loader", {"grad": grad, **loader_facts(loader)}))
        if stream is None:
            return
        spread = self._spread()
        if spread > _MOST_SPREAD or stream.batches % (2 * spread) > 1:
            stream.skipped()
            return
        start = perf_counter_ns()
        tensor = first_tensor(batch)
        hashes = row_hashes(tensor) if tensor is not None else None
        if hashes is None:
            stream.skipped()
        else:
            seen.batch(stream, hashes)
            if stream.looked in _TOLD_AT and stream.looked >= 10:
                core.event("sampling", seen.fields(), training=number)
        spent = perf_counter_ns() - start
        self._rows_ns += (min(spent, 4 * self._rows_ns) - self._rows_ns) * 0.25
        core.chosen_ns += spent

    def _spread(self) -> int:
        """Two batches in twice so many are looked at, so that it stays a small part of the share."""
        budget = self._core.budget
        current = self._core.current
        if budget.every is not None or not budget.median_ns:
            return 1
        if current is None or budget.first_steps(current.training.steps):
            return 1
        pays = _ROWS_SHARE * budget.share * budget.median_ns
        spread = 1
        while self._rows_ns > pays * spread and spread <= _MOST_SPREAD:
            spread *= 2
        return spread

    def _epoch(self, loader: Any) -> None:
        seen = self._rows.get(max(self._core.number(), 0))
        if seen is None:
            return
        for grad in (True, False):
            stream = seen.known(loader, grad=grad)
            if stream is not None and torch.is_grad_enabled() is grad:
                stream.interrupted(self._core.slept)
                stream.exhausted()

    # Helpers.
    def _planned(self, kind: str) -> Item | None:
        """The item of a kind if it is planned for the step in progress; it is taken."""
        current = self._core.current
        looks = current.looks if current is not None else None
        return looks.eyes.pop(kind, None) if looks is not None and looks.eyes else None

    def _look(self, kind: str, item: Item, look: Callable[[], bool]) -> None:
        """Look, and measure; what does not apply is not planned again."""
        start = perf_counter_ns()
        self._poll()
        if not self._safely(kind, look):
            item.weight, item.cost_ns = _NEVER, 1.0
            return
        item.measured(perf_counter_ns() - start)
        current = self._core.current
        if current is not None and current.looks is not None:
            current.looks.taken[kind] += 1

    def _safely(self, part: str, call: Callable[[], Any]) -> bool:
        """Whether a part did what it should; one that fails is off."""
        if part in self._off:
            return False
        try:
            return call() is not False
        except Exception as error:
            self._off.add(part)
            self._core.event("fault", {"where": part, "error": f"{type(error).__name__}: {error}"})
            self._core.faults.append(f"{part}: {type(error).__name__}: {error}")
            return False

    def _fetch(self, vector: torch.Tensor, finish: Callable[[list[float]], None]) -> None:
        """Numbers for `finish`: at once from the CPU, else when the device has delivered them."""
        if vector.device.type == "cpu":
            finish(vector.tolist())
        elif len(self._late) < _MOST_LATE:
            self._late.append(Later(vector, lambda got: _done(finish, got)))

    def _poll(self, *, wait: bool = False) -> None:
        while self._late and (wait or self._late[0].ready()):
            self._late.popleft().values()


def _done(finish: Callable[[list[float]], None], got: list[float]) -> list[float]:
    finish(got)
    return []

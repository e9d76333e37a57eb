"""Calls of losses, by call site: a profile of what each is given, and its value and quality at every call.

Facts that need a look at the elements are taken at each of the first `FIRST_CALLS` calls of a site, then as
often as the site's own credit pays for: a share of the time since its last call.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

import torch

from unbug.record.core import Core
from unbug.record.lossfacts import Facts, Quality, facts_of, quality_of, shapes_of
from unbug.record.rows import Later, OfNumbers
from unbug.record.tensors import at_hand
from unbug.types import Phase, Place, Series

if TYPE_CHECKING:
    from unbug.hooks import Frame, LossCall

__all__ = ["FIRST_CALLS", "Losses", "Site"]

FIRST_CALLS = 20
_MOST_SITES = 4096
_FACTS_SHARE = 0.15
_TOLD_AT = frozenset(mantissa * 10**power for power in range(1, 10) for mantissa in (1, 2, 5))
_KINDS = ("reduction", "broadcast", "target_dtype", "classes", "input_requires_grad", "input_op")


class Site:
    """One call site in one phase of one training."""

    __slots__ = (
        "accuracy",
        "calls",
        "cost_ns",
        "counts",
        "credit_ns",
        "extremes",
        "first",
        "frame",
        "function",
        "groups",
        "last_ns",
        "looked",
        "phase",
        "place",
        "shapes",
        "sums",
        "told",
        "training",
        "values",
    )  # fmt: skip

    def __init__(self, function: str, frame: Frame | None, phase: int, training: int) -> None:
        self.function, self.frame, self.phase, self.training = function, frame, phase, training
        source = (frame.file, frame.line) if frame is not None else None
        self.place = Place(path="loss", kind="loss", training=training, source=source)
        self.calls = self.looked = 0
        self.cost_ns = 40_000.0
        self.credit_ns = 0.0
        self.last_ns = 0
        self.shapes: Facts = {}
        self.extremes: dict[str, float] = {}
        self.counts: dict[str, list[int]] = {}
        self.groups: dict[str, int] = {}
        self.told: Facts = {}

    def wants_look(self, now_ns: int, share: float) -> bool:
        """Whether the credit pays for a look at the elements."""
        if self.last_ns:
            self.credit_ns = min(self.credit_ns + (now_ns - self.last_ns) * share, 20 * self.cost_ns)
        self.last_ns = now_ns
        return self.looked < FIRST_CALLS or self.credit_ns >= self.cost_ns

    def paid(self, spent_ns: float) -> None:
        """A look was taken."""
        self.looked += 1
        self.credit_ns -= spent_ns
        self.cost_ns += (spent_ns - self.cost_ns) * 0.3

    def take(self, facts: Facts) -> None:
        """Add the facts of one call."""
        for name, value in facts.items():
            if isinstance(value, bool):
                count = self.counts.setdefault(name, [0, 0])
                count[0] += value
                count[1] += 1
            elif value is not None:
                known = self.extremes.get(name)
                if name.endswith("_min"):
                    self.extremes[name] = value if known is None or not value >= known else known
                elif name.endswith("_max"):
                    self.extremes[name] = value if known is None or not value <= known else known
                else:
                    total = self.extremes.get(name, 0.0) * max(self.looked, 0)
                    self.extremes[name] = (total + value) / (self.looked + 1)

    def fields(self) -> Facts:
        """The `loss_call` event."""
        shares = {f"{name}_share": yes / of for name, (yes, of) in self.counts.items() if of}
        return {
            "function": self.function,
            "file": self.frame.file if self.frame is not None else "",
            "line": self.frame.line if self.frame is not None else 0,
            "in": self.frame.function if self.frame is not None else "",
            "phase": Phase(self.phase).name.lower(),
            "calls": self.calls,
            "looked_at": self.looked,
            **self.shapes,
            **self.extremes,
            **shares,
        }

    def kinds(self) -> Facts:
        """Those facts whose change is news."""
        found = {name: self.shapes.get(name) for name in _KINDS}
        found.update({name: yes == of for name, (yes, of) in self.counts.items()})
        if found["broadcast"] is not None:
            found["broadcast"] = True
        return found


class Losses:
    """All call sites."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._sites: dict[tuple[str, int, bool, int], Site] = {}
        self._keep: list[Frame] = []
        self.not_followed = 0

    def call(self, call: LossCall) -> None:
        """A loss gave its value."""
        core = self._core
        grad = torch.is_grad_enabled() and core.evaluating is None
        core.eyes.compared(call, grad=grad)
        number = core.number()
        key = (call.function, id(call.frame), grad, number)
        site = self._sites.get(key)
        if site is None:
            site = self._new(key, call)
            if site is None:
                return
        site.calls += 1
        now = perf_counter_ns()
        share = core.budget.share * core.budget.factor * (_FACTS_SHARE if grad else 1.0)
        quality: Quality = ()
        if site.wants_look(now, share):
            shapes = shapes_of(call.function, call.arguments)
            site.shapes = shapes
            site.take(facts_of(call.function, call.arguments))
            quality = quality_of(call.function, call.arguments)
            paid = perf_counter_ns() - now
            site.paid(paid)
            core.chosen_ns += paid
            kinds = site.kinds()
            if kinds != site.told:
                site.told = kinds
                core.event("loss_call", site.fields(), training=number)
                self._row(site, call.value, quality, grad)
                return
        self._row(site, call.value, quality, grad)
        if site.calls in _TOLD_AT:
            core.event("loss_call", site.fields(), training=number)

    def close(self) -> None:
        """Say of every site how it stands at the end."""
        for site in self._sites.values():
            self._core.event("loss_call", {**site.fields(), "final": True}, training=site.training)

    def _new(self, key: tuple[str, int, bool, int], call: LossCall) -> Site | None:
        if len(self._sites) >= _MOST_SITES:
            self.not_followed += 1
            return None
        site = Site(call.function, call.frame, Phase.TRAIN if key[2] else Phase.EVAL, key[3])
        self._sites[key] = site
        if call.frame is not None:
            self._keep.append(call.frame)
        return site

    def _row(self, site: Site, value: torch.Tensor, quality: Quality, grad: bool) -> None:
        core = self._core
        if value.is_complex():
            return
        scalar = value.numel() == 1
        if not scalar and not quality:
            return
        key = ("call.value " if scalar else "") + " ".join(name for name, _ in quality)
        group = site.groups.get(key)
        if group is None:
            names = key.split()
            series = [Series(name=one, place=site.place, statistic=site.function) for one in names]
            group = site.groups[key] = core.writer.group(series)
        rest = [one for _, one in quality]
        values: list[float] | Later
        if not scalar:
            values = rest
        elif at_hand(value):
            values = [value.item(), *rest]
        else:
            values = OfNumbers([core.rows.gathered.take(value)], lambda got: [got[0], *rest])
        if grad:
            core.rows.add(group, values, micro=max(core.progress.micro, 0))
            return
        step = core.position()[1]
        if isinstance(values, Later):
            core.rows.later(group, values, core.clock_ns(), site.training, step, 0, Phase.EVAL)
            core.rows.gather()
        else:
            core.writer.row(
                group, values, t_ns=core.clock_ns(), training=site.training, step=step, phase=Phase.EVAL
            )

"""What is looked at in the next step, so that watching stays within its share of the time.

Every item (the gradient of one parameter, the output of one module, …) has a measured cost. Credit accrues at
the budget's share of the time that the program itself takes; all that the recorder spends is taken off. Items
wait in a rotation where each turn costs the square root of its price, so that cheap ones come more often. An
item dearer than `DEAR` of the median step comes alone and at most once in `DEAR_GAP` steps, so that it lies
above the 99th percentile of step times.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["DEAR", "DEAR_GAP", "FULL_STEPS", "Budget", "Item", "Rotation", "full_by_schedule"]

FULL_STEPS = 20
"""Steps of a training that are recorded in full if the allowance allows."""
DEAR, DEAR_GAP = 0.05, 220
_WARM = 3
"""Steps whose looks cost more than later ones, as they warm caches: their price says little."""
_LAST_FULL = 400
FIRST_FACTOR, _LEAST_FACTOR, _MOST_FACTOR = 0.1, 0.03, 0.3
"""Part of the share spent on looks before their true cost is known, and the bounds of what it may become.
Looks cost the program about as much again, in caches that they empty, as they take (`bench/cost.py`)."""
_STARVED = 8
"""Gaps after which one item is looked at even without credit: a share of a per mille."""
_TIMES = 64
_SLEEP_ABOVE, _AWAKE_SHARE = 0.25, 0.03
"""Of the share: where steps without a look cost more than the first, most are slept through."""
_LONGEST_SLEEP = 1000
AWAKE_FIRST = 400
"""Steps of the process before any is slept through: in all they cost some 30 ms."""
FIRST_COST_NS = 100_000.0
"""Taken for the cost of what was never looked at: the first look also declares its series."""
_NS = 1_000_000_000


@dataclass(slots=True, eq=False)
class Item:
    """Something that can be looked at.

    Args:
        kind: `weight`, `grad`, `update`, `activation`, `input`, `norm`, `weight.exponents`, ….
        key: Number of the parameter or module.
        cost_ns: Measured cost, a moving mean.
        weight: Turns taken at once: 1, more for what may come more rarely.
    """

    kind: str
    key: int
    cost_ns: float = FIRST_COST_NS
    weight: float = 1.0
    turn: float = 0.0
    looks: int = 0
    begun_ns: float = 0.0

    def measured(self, spent_ns: float) -> None:
        """Take in what one look cost.

        The first look warms caches and the next may be cut short by another process: of the first three the
        cheapest counts, and no later one for more than twice the mean so far.
        """
        self.looks += 1
        if self.looks == 1:
            self.cost_ns = spent_ns
        elif self.looks <= 3:
            self.cost_ns = min(self.cost_ns, spent_ns)
        else:
            self.cost_ns += (min(spent_ns, 2 * self.cost_ns) - self.cost_ns) * 0.25


def full_by_schedule(step: int) -> bool:
    """Whether a step is one that the allowance is for: all at first, then ever fewer, none at last."""
    if step < 100:
        return True
    if step < 200:
        return step % 2 == 0
    return step < _LAST_FULL and step % 8 == 0


class Rotation:
    """The items of one training, in the order of their turns; cheap and dear ones stand in two queues."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._cheap: list[tuple[float, int, Item]] = []
        self._dear: list[tuple[float, int, Item]] = []
        self._count = 0

    def add(self, items: Iterable[Item]) -> None:
        """New items get the turn of the one that is next."""
        now = self._cheap[0][0] if self._cheap else 0.0
        for item in items:
            item.turn = now
            self.items.append(item)
            self._push(self._cheap, item)

    def cost_of_all(self) -> float:
        """What one look at everything costs, in nanoseconds."""
        return sum(item.cost_ns for item in self.items)

    def take(self, credit_ns: float, *, at_most_ns: float, dear: bool) -> list[Item]:
        """The next items that the credit pays for.

        Args:
            at_most_ns: No more than this in one step.
            dear: Whether one item above that may come, then alone.
        """
        if dear and self._dear:
            item = self._dear[0][2]
            if item.cost_ns <= at_most_ns:
                heapq.heappop(self._dear)
                self._push(self._cheap, item)
            elif item.cost_ns <= credit_ns:
                heapq.heappop(self._dear)
                self._next(self._dear, item)
                return [item]
        taken: list[Item] = []
        left = min(credit_ns, at_most_ns)
        moved = 0
        while self._cheap and moved < 8:
            item = self._cheap[0][2]
            if item.cost_ns > at_most_ns:
                heapq.heappop(self._cheap)
                self._push(self._dear, item)
                moved += 1
            elif item.cost_ns > left:
                break
            else:
                heapq.heappop(self._cheap)
                taken.append(item)
                left -= item.cost_ns
                self._next(self._cheap, item)
                if len(taken) >= len(self._cheap):
                    break
        return taken

    def _next(self, queue: list[tuple[float, int, Item]], item: Item) -> None:
        item.turn += math.sqrt(max(item.cost_ns, 1.0)) * item.weight
        self._push(queue, item)

    def _push(self, queue: list[tuple[float, int, Item]], item: Item) -> None:
        self._count += 1
        heapq.heappush(queue, (item.turn, self._count, item))


class Budget:
    """Keeps the recorder's share of the time.

    Args:
        share: Fraction of the program's own time.
        allowance_ns: Spent on the first steps, on top.
    """

    def __init__(self, share: float, *, allowance_ns: float = _NS, every: int | None = None) -> None:
        self.share = share
        self.every = every
        self.allowance_ns = allowance_ns
        self.credit_ns = 0.0
        self.factor = FIRST_FACTOR
        self.median_ns = 0.0
        self.fulls = 0
        self.dear_taken = 0
        self.base_ns = 0.0
        self.awake = 0
        self._times: list[float] = []
        self._since_dear = DEAR_GAP
        self._since_look = 0

    def passed(self, own_ns: float, spent_ns: float, steps: int = 1) -> None:
        """Steps are over: what the program took, and what was spent on watching them, in all."""
        self._times.append(own_ns / steps)
        if len(self._times) >= _TIMES or not self.median_ns or len(self._times) in (2, 4, 8, 16, 32):
            ordered = sorted(self._times)
            self.median_ns = ordered[len(ordered) // 2]
            if len(self._times) >= _TIMES:
                self._times = self._times[_TIMES // 2 :]
        self.awake += steps
        self._since_dear += steps
        self._since_look += steps
        # What every step costs has its own part of the share. Where that does not do, most steps are slept
        # through, and being awake is paid for like a look: else there would always be one to stay awake for.
        part_ns = 0.0 if self._too_short() else self.base_ns * steps
        self.credit_ns += own_ns * self.share * self.factor - max(spent_ns - part_ns, 0.0)
        limit = self.share * _NS
        self.credit_ns = min(max(self.credit_ns, -limit), limit)

    def lean(self, spent_ns: float) -> None:
        """Nothing was looked at in a step: what was spent is what every step costs."""
        if not self.base_ns:
            self.base_ns = spent_ns
        else:
            weight = 0.2 if spent_ns < self.base_ns else 0.05
            self.base_ns += (min(spent_ns, 3 * self.base_ns) - self.base_ns) * weight

    def sleep(self) -> int:
        """How many steps to sleep through: none, unless even a step without a look costs too much of it."""
        if self.awake < AWAKE_FIRST:
            return 0
        paid = self.share * self.median_ns
        if not self._too_short():
            return 0
        return min(int(self.base_ns / (_AWAKE_SHARE * paid)), _LONGEST_SLEEP)

    def _too_short(self) -> bool:
        """Whether steps are so short that being awake takes too much of the share."""
        return self.median_ns > 0 and self.base_ns > _SLEEP_ABOVE * self.share * self.median_ns

    def adjust(self, cost: float) -> None:
        """Take in the measured cost of watching: spend less if it nears the share, more if well below."""
        if cost > 0.7 * self.share:
            self.factor = max(self.factor * max(0.7 * self.share / cost, 0.5), _LEAST_FACTOR)
        elif cost < 0.5 * self.share:
            self.factor = min(self.factor * 1.1, _MOST_FACTOR)

    def slept(self, steps: int, own_ns: float) -> None:
        """Nothing was spent in so many steps."""
        self._since_dear += steps
        self._since_look += steps
        self.credit_ns = min(self.credit_ns + own_ns * self.share * self.factor, self.share * _NS)

    def from_allowance(self, spent_ns: float) -> None:
        """Pay for a look out of the allowance instead of the credit."""
        self.allowance_ns -= spent_ns
        self.credit_ns += spent_ns

    def first_steps(self, step: int) -> bool:
        """Whether a step is one of those whose every cost the allowance pays."""
        return step < _LAST_FULL and self.allowance_ns > 0

    def wants_full(self, rotation: Rotation, step: int) -> bool:
        """Whether the step `step` (from 0) of a training is recorded in full."""
        if self.every is not None and step % self.every == 0:
            return True
        if step >= _LAST_FULL or self.allowance_ns <= 0:
            return False
        cost = rotation.cost_of_all()
        if step < _WARM:
            return cost * (_WARM - step) <= self.allowance_ns
        if step < FULL_STEPS:
            return cost * (FULL_STEPS - step) <= self.allowance_ns
        return full_by_schedule(step) and cost <= self.allowance_ns

    def first(self, rotation: Rotation) -> tuple[list[Item], float]:
        """Items to look at in the first step: all, or as many as half of the allowance may pay for.

        Returns:
            The items, and the nanoseconds after which the rest of them is left to later steps.
        """
        limit = max(self.allowance_ns, 0.0) / 2
        if self.every is not None or rotation.cost_of_all() <= limit:
            return rotation.items, max(limit, 2 * rotation.cost_of_all())
        return rotation.take(limit, at_most_ns=limit, dear=False), limit

    def plan(self, rotation: Rotation, step: int) -> tuple[list[Item], bool]:
        """Items to look at in a step that is not recorded in full; and whether the allowance pays."""
        if 0 < step < FULL_STEPS and self.allowance_ns > 0:
            share = self.allowance_ns / (FULL_STEPS - step)
            return rotation.take(share, at_most_ns=share, dear=False), True
        if self._since_look >= _STARVED * DEAR_GAP:
            taken = rotation.take(math.inf, at_most_ns=0.0, dear=True)
        elif self.credit_ns <= 0:
            return [], False
        else:
            dear = self._since_dear >= DEAR_GAP
            taken = rotation.take(self.credit_ns, at_most_ns=self.median_ns * DEAR, dear=dear)
        if taken:
            self._since_look = 0
        if taken and taken[0].cost_ns > self.median_ns * DEAR:
            self._since_dear = 0
            self.dear_taken += 1
        return taken, False

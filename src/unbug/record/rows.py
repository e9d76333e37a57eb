"""Rows of the step in progress: kept until its training is known and until a device has delivered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from copy import copy
from typing import ClassVar

import torch

from unbug.record.gathered import Gathered, Number
from unbug.store import Writer
from unbug.types import Phase

__all__ = ["Later", "OfNumbers", "Rows"]

_MOST_WAITING = 4096
_POLLS = 4

Values = Sequence[float] | bytes
Row = tuple[int, "Values | Later", int, int, int]


class Later:
    """Numbers that a device computes, fetched without waiting for it.

    They are copied to pinned memory behind the work that is queued already, and read steps later, when an
    event on the device's stream says that the copy is done.
    """

    __slots__ = ("_begun", "_event", "_finish", "_host")

    polls: ClassVar[int] = 0
    """How often a queue has looked for what has arrived: some steps of time for devices without events."""

    def __init__(self, vector: torch.Tensor, finish: Callable[[list[float]], Values]) -> None:
        self._finish = finish
        self._begun = Later.polls
        self._event: torch.cuda.Event | None = None
        if vector.device.type == "cuda":
            self._host = torch.empty(vector.shape, dtype=vector.dtype, pin_memory=True)
            self._host.copy_(vector, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
        else:
            self._host = vector

    def also(self, finish: Callable[[list[float]], Values]) -> Later:
        """Another row from the same numbers, which are fetched once."""
        other = copy(self)
        other._finish = finish
        return other

    def ready(self) -> bool:
        """Whether reading would not wait; devices without events are given some steps of time."""
        if self._event is not None:
            return bool(self._event.query())
        return Later.polls - self._begun > _POLLS

    def values(self) -> Values:
        """The finished row."""
        if self._event is not None:
            self._event.synchronize()
        return self._finish(self._host.tolist())


class OfNumbers(Later):
    """A row made of single numbers of a device, once all of them are known."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Sequence[Number | float], finish: Callable[[list[float]], Values]) -> None:
        self._numbers, self._finish = numbers, finish

    def ready(self) -> bool:
        """Whether all have arrived, or are lost."""
        return all(not isinstance(number, Number) or number.known for number in self._numbers)

    def values(self) -> Values:
        """The finished row; what has not arrived is NaN."""
        return self._finish([float(number) for number in self._numbers])


class Rows:
    """A queue in front of the writer."""

    def __init__(self, writer: Writer, clock_ns: Callable[[], int]) -> None:
        self._writer = writer
        self._clock_ns = clock_ns
        self._pending: list[Row] = []
        self._late: deque[tuple[int, Later, int, int, int, int, int]] = deque()
        self.gathered = Gathered(lambda vector: Later(vector, list))
        self.shed = 0

    def add(self, group: int, values: Values | Later, *, micro: int, phase: int = Phase.TRAIN) -> None:
        """A row of the step in progress."""
        self._pending.append((group, values, self._clock_ns(), micro, phase))

    def __len__(self) -> int:
        return len(self._pending)

    def replace(self, index: int, row: tuple[int, Values | Later] | None) -> None:
        """Another row in the place of a pending one, or none."""
        if row is None:
            del self._pending[index]
        else:
            self._pending[index] = (*row, *self._pending[index][2:])

    def flush(self, training: int, step: int, *, only: int | None = None) -> None:
        """Stamp what is pending (the `only` first ones) and give it to the writer."""
        pending = self._pending if only is None else self._pending[:only]
        if only is not None:
            self._pending = self._pending[only:]
        if pending:
            row = self._writer.row
            for group, values, t_ns, micro, phase in pending:
                if isinstance(values, Later):
                    self.later(group, values, t_ns, training, step, micro, phase)
                else:
                    row(group, values, t_ns=t_ns, training=training, step=step, micro=micro, phase=phase)
            pending.clear()
        self.gathered.turn += 1
        if self._late:
            self.poll()

    def later(
        self, group: int, values: Later, t_ns: int, training: int, step: int, micro: int, phase: int
    ) -> None:
        """A row that is written once the device has delivered."""
        if len(self._late) >= _MOST_WAITING:
            self.shed += 1
            return
        self._late.append((group, values, t_ns, training, step, micro, phase))

    def gather(self) -> None:
        """Take in what a device has delivered, where enough waits for it; between steps too."""
        if self.gathered.due:
            self.poll()

    def poll(self, *, wait: bool = False) -> None:
        """Write what has arrived, in order; all of it with `wait`."""
        late = self._late
        Later.polls += 1
        self.gathered.poll(wait=wait)
        while late and (wait or late[0][1].ready()):
            group, values, t_ns, training, step, micro, phase = late.popleft()
            try:
                found = values.values()
            except RuntimeError:  # the device failed: nothing that waits for it will come
                self.shed += 1 + len(late)
                late.clear()
                return
            self._writer.row(group, found, t_ns=t_ns, training=training, step=step, micro=micro, phase=phase)

"""Single numbers of a device, such as losses: gathered over some steps, and fetched without waiting.

To copy each of them when it is made would take several calls of the driver in every step, which is more than
a short step can bear. So a number is only held on to, and what many steps have left is copied at once. A
number that the program changes meanwhile is lost, and from then on each is copied when it is made.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter_ns
from typing import Any

import torch

__all__ = ["MOST", "Gathered", "Number"]

MOST = 32
"""Numbers that wait at most before they are fetched."""
_AGE_NS = 50_000_000
_MOST_FETCHES, _MOST_HELD = 256, 1024
_HELD_BYTES = 4096
"""Memory that holding on to a number may keep alive; one that is part of more is copied."""
_PLAIN = {torch.Tensor, torch.nn.Parameter, torch.nn.Buffer}


class Number:
    """A number that is known later; NaN until then, and where it is `lost`."""

    __slots__ = ("known", "lost", "value")

    def __init__(self) -> None:
        self.known = self.lost = False
        self.value = math.nan

    def __float__(self) -> float:
        return self.value


class _Held:
    """A number where it lies."""

    __slots__ = ("address", "number", "stream", "tensor", "turn", "version")

    def __init__(self, tensor: torch.Tensor, stream: Any, version: int, turn: int) -> None:
        self.number = Number()
        self.tensor, self.stream, self.version, self.turn = tensor, stream, version, turn
        self.address = tensor.data_ptr() if version >= 0 else 0


class Gathered:
    """Of one process. Called by the thread that trains.

    Args:
        fetch: Begins to copy a vector of a device; gives what has `ready()` and `values()`, as `rows.Later`.
    """

    def __init__(self, fetch: Callable[[torch.Tensor], Any]) -> None:
        self._fetch = fetch
        self._held: list[_Held] = []
        self._since_ns = 0
        self._fetches: deque[tuple[list[Number], Any]] = deque()
        self._copies = False
        self.turn = 0

    @property
    def due(self) -> bool:
        """Whether enough has been gathered, or the first of it waits for long."""
        held = self._held
        return len(held) >= MOST or (bool(held) and perf_counter_ns() - self._since_ns > _AGE_NS)

    def take(self, tensor: torch.Tensor, *, changes: bool = False) -> Number:
        """Have the only element of a tensor fetched.

        Args:
            changes: The program will change it in place: it is copied at once.
        """
        if type(tensor) not in _PLAIN or tensor.is_meta or len(self._held) >= _MOST_HELD:
            number = Number()
            _lose([number])
            return number
        if changes or self._copies or tensor.is_inference() or not _is_small(tensor):
            held = _Held(tensor.detach().clone(), _stream(tensor), -1, self.turn)
        else:
            address = tensor.data_ptr()
            for other in self._held:
                if other.address == address:
                    if other.turn == self.turn and other.version == tensor._version:
                        return other.number
                    return self._overwritten(tensor)
            held = _Held(tensor.detach(), _stream(tensor), tensor._version, self.turn)
        if not self._held:
            self._since_ns = perf_counter_ns()
        self._held.append(held)
        return held.number

    def poll(self, *, wait: bool = False) -> None:
        """Begin to fetch what is due, and take in what has arrived; all of it with `wait`."""
        if self._held and (wait or self.due):
            self._gather()
        fetches = self._fetches
        while fetches and (wait or fetches[0][1].ready()):
            numbers, later = fetches.popleft()
            try:
                values = later.values()
            except RuntimeError:  # the device failed
                _lose(numbers)
                continue
            for number, value in zip(numbers, values, strict=True):
                number.value, number.known = value, True

    def _overwritten(self, tensor: torch.Tensor) -> Number:
        """The program writes all its numbers into one place, as a graph does: those before are lost."""
        address = tensor.data_ptr()
        _lose([other.number for other in self._held if other.address == address])
        self._held = [other for other in self._held if other.address != address]
        self._copies = True
        return self.take(tensor)

    def _gather(self) -> None:
        held, self._held = self._held, []
        changed = [one for one in held if one.version >= 0 and one.tensor._version != one.version]
        if changed:
            self._copies = True
            _lose([one.number for one in changed])
        groups: dict[tuple[torch.device, int], list[_Held]] = {}
        for one in held:
            if not one.number.lost:
                stream = 0 if one.stream is None else int(one.stream.cuda_stream)
                groups.setdefault((one.tensor.device, stream), []).append(one)
        for some in groups.values():
            numbers = [one.number for one in some]
            try:
                if len(self._fetches) < _MOST_FETCHES:
                    self._fetches.append((numbers, self._fetch(_together(some))))
                else:
                    _lose(numbers)
            except RuntimeError:  # the device failed, or has no memory left
                _lose(numbers)


def _together(some: Sequence[_Held]) -> torch.Tensor:
    """All of one device and stream, on it, in double precision."""
    device, kinds = some[0].tensor.device, {one.tensor.dtype for one in some}
    wide = torch.float32 if device.type == "mps" else torch.float64
    with torch.no_grad(), torch.autocast(device.type, enabled=False), torch.cuda.stream(some[0].stream):
        numbers = [one.tensor.reshape(()) for one in some]
        return torch.stack(numbers if len(kinds) == 1 else [one.to(wide) for one in numbers]).to(wide)


def _lose(numbers: Iterable[Number]) -> None:
    for number in numbers:
        number.known = number.lost = True


def _is_small(tensor: torch.Tensor) -> bool:
    return bool(tensor.untyped_storage().nbytes() <= _HELD_BYTES)


def _stream(tensor: torch.Tensor) -> Any:
    """The stream that the number was made on, as far as can be told: the one in use."""
    return torch.cuda.current_stream(tensor.device) if tensor.is_cuda else None

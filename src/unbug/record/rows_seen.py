"""Rows that the program was given before: samples and orders that repeat, training rows in an evaluation.

Of each row at most `_COLUMNS` elements are hashed, and of the hashes those are kept that end in as many zero
bits as needed to fit: the same rows in every batch, epoch and loader, whatever the order.
"""

from __future__ import annotations

import random
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.record.tensors import reason_unseen

__all__ = ["KEPT", "RowsSeen", "Stream", "row_hashes"]

_COLUMNS, _ROWS = 256, 1024
KEPT = 1 << 15
"""Rows remembered, and batches of each stream."""
_BATCHES = 4096
_MOST_STREAMS = 8
_WHOLE = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_VIEWS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_draw = random.Random(20170601)
_FACTORS = np.array([_draw.getrandbits(64) | 1 for _ in range(_COLUMNS)], dtype=np.uint64)
_SHIFT, _MIX = np.uint64(32), np.uint64(0x9E3779B97F4A7C15)


def row_hashes(tensor: torch.Tensor) -> NDArray[np.uint64] | None:
    """One number for each of the first rows, equal for equal rows; None where they cannot be read at once."""
    if reason_unseen(tensor) or tensor.device.type != "cpu" or not tensor.dim() or not tensor.numel():
        return None
    if not tensor.is_contiguous() or tensor.is_neg():
        return None
    rows = tensor.detach()[:_ROWS]
    size = rows.element_size()
    bits = rows.view(len(rows), -1).view(_VIEWS[size]).numpy().view(_WHOLE[size])
    if bits.shape[1] > _COLUMNS:
        bits = bits[:, np.arange(_COLUMNS) * bits.shape[1] // _COLUMNS]
    mixed: NDArray[np.uint64] = (bits.astype(np.uint64) * _FACTORS[: bits.shape[1]]).sum(
        axis=1, dtype=np.uint64
    )
    mixed ^= mixed >> _SHIFT
    mixed *= _MIX
    mixed ^= mixed >> _SHIFT
    return mixed


class Stream:
    """Batches of one loader, or of what root modules are given, in one grad mode."""

    def __init__(self, number: int, data: int | None, name: str, *, grad: bool) -> None:
        self.number, self.data, self.name, self.grad = number, data, name, grad
        self.batches = self.looked = self.rows = 0
        self.followed = self.followed_same = 0
        self.epochs = self.whole = self.epoch_rows = self.epoch_repeats = 0
        self.order: OrderedDict[int, int] = OrderedDict()
        self._last: int | None = None
        self._epoch: set[int] | None = None
        self._epoch_given = self._repeats = 0
        self._asleep = -1

    def interrupted(self, slept: int) -> None:
        """Batches may have gone by unseen since the last one."""
        if slept != self._asleep:
            if self._asleep >= 0:
                self._epoch = None
            self._last = None
            self._asleep = slept

    def skipped(self) -> None:
        """A batch went by that was not looked at."""
        self.batches += 1
        self._last = self._epoch = None

    def batch(self, hashes: NDArray[np.uint64], kept: list[int]) -> None:
        """A batch: hashes of its rows, and those among them that are remembered."""
        self.batches += 1
        self.looked += 1
        self.rows += len(hashes)
        whole = hash(hashes.tobytes())
        last, self._last = self._last, whole
        if last is not None:
            before = self.order.get(last)
            self.followed += before is not None
            self.followed_same += before == whole
            self.order[last] = whole
            self.order.move_to_end(last)
            if len(self.order) > _BATCHES:
                self.order.popitem(last=False)
        if self._epoch is not None:
            count = len(self._epoch)
            self._epoch.update(kept)
            self._epoch_given += len(kept)
            self._repeats += len(kept) - (len(self._epoch) - count)
            if len(self._epoch) > KEPT:
                self._epoch = None

    def exhausted(self) -> None:
        """The loader has given all; the next epoch is seen from its first batch."""
        self.epochs += 1
        if self._epoch is not None and self._epoch_given:
            self.whole += 1
            self.epoch_rows += self._epoch_given
            self.epoch_repeats += self._repeats
        self.begins()

    def begins(self) -> None:
        """The next batch is the first of an epoch."""
        self._epoch, self._epoch_given, self._repeats = set(), 0, 0


class RowsSeen:
    """All streams of one training, and the rows that they have in common."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self._keys: dict[tuple[int, bool], tuple[Stream, weakref.ref[Any] | None]] = {}
        self._data: dict[int, int] = {}
        self._rows: dict[int, int] = {}
        self._mask = 0

    def stream(self, loader: object | None, *, grad: bool, slept: int) -> Stream | None:
        """Where batches of a loader, or of none, belong; None if there are more than are followed.

        Loaders of one data set are one: many programs make a new one for each epoch.
        """
        data = None if loader is None else _data_of(loader)
        known = self._keys.get((id(data), grad))
        if known is not None and (known[1] is None or known[1]() is data):
            known[0].interrupted(slept)
            return known[0]
        if len(self.streams) >= _MOST_STREAMS:
            return None
        number = None if loader is None else self._data.setdefault(id(data), len(self._data))
        made = Stream(len(self.streams), number, "" if data is None else type(data).__name__, grad=grad)
        made.interrupted(slept)
        if loader is not None:
            made.begins()
        self.streams.append(made)
        self._keys[id(data), grad] = (made, _weak(data))
        return made

    def known(self, loader: object, *, grad: bool) -> Stream | None:
        """The stream of a loader that has delivered already."""
        data = _data_of(loader)
        found = self._keys.get((id(data), grad))
        return found[0] if found is not None and (found[1] is None or found[1]() is data) else None

    def batch(self, stream: Stream, hashes: NDArray[np.uint64]) -> None:
        """A batch of a stream, by the hashes of its rows."""
        sampled = hashes if not self._mask else hashes[(hashes & np.uint64(self._mask)) == 0]
        kept: list[int] = sampled.tolist()
        stream.batch(hashes, kept)
        rows, bit = self._rows, 1 << stream.number
        for one in kept:
            rows[one] = rows.get(one, 0) | bit
        while len(rows) > KEPT:
            self._mask = 2 * self._mask + 1
            rows = self._rows = {one: given for one, given in rows.items() if not one & self._mask}
            for each in self.streams:
                each.skipped()
                each.batches -= 1

    def fields(self) -> dict[str, Any]:
        """The `sampling` event."""
        training = sum(1 << one.number for one in self.streams if one.grad)
        counts = [0] * len(self.streams)
        shared = [0] * len(self.streams)
        for given in self._rows.values():
            for one in self.streams:
                if given >> one.number & 1:
                    counts[one.number] += 1
                    shared[one.number] += given & training > 0
        return {
            "row_sample": 1 / (self._mask + 1),
            "streams": [self._stream(one, counts[one.number], shared[one.number]) for one in self.streams],
        }

    def _stream(self, one: Stream, distinct: int, shared: int) -> dict[str, Any]:
        return {
            "source": "model" if one.data is None else "loader",
            "data": one.data,
            "class": one.name,
            "grad": one.grad,
            "batches": one.batches,
            "batches_looked_at": one.looked,
            "rows_looked_at": one.rows,
            "distinct_batches": len(one.order),
            "distinct_rows": distinct * (self._mask + 1),
            "pairs_again": one.followed,
            "same_order_share": one.followed_same / one.followed if one.followed else None,
            "epochs": one.epochs,
            "epochs_whole": one.whole,
            "repeat_share": one.epoch_repeats / one.epoch_rows if one.epoch_rows else None,
            "in_training_share": None if one.grad or not distinct else shared / distinct,
        }


def _data_of(loader: object) -> object:
    """The data set of a loader, or of an iterator whose loader is gone already; else the loader itself."""
    held = getattr(loader, "__dict__", {})
    return held.get("dataset", held.get("_dataset", loader))


def _weak(data: object | None) -> weakref.ref[Any] | None:
    try:
        return None if data is None else weakref.ref(data)
    except TypeError:  # a list
        return None

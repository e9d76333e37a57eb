"""What is asked for and what is said: labels and predictions by class, numbers and their predictions.

Of every call of a loss that is looked at, in training and in evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.record.association import MOST_CLASSES, Association
from unbug.record.columns import readable
from unbug.record.credit import Credit
from unbug.record.lossfacts import CLASSIFY, operands
from unbug.record.sides import Looked, Sides
from unbug.record.sight import TOLD_AT

if TYPE_CHECKING:
    from unbug.hooks import LossCall
    from unbug.record.core import Core

__all__ = ["Answers"]

_BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
_REGRESS = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
_CLASSES, _EXAMPLES, _MOST_SITES, _ROWS_KEPT, _MEANS, _MOST_LABELS = 1000, 65_536, 64, 8192, 64, 16

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(slots=True)
class _Moments:
    """Count, mean and squared deviations, merged."""

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def merge(self, values: Numbers) -> None:
        if not len(values):
            return
        mean, m2, count = float(values.mean()), float(values.var() * len(values)), len(values)
        gap, together = mean - self.mean, self.count + count
        self.m2 += m2 + gap * gap * self.count * count / together
        self.mean += gap * count / together
        self.count = together
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def fields(self, name: str) -> dict[str, Any]:
        if not self.count:
            return {}
        std = (self.m2 / self.count) ** 0.5
        return {
            f"{name}_mean": self.mean,
            f"{name}_std": std,
            f"{name}_min": self.low,
            f"{name}_max": self.high,
        }


@dataclass(slots=True)
class _Site:
    credit: Credit
    classes: int
    calls: int = 0
    nonfinite: int = 0
    weighted: bool = False
    counts: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    recent: Integers = field(default_factory=lambda: np.zeros((3, 0), np.int64))
    before: Integers = field(default_factory=lambda: np.zeros((3, 0), np.int64))
    target: _Moments = field(default_factory=_Moments)
    first: _Moments = field(default_factory=_Moments)
    last: _Moments = field(default_factory=_Moments)
    latest: _Moments = field(default_factory=_Moments)
    means: list[tuple[float, float, int]] = field(default_factory=list)
    association: Association | None = None
    labels: dict[int, float] = field(default_factory=dict)
    again: int = 0
    twice: int = 0
    otherwise: int = 0
    function: str = ""
    file: str = ""
    line: int = 0


class Answers:
    """Writes `answers` events by line and phase, and `association` events by training."""

    def __init__(self, core: Core, sides: Sides) -> None:
        self._core, self._inputs = core, sides
        self._sites: dict[tuple[int, int, str, bool], _Site] = {}

    def loss(self, call: LossCall, *, grad: bool) -> None:
        """A loss was computed, of a training step (`grad`) or of an evaluation."""
        looked, self._inputs.looked = self._inputs.looked, None
        given, target = operands(call.function, call.arguments)
        if given is None or target is None or not readable(given) or not readable(target):
            return
        number = max(self._core.number(), 0)
        key = number, id(call.frame), call.function, grad
        site = self._sites.get(key)
        if site is None:
            if len(self._sites) >= _MOST_SITES:
                return
            site = self._sites[key] = _Site(Credit(self._core), 0, function=call.function)
            if call.frame is not None:
                site.file, site.line = call.frame.file, call.frame.line
        site.calls += 1
        if not site.credit.due():
            return
        start = perf_counter_ns()
        with torch.no_grad():
            self._look(site, call.function, call.arguments, given.detach(), target.detach(), looked)
        site.credit.paid(perf_counter_ns() - start)
        if site.credit.looks in TOLD_AT:
            self._tell(key)

    def close(self) -> None:
        """Say how everything stands at the end."""
        for key in self._sites:
            self._tell(key, final=True)
        self._sites.clear()

    def _look(
        self, site: _Site, function: str, arguments: Mapping[str, Any], given: torch.Tensor,
        target: torch.Tensor, looked: Looked | None,
    ) -> None:  # fmt: skip
        weights = (arguments.get("weight"), arguments.get("pos_weight"))
        site.weighted = site.weighted or any(one is not None for one in weights)
        found = _classes(function, given, target, arguments.get("ignore_index"))
        if found is not None:
            classes, wanted, said = found
            if site.classes != classes:
                site.classes, site.counts = classes, np.zeros(classes, np.int64)
                site.recent, site.before = np.zeros((3, classes), np.int64), np.zeros((3, classes), np.int64)
            counts = np.bincount(wanted, minlength=classes)
            site.counts += counts
            site.recent[0] += counts
            site.recent[1] += np.bincount(said, minlength=classes)
            site.recent[2] += np.bincount(wanted[wanted == said], minlength=classes)
            plain = wanted.astype(np.float64)
        elif function in _REGRESS:
            plain = target.reshape(-1)[:_EXAMPLES].to(torch.float64).numpy()
            values = given.reshape(-1)[:_EXAMPLES].to(torch.float64).numpy()
            finite = np.isfinite(plain)
            site.nonfinite += int(len(plain) - finite.sum())
            site.target.merge(plain[finite])
            values = values[np.isfinite(values)]
            if site.credit.looks == 0:
                site.first.merge(values)
            site.last.merge(values)
        else:
            if function in _BINARY and looked is not None:
                self._several(site, looked, target)
            return
        one_each = target.numel() == len(target) and (found is None or len(plain) == len(target))
        if len(plain) and one_each:
            if len(site.means) < _MEANS:
                site.means.append((float(plain.mean()), float(plain.std()), len(plain)))
            if looked is not None and looked.rows == len(target):
                self._pair(site, looked, plain)

    def _pair(self, site: _Site, looked: Looked, plain: Numbers) -> None:
        """Examples and their labels, row by row."""
        if looked.hashes is not None:
            known = site.labels
            site.twice += len(looked.hashes) - len(np.unique(looked.hashes))
            for row, label in zip(looked.hashes.tolist(), plain.tolist(), strict=False):
                before = known.get(row)
                if before is None:
                    if len(known) < _ROWS_KEPT:
                        known[row] = label
                elif before != label:
                    site.otherwise += 1
                else:
                    site.again += 1
        if looked.table is None or site.classes > MOST_CLASSES:
            return
        rows = len(looked.table)
        if site.association is None:
            site.association = Association(looked.table.shape[1], site.classes)
        if site.association.features == looked.table.shape[1] and site.association.classes == site.classes:
            site.association.merge(looked.table, plain[:rows, None])

    def _several(self, site: _Site, looked: Looked, target: torch.Tensor) -> None:
        """Several yes or no for each example."""
        if looked.table is None or target.dim() != 2 or not 2 <= target.shape[1] <= _MOST_LABELS:
            return
        rows, columns = len(looked.table), int(target.shape[1])
        if looked.rows != len(target) or columns >= looked.table.shape[1]:
            return
        wanted = target[:rows].to(torch.float64).numpy()
        if not np.isin(wanted, (0.0, 1.0)).all():
            return
        if site.association is None:
            site.association = Association(looked.table.shape[1], 0, columns)
        if site.association.features == looked.table.shape[1] and site.association.columns == columns:
            site.association.merge(looked.table, wanted)

    def _tell(self, key: tuple[int, int, str, bool], **more: Any) -> None:
        site, number = self._sites[key], key[0]
        fields: dict[str, Any] = {
            "phase": "train" if key[3] else "eval",
            "function": site.function,
            "file": site.file,
            "line": site.line,
            "calls": site.calls,
            "looked_at": site.credit.looks,
            "weighted": site.weighted,
            "classes": site.classes,
            "target_nonfinite": site.nonfinite,
            "rows_again": site.again,
            "rows_otherwise": site.otherwise,
            "rows_twice": site.twice,
            "batch_means": [[_short(mean), _short(std), count] for mean, std, count in site.means],
            **site.target.fields("target"),
            **site.first.fields("first_output"),
            **(site.last if site.last.count else site.latest).fields("output"),
        }
        if site.classes:
            fields["counts"] = site.counts.tolist()
            together = (site.before + site.recent).tolist()
            fields |= dict(zip(("wanted", "said", "right"), together, strict=True))
            site.before, site.recent = site.recent, np.zeros_like(site.recent)
        if site.last.count:
            site.latest, site.last = site.last, _Moments()
        self._core.event("answers", {**fields, **more}, training=number)
        if key[3] and site.association is not None:
            found = {"file": site.file, "line": site.line, **site.association.fields(), **more}
            self._core.event("association", found, training=number)


def _classes(
    function: str, given: torch.Tensor, target: torch.Tensor, ignored: object
) -> tuple[int, Integers, Integers] | None:
    """Number of classes, wanted and said ones of the first examples; None where there are none."""
    if function in CLASSIFY and given.dim() > 1 and not target.is_floating_point():
        classes = int(given.shape[1])
        if classes > _CLASSES or target.dim() != given.dim() - 1:
            return None
        kept = max(1, _EXAMPLES // max(given[0].numel(), 1))
        wanted = target[:kept].reshape(-1).to(torch.int64).numpy()
        said = given[:kept].argmax(1).reshape(-1).numpy()
        valid = (wanted >= 0) & (wanted < classes)
        if isinstance(ignored, int):
            valid &= wanted != ignored
        return classes, wanted[valid], said[valid]
    if function in _BINARY and given.shape == target.shape and given.numel() == len(given):
        bound = 0.5 if function == "binary_cross_entropy" else 0.0
        wanted = target.reshape(-1)[:_EXAMPLES].to(torch.float64).numpy()
        if not np.isin(wanted, (0.0, 1.0)).all():
            return None
        said = (given.reshape(-1)[:_EXAMPLES] > bound).to(torch.int64).numpy()
        return 2, wanted.astype(np.int64), said
    return None


def _short(number: float) -> float:
    return float(f"{number:.6g}")

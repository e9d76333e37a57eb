"""Runs the probes, one after the other, within their time; what one of them raises is its own end only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from unbug.checks.probes.contract import Clock, NotPossible, OutOfTime, Probe
from unbug.checks.probes.labels import labels
from unbug.checks.probes.later_positions import later_positions
from unbug.checks.probes.modes import modes
from unbug.checks.probes.neighbours import neighbours
from unbug.checks.probes.one_batch import one_batch
from unbug.checks.probes.order import order
from unbug.checks.probes.other_examples import other_examples
from unbug.checks.probes.subject import Subject
from unbug.checks.probes.targets import targets
from unbug.checks.probes.untouched import untouched
from unbug.record import KeptBatches, KeptModel

__all__ = ["PROBES", "Asked", "ask_probes", "run_probes"]

PROBES: Mapping[str, Probe] = {
    "later-positions": later_positions,
    "other-examples": other_examples,
    "order": order,
    "modes": modes,
    "labels": labels,
    "targets": targets,
    "neighbours": neighbours,
    "one-batch": one_batch,
}
"""In the order in which they are run."""
_LEAST_BYTES, _FREE_SHARE = 256 << 20, 0.05
_MOST_BESIDE_BYTES = 64 << 20
"""What copies may add to the program's own process."""
_MOST_MODELS = 2


@dataclass(slots=True)
class Asked:
    """What came of one probe.

    Args:
        numbers: What it measured; empty if it was not run.
        why_not: Why it was not run, or was given up, in words.
    """

    probe: str
    training: int
    model: str
    seconds: float = 0.0
    numbers: dict[str, Any] = field(default_factory=dict)
    why_not: str = ""

    def fields(self) -> dict[str, Any]:
        """The `probe` event."""
        return {
            "probe": self.probe,
            "model": self.model,
            "seconds": round(self.seconds, 4),
            "possible": not self.why_not,
            "why_not": self.why_not,
            **self.numbers,
        }


def run_probes(
    kept: KeptBatches, *, limit_s: float, stop: Callable[[], bool] = lambda: False,
    probes: Mapping[str, Probe] = PROBES, alone: bool = False,
) -> list[Asked]:  # fmt: skip
    """Run every probe on the models of the last training.

    Args:
        limit_s: That all of them may take.
        stop: Asked between small steps.
        alone: In this process nobody else uses the models, so that copies may share their memory.
    Returns:
        One entry for each probe and model; the program's state is what it was.
    """
    return list(ask_probes(kept, limit_s=limit_s, stop=stop, probes=probes, alone=alone))


def ask_probes(
    kept: KeptBatches, *, limit_s: float, stop: Callable[[], bool] = lambda: False,
    probes: Mapping[str, Probe] = PROBES, alone: bool = False,
) -> Iterator[Asked]:  # fmt: skip
    """As `run_probes`, one after the other. The program's state is another until the last was asked for."""
    clock = Clock(limit_s, stop=stop)
    models = sorted((one for one in kept.models.values() if one.calls), key=_worth, reverse=True)
    with untouched():
        for model in models[:_MOST_MODELS]:
            yield from _ask(model, clock, probes, alone=alone)


def _worth(model: KeptModel) -> tuple[bool, int]:
    """Models whose loss can be computed again come first, then those with most calls."""
    return any(one.loss is not None for one in (*model.recent, *model.small)), model.calls


def _ask(model: KeptModel, clock: Clock, probes: Mapping[str, Probe], *, alone: bool) -> Iterator[Asked]:
    began = time.monotonic()
    try:
        clock.check()
        subject = Subject(model, most_bytes=_room(alone=alone), alone=alone)
    except (NotPossible, OutOfTime) as why:
        text = str(why) or "the time for probes was over"
        yield Asked("all", model.training, "", time.monotonic() - began, why_not=text)
        return
    for name, probe in probes.items():
        began = time.monotonic()
        one = Asked(name, model.training, subject.class_name)
        try:
            clock.check()
            one.numbers = probe(subject, clock)
        except NotPossible as why:
            one.why_not = str(why)
        except OutOfTime:
            one.why_not = "the time for probes was over"
        except Exception as error:
            one.why_not = f"it failed: {type(error).__name__}: {str(error)[:160]}"
        one.seconds = time.monotonic() - began
        yield one


def _room(*, alone: bool) -> int:
    """Bytes that a copy of a model may take: two are alive at once."""
    if not alone:
        return _MOST_BESIDE_BYTES // 2
    return int(max(_LEAST_BYTES, _FREE_SHARE * psutil.virtual_memory().available)) // 2

"""All ranks train on the same batches in the same order.

Why it matters: the gradients that are averaged are the same gradient: as many processes do the work of
    one, and an epoch takes as long as before.
How it decides: in each of at least `looks` steps of which two ranks told their batch, the batches are the
    same, and not all of a rank's batches are one. Ranks that hold a part of a parameter each (tensor
    parallelism) get the same batch on purpose and are left out.
When it is wrong: pipelines whose stages all read the batch.
What to do: give the loader a `DistributedSampler` and call its `set_epoch`, or seed what draws the
    batches with the number of the rank.
Source: PyTorch documentation of `torch.utils.data.distributed.DistributedSampler`; the number is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Case,
    Event,
    Finding,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    program_line,
    threshold,
)
from unbug.detect.together import sharded


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    looks: int = threshold(3, unit="common steps", low=2, high=1000, why="a first batch may be one for all")


@detector(
    "K102",
    "same-data-on-all-ranks",
    chinese="各进程数据相同",
    diagnoses=("repeated-batch",),
    reads=("weight.count",),
    events=("batch", "source"),
    severity=Severity.WARNING,
    since="0.4",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    ranks = window.ranks
    if not ranks or any(sharded(one) for one in ranks):
        return
    each = [_batches(one) for one in ranks]
    steps = sorted(set.intersection(*(set(one) for one in each)))
    if len(steps) < at.looks or len({each[0][step] for step in steps[: at.looks]}) < 2:
        return
    if any(one[step] != each[0][step] for one in each[1:] for step in steps):
        return
    known = steps[at.looks - 1]
    yield Finding(
        place="data",
        message=Bilingual(
            f"{len(ranks)} ranks were given the same batch at each of {at.looks} steps",
            f"在 {at.looks} 个步中，{len(ranks)} 个进程每次得到的批次都相同",
        ),
        advice=Bilingual(
            "give the loader a DistributedSampler, or draw the batches with a seed for each rank",
            "为加载器设置 DistributedSampler，或让每个进程用各自的种子抽取批次",
        ),
        steps=(steps[0], known),
        known_at=known,
        source=program_line(window, r"DataLoader\(") or program_line(window, r"randperm\(|randint\("),
        evidence=(
            facts_evidence(
                window,
                "data",
                (steps[0], known),
                Bilingual("batches side by side", "批次对照"),
                ranks=len(ranks),
                steps_compared=steps[: at.looks],
            ),
        ),
    )


def _batches(window: Window) -> dict[int, tuple[str, ...]]:
    """The first tensor of the batch of each step that one was told of, in training."""
    found: dict[int, tuple[str, ...]] = {}
    for told in window.events("batch"):
        tensors = told.fields.get("tensors") or ()
        prints = tensors[0].get("fingerprints") if tensors else None
        if told.fields.get("grad") and prints:
            found.setdefault(told.step, tuple(map(str, prints)))
    return found


def _rank(*batches: str) -> tuple[Event, ...]:
    return tuple(
        event("batch", step=step, grad=True, tensors=[{"fingerprints": [one]}])
        for step, one in enumerate(batches)
    )


def _two(one: tuple[Event, ...], other: tuple[Event, ...]) -> Window:
    beside = Window.from_lists({}, events=other, ended=True)
    return Window.from_lists({}, events=one, beside=[beside], ended=True)


CASES = (
    Case(
        label="the same order",
        fires=True,
        place="data",
        make=lambda: _two(_rank("a", "b", "c"), _rank("a", "b", "c")),
    ),
    Case(label="other parts", fires=False, make=lambda: _two(_rank("a", "b", "c"), _rank("d", "e", "f"))),
    Case(label="one in common", fires=False, make=lambda: _two(_rank("a", "b", "c"), _rank("a", "e", "f"))),
    Case(label="two looks", fires=False, make=lambda: _two(_rank("a", "b"), _rank("a", "b"))),
    Case(label="one batch for ever", fires=False, make=lambda: _two(_rank(*"aaaa"), _rank(*"aaaa"))),
    Case(
        label="one process", fires=False, make=lambda: Window.from_lists({}, events=_rank(*"abc"), ended=True)
    ),
)

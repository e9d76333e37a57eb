"""Ranks make different numbers of steps.

Why it matters: the gradients of a step are averaged over all ranks; a rank that has no batch left lets
    the others wait until the timeout, or takes part in nothing while they go on.
How it decides: when the training has ended, without a crash, one rank has recorded at least `steps` steps
    more than another.
When it is wrong: ranks with work of their own, such as one that evaluates.
What to do: `drop_last=True`, a `DistributedSampler` that fills up, or `with Join([model]):`.
Source: PyTorch tutorial "Distributed Training with Uneven Inputs Using the Join Context Manager"; the
    number is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Case,
    Finding,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    steps: int = threshold(2, unit="steps", low=1, high=10**6, why="the last row of a rank may be lost")


@detector(
    "K103",
    "unequal-steps",
    chinese="各进程步数不等",
    diagnoses=(),
    reads=("loss.value",),
    events=("crash",),
    severity=Severity.WARNING,
    since="0.4",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    ranks = window.ranks
    losses = [one.one("loss.value") for one in ranks]
    counts = [int(track.steps[-1]) + 1 for track in losses if track is not None and len(track)]
    if len(counts) < 2 or len(counts) < len(ranks) or any(one.events("crash") for one in ranks):
        return
    least, most = min(counts), max(counts)
    if most - least < at.steps:
        return
    yield Finding(
        place="loop",
        message=Bilingual(
            f"rank {counts.index(most)} made {most} steps and rank {counts.index(least)} made {least}",
            f"进程 {counts.index(most)} 执行了 {most} 步，进程 {counts.index(least)} 执行了 {least} 步",
        ),
        advice=Bilingual(
            "give all ranks as many batches: drop_last=True, or a DistributedSampler",
            "让各进程的批次数相同：drop_last=True，或使用 DistributedSampler",
        ),
        steps=(least, most - 1),
        known_at=most - 1,
        evidence=(
            facts_evidence(
                window,
                "loop",
                (least, most - 1),
                Bilingual("steps of the ranks", "各进程的步数"),
                steps_by_rank=counts,
            ),
        ),
    )


def _two(one: int, other: int, *, crashed: bool = False) -> Window:
    events = [event("crash")] if crashed else []
    beside = Window.from_lists({"loss.value": {"loss": [1.0] * other}}, ended=True)
    return Window.from_lists(
        {"loss.value": {"loss": [1.0] * one}}, events=events, beside=[beside], ended=True
    )


CASES = (
    Case(label="two steps apart", fires=True, place="loop", make=lambda: _two(10, 8)),
    Case(label="the last row is lost", fires=False, make=lambda: _two(10, 9)),
    Case(label="as many", fires=False, make=lambda: _two(10, 10)),
    Case(label="a crash", fires=False, make=lambda: _two(10, 4, crashed=True)),
)

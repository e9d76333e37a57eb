"""Ranks that should hold the same weights hold different ones.

Why it matters: each rank trains a model of its own on its part of the data; what is saved by the first
    rank has seen a fraction of it, and all others are thrown away.
How it decides: at every step that two ranks recorded in common, from the second on and at least `looks`
    of them, the largest weight of a parameter differs between them by more than `tolerance`. Parameters
    of which a rank holds a part (sharding) are left out.
When it is wrong: ranks that train apart on purpose, such as one setting each.
What to do: wrap the model in `DistributedDataParallel`, or average its gradients with `all_reduce` before
    each step; begin from the same weights (`broadcast`).
Source: Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", section
    3; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Case,
    Finding,
    Place,
    Severity,
    Window,
    common_place,
    detector,
    facts_evidence,
    named,
    program_line,
    threshold,
)
from unbug.detect.together import at_common_steps, pairs, sharded


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    looks: int = threshold(
        3, unit="common steps", low=1, high=1000, why="ranks may start apart and be joined"
    )
    tolerance: float = threshold(
        1e-4, unit="of the value", low=0.0, high=1.0, why="sums in another order differ by less"
    )


@detector(
    "K101",
    "replicas-differ",
    chinese="各进程的权重不同",
    diagnoses=(),
    reads=("weight.absmax", "weight.count"),
    events=("source",),
    severity=Severity.ERROR,
    since="0.4",
    final=True,
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    ranks = window.ranks
    if not ranks or any(sharded(one) for one in ranks):
        return
    paths: list[str] = []
    apart: list[int] = []
    known = last = since = -1
    for number, other in enumerate(ranks[1:], 1):
        for mine, theirs in pairs(ranks[0], other, "weight.absmax"):
            steps, one, two = at_common_steps(mine, theirs)
            later = steps > 0
            steps, one, two = steps[later], one[later], two[later]
            differ = np.abs(one - two) > at.tolerance * np.maximum(np.abs(one), np.abs(two))
            if len(steps) < at.looks or not differ.all():
                continue
            paths.append(mine.place)
            apart.append(number)
            since = int(steps[0]) if since < 0 else min(since, int(steps[0]))
            known = int(steps[at.looks - 1]) if known < 0 else min(known, int(steps[at.looks - 1]))
            last = max(last, int(steps[-1]))
    if not paths:
        return
    parameters, count = list(dict.fromkeys(paths)), len(set(apart)) + 1
    place = common_place(parameters)
    yield Finding(
        place=place,
        message=Bilingual(
            f"{count} ranks hold different weights from step {since} on, in {len(parameters)} parameters: "
            f"{named(parameters)}",
            f"从第 {since} 步起，{count} 个进程的权重不同，涉及 {len(parameters)} 个参数："
            f"{named(parameters).zh}",
        ),
        advice=Bilingual(
            "wrap the model in DistributedDataParallel, or all_reduce its gradients before each step",
            "用 DistributedDataParallel 包装模型，或在每一步之前对梯度执行 all_reduce",
        ),
        steps=(since, last),
        known_at=known,
        source=program_line(window, r"init_process_group\("),
        evidence=(
            facts_evidence(
                window,
                place,
                (since, last),
                Bilingual("ranks side by side", "各进程对照"),
                ranks=count,
                parameters=parameters[:20],
            ),
        ),
    )


def _rank(values: list[float], *, count: float = 4.0) -> Window:
    series = {
        "loss.value": {"loss": [1.0] * len(values)},
        "weight.min": {"fc": [0.0] * len(values)},
        "weight.max": {"fc": values},
        "weight.absmax": {"fc": values},
        "weight.count": {"fc": [count] * len(values)},
    }
    return Window.from_lists(series, places=[Place(path="fc", kind="parameter", shape=(4,))], ended=True)


def _two(one: list[float], other: list[float], *, count: float = 4.0) -> Window:
    mine = _rank(one, count=count)
    return Window.from_lists(
        {
            "loss.value": {"loss": [1.0] * len(one)},
            "weight.absmax": {"fc": one},
            "weight.count": {"fc": [count] * len(one)},
        },
        places=mine.places,
        beside=[_rank(other, count=count)],
        ended=True,
    )


_STEPS = [1.0, 1.1, 1.2, 1.3]
CASES = (
    Case(
        label="each rank goes its own way",
        fires=True,
        place="fc",
        make=lambda: _two(_STEPS, [1.0, 1.2, 1.4, 1.6]),
    ),
    Case(label="the same on all ranks", fires=False, make=lambda: _two(_STEPS, _STEPS)),
    Case(
        label="brought together now and then",
        fires=False,
        make=lambda: _two(_STEPS, [1.0, 1.2, 1.2, 1.6]),
    ),
    Case(
        label="a part on each rank",
        fires=False,
        make=lambda: _two(_STEPS, [2.0, 2.1, 2.2, 2.3], count=2.0),
    ),
    Case(label="too few looks", fires=False, make=lambda: _two(_STEPS[:3], [1.0, 1.2, 1.4])),
    Case(label="one process", fires=False, make=lambda: _rank(_STEPS)),
)

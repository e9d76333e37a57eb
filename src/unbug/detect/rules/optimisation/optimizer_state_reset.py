"""The optimizer is made anew again and again, and forgets what it had gathered.

Why it matters: momentum and Adam's averages begin at zero each time. The first steps of a new Adam are all
    about as long as the learning rate, whatever the gradient: the training is thrown back at each turn.
How it decides: at least `resets` times an optimizer was followed in the same training by another one of the
    same class over the same number of elements, made by the same line, which keeps a state, and nothing was
    loaded in between. Where they live longer than `life` steps it is a note: the state had time to settle.
When it is wrong: rounds that shall begin anew, such as snapshot ensembles. A new phase (unfreezing,
    fine-tuning) has its own line or other parameters, and folds have other parameters: not told. LBFGS is
    left out, and so is SGD without momentum, which has nothing to lose.
What to do: make the optimizer once, in front of the loop; change its learning rate in `param_groups` or
    with a scheduler.
Source: Kingma and Ba 2015, "Adam", arXiv:1412.6980, section 3, for what the first steps are; the numbers
    are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Setup,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    setups,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    resets: int = threshold(3, unit="times", low=1, high=1000, why="a few phases are usual")
    life: int = threshold(1000, unit="steps", low=1, high=10**9, why="memory of Adam's second average")


@detector(
    "O110",
    "optimizer-state-reset",
    chinese="优化器状态被重置",
    diagnoses=("optimizer-state-reset",),
    events=("optimizer", "checkpoint"),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    loads = sorted(
        one.step
        for one in window.events("checkpoint")
        if one.fields.get("action") == "loaded" and one.step > 0
    )
    chains: dict[tuple[Any, ...], list[Setup]] = {}
    for setup in setups(window):
        if not setup.keeps_state or setup.class_name == "LBFGS" or setup.source is None:
            continue
        chain = chains.setdefault((setup.class_name, setup.elements, setup.source), [])
        if chain and (setup.step <= chain[-1].step or _between(loads, chain[-1].step, setup.step)):
            chain.clear()
        chain.append(setup)
        if len(chain) <= at.resets:
            continue
        every = [one.step for one in chain]
        life = float(np.median(np.diff(every)))
        yield Finding(
            place="optimizer",
            message=Bilingual(
                f"a new {setup.class_name} took over {len(chain) - 1} times by step {setup.step}, about "
                f"every "
                f"{life:g} steps: what it had gathered is lost each time",
                f"{setup.class_name} 被重新创建了 {len(chain) - 1} 次（到第 {setup.step} 步），大约每 "
                f"{life:g} 步一次：每次都丢失已积累的状态",
            ),
            advice=Bilingual(
                "make the optimizer once, in front of the loop, and change its learning rate with a "
                "scheduler",
                "在循环之前只创建一次优化器，用调度器改变学习率",
            ),
            severity=None if life <= at.life else Severity.NOTE,
            steps=(every[1], setup.step),
            known_at=setup.step,
            source=setup.source,
            evidence=(
                facts_evidence(
                    window,
                    "optimizer",
                    (every[0], setup.step),
                    Bilingual("steps at which it was made", "创建优化器的步"),
                    optimizer=setup.class_name,
                    made_at_step=every,
                ),
            ),
        )
        return


def _between(loads: list[int], before: int, now: int) -> bool:
    return any(before < step <= now for step in loads)


def _made(step: int, name: str = "adam.Adam", line: int = 9, elements: int = 90, **options: Any) -> Event:
    group = {"lr": 0.1, "elements": elements, **options}
    fields: dict[str, Any] = {"class": f"torch.optim.{name}", "groups": [group], "file": "t.py", "line": line}
    return event("optimizer", step=step, **fields)


_LOADED = tuple(event("checkpoint", step=step, action="loaded", what="optimizer") for step in (10, 20, 30))
CASES = (
    fires(
        "the third time",
        place="optimizer",
        severity=Severity.WARNING,
        events=tuple(_made(step) for step in (0, 10, 20, 30)),
    ),
    fires("in every step", events=tuple(_made(step) for step in range(9))),
    fires("long lives", severity=Severity.NOTE, events=tuple(_made(step) for step in (0, 1001, 2002, 3003))),
    silent("twice", events=tuple(_made(step) for step in (0, 10, 20))),
    silent("phases of their own", events=tuple(_made(step, line=step) for step in (1, 10, 20, 30))),
    silent("more parameters each time", events=tuple(_made(s, elements=s + 9) for s in (0, 10, 20, 30))),
    silent("a GAN's four", events=tuple(_made(0) for _ in range(4))),
    silent("no state", events=tuple(_made(step, "sgd.SGD", momentum=0) for step in (0, 10, 20, 30))),
    silent("its state is loaded", events=(*(_made(step) for step in (0, 10, 20, 30)), *_LOADED)),
)

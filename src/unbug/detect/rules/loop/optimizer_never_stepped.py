"""One of several optimizers is never stepped, though its parameters get gradients.

Why it matters: its part of the model stays as it was made, while the other part learns against it: a
    generator that never moves, an actor that never changes.
How it decides: at the end of at least `steps` steps, an optimizer made no step of which no parameter is in
    one that did. In at least `looks` looks its parameters had gradients above zero, and they have not
    changed.
When it is wrong: an optimizer for a later stage that the run did not reach, over layers that get gradients
    before that stage.
What to do: call `step()` of this optimizer after its `backward`; look whether another one is stepped in its
    place.
Source: TrainCheck (arXiv:2506.14813) on the order of calls in a loop; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Training,
    Window,
    common_place,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)
from unbug.detect.wired import given_line


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    steps: int = threshold(20, unit="steps", low=2, high=10**6, why="a stage may begin with one of them")
    looks: int = threshold(2, unit="looks", low=1, high=100, why="a single gradient may be a trial")


@detector(
    "T141",
    "optimizer-never-stepped",
    chinese="优化器从未执行 step",
    diagnoses=("missing-optimizer-step",),
    events=("idle_optimizers",),
    severity=Severity.ERROR,
    since="0.4",
    final=True,
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for seen in window.events("idle_optimizers"):
        fields = seen.fields
        if fields.get("changed") or int(fields.get("looks_with_gradient") or 0) < at.looks:
            continue
        if window.steps < at.steps:
            continue
        paths = [str(one) for one in fields.get("places") or ()]
        place = common_place(paths) if paths else "optimizer"
        count, name = int(fields.get("parameters") or 0), str(fields.get("class") or "optimizer")
        since, last = int(fields.get("since") or 0), max(seen.step, 0)
        yield Finding(
            place=place,
            message=Bilingual(
                f"an optimizer ({name}) was not stepped once in {window.steps} steps of another, though its "
                f"{count} parameters get gradients",
                f"另一个优化器执行了 {window.steps} 步，而这个优化器（{name}）一次也没有执行 step，"
                f"尽管它的 {count} 个参数得到了梯度",
            ),
            advice=Bilingual(
                "call step() of this optimizer after its backward", "在其 backward 之后调用该优化器的 step()"
            ),
            steps=(since, last),
            known_at=min(max(since, at.steps - 1), last),
            source=given_line(fields),
            evidence=(
                facts_evidence(
                    window, place, (since, last), Bilingual("the optimizer", "该优化器"), **dict(fields)
                ),
            ),
        )


def _idle(**fields: Any) -> Event:
    told: dict[str, Any] = {"class": "Adam", "parameters": 6, "elements": 900, "since": 1, "file": "t.py"}
    told |= {"looks_with_gradient": 5, "changed": False, "places": ["G.0.weight", "G.2.weight"], "line": 24}
    return event("idle_optimizers", step=99, **told | fields)


_RUN = Training(number=0, steps=100, optimizers=("Adam", "Adam"))
CASES = (
    fires("a generator that never moves", place="G", training=_RUN, events=(_idle(),)),
    fires("parameters in no module", place="optimizer", training=_RUN, events=(_idle(places=[]),)),
    silent("its gradients are never computed", training=_RUN, events=(_idle(looks_with_gradient=0),)),
    silent("a moving average moves them", training=_RUN, events=(_idle(changed=True),)),
    silent("a short trial", training=Training(number=0, steps=19), events=(_idle(),)),
    silent("every optimizer steps", training=_RUN),
)

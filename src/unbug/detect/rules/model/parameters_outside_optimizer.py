"""Parameters get gradients, but no optimizer holds them.

Why it matters: they stay as they are, while all the cost of training them is paid.
How it decides: in `looks` consecutive looks, parameters of the model that require and have a gradient are
    in no optimizer. Those that were made after the optimizer (a replaced head, a lazy layer) or that lie
    behind trained ones are an error. If all lie before the trained ones, it may be a head trained on
    purpose over layers that were not frozen: a note; a warning where these layers have the random values that
    layers are made with, so that they never learned anything, and nothing that follows in the run can have
    trained them.
When it is wrong: parameters that the program updates by hand.
What to do: make the optimizer after the model is complete, from `model.parameters()`; freeze what shall not
    learn.
Source: TrainCheck (arXiv:2506.14813) on identity of parameters and optimizer; the number of looks is ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Window,
    common_place,
    detector,
    event,
    facts_evidence,
    fires,
    named,
    parameter_looks,
    seen_again,
    silent,
    threshold,
)
from unbug.detect.fresh import is_fresh
from unbug.detect.wired import layers


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    looks: int = threshold(2, unit="looks", low=1, high=100, why="a program may add a group in between")


@detector(
    "M101",
    "parameters-outside-optimizer",
    chinese="参数不在优化器中",
    diagnoses=("params-not-in-optimizer",),
    events=("parameters", "layers"),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = layers(window)
    fresh = {
        str(one.get("place"))
        for one in (told.fields.get("weights") if told else None) or ()
        if one.get("trained") is False and is_fresh(one)
    }
    looks = [look for _, look in parameter_looks(window)]
    latest = {str(one["path"]) for one in _unowned(looks[-1])} if looks else set()
    replaced = window.ended and not window.events("end")  # only a run's last training sees its end
    found = seen_again(window, _unowned, looks=at.looks, key=lambda one: one["path"])
    for again in found:
        paths = [str(one["path"]) for one in again.items]
        late = any(one.get("created_after_optimizer") for one in again.items)
        head_only = not late and all(one.get("position") == "before" for one in again.items)
        why = (
            Bilingual(", since they were made after it", "，因为它们在优化器之后创建")
            if late
            else Bilingual()
        )
        untaught = head_only and not replaced and bool(fresh.intersection(paths) & latest)
        noun = "parameter has a gradient but is" if len(paths) == 1 else "parameters have gradients but are"
        yield Finding(
            place=common_place(paths),
            message=Bilingual(
                f"{len(paths)} {noun} in no optimizer{why}: {named(paths)}",
                f"{len(paths)} 个参数有梯度，却不在任何优化器中{why.zh}：{named(paths).zh}",
            ),
            advice=Bilingual(
                "freeze these layers with requires_grad_(False), if only what follows shall learn",
                "若只训练后面的层，请用 requires_grad_(False) 冻结这些层",
            )
            if head_only and not untaught
            else Bilingual(
                "make the optimizer after the model is complete, from model.parameters()",
                "在模型完整之后，用 model.parameters() 创建优化器",
            ),
            severity=None if not head_only else Severity.WARNING if untaught else Severity.NOTE,
            steps=(again.since, again.step),
            known_at=again.step,
            evidence=(
                facts_evidence(
                    window,
                    common_place(paths),
                    (again.since, again.step),
                    Bilingual("parameters in no optimizer", "不在任何优化器中的参数"),
                    parameters=paths,
                    made_after_the_optimizer=late,
                    in_the_optimizer=again.fields.get("owned_count"),
                ),
            ),
        )
        return


def _unowned(look: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in look.get("unowned") or () if one.get("has_grad") and one.get("path")]


def _look(step: int, *positions: str, late: bool = False, grad: bool = True) -> Event:
    unowned = [
        {"path": f"fc{n}.weight", "has_grad": grad, "created_after_optimizer": late, "position": position}
        for n, position in enumerate(positions)
    ]
    return event("parameters", step=step, unowned=unowned, owned_count=4)


_FRESH = event(
    "layers",
    weights=[
        {
            "place": "fc0.weight",
            "class": "Linear",
            "elements": 128,
            "fan_in": 16,
            "trained": False,
            "absmax": 0.249,
            "std": 0.1443,
            "mean": 0.0,
        }
    ],
)

CASES = (
    fires(
        "behind trained ones, twice",
        severity=Severity.ERROR,
        place="fc0.weight",
        events=(_look(0, "after"), _look(1, "after")),
    ),
    fires(
        "made after the optimizer",
        severity=Severity.ERROR,
        events=(_look(0, "before", late=True), _look(1, "before", late=True)),
    ),
    fires(
        "a head over layers that were not frozen",
        severity=Severity.NOTE,
        events=(_look(0, "before"), _look(1, "before")),
    ),
    fires(
        "a head over layers that never learned",
        severity=Severity.WARNING,
        ended=False,
        events=(
            _FRESH,
            _look(0, "before"),
            _look(1, "before"),
        ),
    ),
    fires(
        "a head first, then all of it",
        severity=Severity.NOTE,
        events=(_FRESH, _look(0, "before"), _look(1, "before"), _look(50)),
    ),
    fires(
        "a head first, all of it in the next training",
        severity=Severity.NOTE,
        ended=True,
        events=(_FRESH, _look(0, "before"), _look(1, "before")),
    ),
    silent("one look only", events=(_look(0, "after"), _look(1))),
    silent("without gradient", events=(_look(0, "after", grad=False), _look(1, "after", grad=False))),
)

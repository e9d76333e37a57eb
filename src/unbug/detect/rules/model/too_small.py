"""The model is too small for its task: it cannot learn a single batch by heart.

Why it matters: no learning rate and no number of epochs help.
How it decides: probes at the end of the program. A copy, trained on one batch alone by Adam for `steps`
    steps, from its weights as they are and from fresh ones, at two learning rates, gets less than `accuracy`
    of at least `examples` examples right; and the vote of the nearest neighbours beats the model on the
    training's own examples by `better`: there is something to learn that the model has no room for.
When it is wrong: models that are small on purpose, say for a device.
What to do: more units or layers, a wider narrowest layer; take off what bounds the output.
Source: Karpathy 2019, "A Recipe for Training Neural Networks" ("overfit a single batch"); all numbers are
    ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    module_place,
    probed,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    accuracy: float = threshold(
        0.8, unit="fraction", low=0.2, high=1.0, why="nets with room reach 1 in far fewer steps"
    )
    steps: int = threshold(100, unit="steps", low=20, high=10_000, why="a healthy net needs 20 to 60")
    examples: int = threshold(8, unit="examples", low=4, high=10_000, why="fewer say little")
    better: float = threshold(0.2, unit="fraction", low=0.05, high=1.0, why="beyond what chance makes of it")


@detector(
    "M123",
    "model-too-small",
    chinese="模型容量不足",
    diagnoses=("underfitting",),
    events=("probe",),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "one-batch"):
        reached = [found.get("accuracy"), found.get("fresh_accuracy")]
        if None in reached or int(found.get("examples") or 0) < at.examples:
            continue
        best = max(float(one) for one in reached if one is not None)
        if (
            best >= at.accuracy
            or min(int(found.get(name) or 0) for name in ("steps", "fresh_steps")) < at.steps
        ):
            continue
        same = [other for _, other in probed(window, "labels") if other.get("model") == found.get("model")]
        vote = same[-1].get("vote") if same else None
        accuracy = same[-1].get("model_accuracy") if same else None
        if vote is None or accuracy is None or vote - accuracy < at.better:
            continue
        model, source = module_place(window, "", otherwise=str(found.get("model") or "model"))
        yield Finding(
            place=model,
            message=Bilingual(
                f"the model cannot learn even one batch by heart: a copy gets {best:.0%} of"
                f" {found['examples']} examples right, nearest neighbours {vote:.0%} of all",
                f"模型连一个批次都记不住：副本在 {found['examples']} 个样本中只答对 {best:.0%}，"
                f"而最近邻在全部样本上答对 {vote:.0%}",
            ),
            advice=Bilingual(
                "more units or layers: widen the narrowest layer first", "增加单元或层数：先加宽最窄的一层"
            ),
            steps=(0, step),
            known_at=step,
            source=source,
            evidence=(
                facts_evidence(
                    window,
                    model,
                    (0, step),
                    Bilingual("a copy was trained on one batch", "用一个批次训练副本"),
                    examples=found.get("examples"),
                    best_accuracy=best,
                    steps_tried=found.get("steps"),
                    vote_of_neighbours=vote,
                    model_accuracy=accuracy,
                ),
            ),
        )


def _results(best: float, *, vote: float = 0.9, accuracy: float = 0.4, **fields: Any) -> tuple[Event, ...]:
    given: dict[str, Any] = {
        "possible": True, "model": "Net", "examples": 32, "accuracy": best, "fresh_accuracy": best - 0.1,
        "steps": 150, "fresh_steps": 150, "loss": 1.0, "fresh_loss": 1.1, "loss_before": 1.5,
    }  # fmt: skip
    return (
        event("probe", step=99, probe="labels", model="Net", vote=vote, model_accuracy=accuracy),
        event("probe", step=99, probe="one-batch", **{**given, **fields}),
    )


CASES = (
    fires("half of a batch", place="Net", events=_results(0.5)),
    fires("just under the accuracy", events=_results(0.79)),
    silent("a batch is learnt", events=_results(1.0)),
    silent("neighbours do no better: a hard task", events=_results(0.5, vote=0.5)),
    silent("too few steps fitted into the time", events=_results(0.5, steps=99)),
    silent("numbers have no accuracy", events=_results(0.5, fresh_accuracy=None)),
    silent("four examples", events=_results(0.5, examples=4)),
    silent("no neighbours were asked", events=_results(0.5)[1:]),
)

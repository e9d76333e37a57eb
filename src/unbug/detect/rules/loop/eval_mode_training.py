"""The model is trained in evaluation mode.

Why it matters: dropout does nothing and BatchNorm does not adapt; the model overfits, or works with
    statistics that no longer fit it.
How it decides: forward passes with gradients in which every layer that behaves differently in the two modes
    is in evaluation mode. It is an error if the model was in training mode before, which is a forgotten
    `train()` after an evaluation, and a warning if it never was.
When it is wrong: fine-tuning with frozen statistics; switching single layers is not told.
What to do: call `model.train()` at the start of each epoch.
Source: PyTorch documentation of `torch.nn.Module.train`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Phase,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    modes,
    named,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(5, unit="steps", low=1, high=1000, why="saliency and probes take single passes")


@detector(
    "T105",
    "eval-mode-training",
    chinese="以评估模式训练",
    diagnoses=("eval-mode-training",),
    events=("mode",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    passes = [seen for seen in modes(window) if seen.phase is Phase.TRAIN and seen.grad]
    for index, seen in enumerate(passes):
        if not seen.all_eval:
            continue
        since = seen.step
        later = [other.step for other in passes[index + 1 :] if other.module == seen.module]
        until = min([step for step in later if step >= since], default=window.steps)
        if until - since < at.patience:
            continue
        known_at = since + at.patience - 1
        before = any(one.module == seen.module and one.training for one in passes[:index])
        yield Finding(
            place="loop",
            message=Bilingual(
                f"the model {seen.module} is trained in evaluation mode from step {since} on: "
                f"{seen.dependent} layers ({named(seen.evaluating)}) act as in evaluation",
                f"模型 {seen.module} 从第 {since} 步起以评估模式训练："
                f"{seen.dependent} 个层（{named(seen.evaluating).zh}）的行为与评估时相同",
            ),
            advice=Bilingual(
                "call model.train() after each evaluation, before training goes on",
                "每次评估后、继续训练前调用 model.train()",
            ),
            severity=None if before else Severity.WARNING,
            confidence=None if before else 0.7,
            steps=(since, known_at),
            known_at=known_at,
            evidence=(
                facts_evidence(
                    window,
                    "loop",
                    (since, known_at),
                    Bilingual("mode of the model", "模型的模式"),
                    **dict(seen.fields),
                ),
            ),
        )
        return


def _mode(step: int, train: int, evaluation: int, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "module": "Net",
        "grad": True,
        "mode_dependent": 2,
        "in_train_mode": ["drop", "bn"][:train],
        "in_eval_mode": ["drop", "bn"][:evaluation],
    }
    counts = {"in_train_mode_count": train, "in_eval_mode_count": evaluation}
    return event("mode", step=step, **{**given, **counts, **fields})


CASES = (
    fires(
        "train() forgotten after an evaluation",
        place="loop",
        severity=Severity.ERROR,
        events=(_mode(0, 2, 0), _mode(5, 0, 2)),
        loss__value={"loss": [1.0] * 10},
    ),
    fires(
        "never in training mode",
        severity=Severity.WARNING,
        events=(_mode(0, 0, 2),),
        loss__value={"loss": [1.0] * 5},
    ),
    silent("one step short", events=(_mode(0, 2, 0), _mode(5, 0, 2)), loss__value={"loss": [1.0] * 9}),
    silent("frozen BatchNorm", events=(_mode(0, 1, 1),), loss__value={"loss": [1.0] * 50}),
    silent(
        "a saliency map in between",
        events=(_mode(0, 2, 0), _mode(5, 0, 2), _mode(6, 2, 0)),
        loss__value={"loss": [1.0] * 50},
    ),
    silent(
        "nothing depends on the mode",
        events=(_mode(0, 0, 0, mode_dependent=0),),
        loss__value={"loss": [1.0] * 50},
    ),
)

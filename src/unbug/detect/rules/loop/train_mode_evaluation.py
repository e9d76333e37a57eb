"""The model is evaluated in training mode.

Why it matters: dropout throws values away and BatchNorm uses the statistics of the batch: the measured loss
    is noisy, too high, and depends on which examples share a batch; BatchNorm's running statistics take in
    the validation data.
How it decides: a forward pass of the trained model without gradients, in which every layer that behaves
    differently in the two modes is in training mode, in a phase in which a loss without gradient is
    computed as well.
When it is wrong: a loss that is deliberately measured under dropout. Monte-Carlo dropout switches single
    layers on, and teachers or generators run without gradients for a loss that has them: neither is told.
What to do: call `model.eval()` before evaluating and `model.train()` before training on.
Source: PyTorch documentation, "Locally disabling gradient computation", section on evaluation mode.
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
    loss_sites,
    modes,
    named,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    layers: int = threshold(1, unit="layers", low=1, high=1000, why="one BatchNorm is enough to disturb")


@detector(
    "T104",
    "train-mode-evaluation",
    chinese="以训练模式评估",
    diagnoses=("train-mode-eval",),
    events=("mode", "loss_call"),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    passes = modes(window)
    trained = {seen.module for seen in passes if seen.phase is Phase.TRAIN and seen.grad}
    measured = [
        (step, site.source) for site in loss_sites(window, phase=Phase.EVAL) for step, _ in site.profiles
    ]
    for seen in passes:
        if seen.phase is not Phase.EVAL or seen.grad or seen.module not in trained:
            continue
        if not seen.all_train or seen.dependent < at.layers:
            continue
        loss = next((one for one in measured if one[0] >= seen.step), None)
        if loss is None:
            continue
        yield Finding(
            place="loop",
            message=Bilingual(
                f"the model {seen.module} is evaluated in training mode: {seen.dependent} layers "
                f"({named(seen.training)}) act as in training",
                f"模型 {seen.module} 以训练模式被评估：{seen.dependent} 个层"
                f"（{named(seen.training).zh}）的行为与训练时相同",
            ),
            advice=Bilingual(
                "call model.eval() before the evaluation and model.train() after it",
                "评估前调用 model.eval()，评估后调用 model.train()",
            ),
            steps=(seen.step, loss[0]),
            known_at=loss[0],
            source=loss[1],
            evidence=(
                facts_evidence(
                    window,
                    "loop",
                    (seen.step, loss[0]),
                    Bilingual("mode of the model", "模型的模式"),
                    **seen.fields,
                ),
            ),
        )
        return


def _mode(phase: Phase, train: list[str], *, dependent: int = 2, step: int = 0, **fields: Any) -> Event:
    given = {
        "module": "Net",
        "grad": phase is Phase.TRAIN,
        "mode_dependent": dependent,
        "in_train_mode": train,
    }
    return event("mode", step=step, phase=phase, in_train_mode_count=len(train), **given | fields)


def _loss(phase: Phase, step: int) -> Event:
    return event("loss_call", step=step, phase=phase, function="cross_entropy", file="t.py", line=9, calls=1)


_BOTH = ["drop", "bn"]
CASES = (
    fires(
        "all layers in training mode",
        place="loop",
        events=(_mode(Phase.TRAIN, _BOTH), _mode(Phase.EVAL, _BOTH, step=5), _loss(Phase.EVAL, 5)),
    ),
    silent(
        "evaluation mode",
        events=(_mode(Phase.TRAIN, _BOTH), _mode(Phase.EVAL, [], step=5), _loss(Phase.EVAL, 5)),
    ),
    silent(
        "Monte-Carlo dropout",
        events=(_mode(Phase.TRAIN, _BOTH), _mode(Phase.EVAL, ["drop"]), _loss(Phase.EVAL, 0)),
    ),
    silent(
        "a generator for the discriminator's loss",
        events=(_mode(Phase.TRAIN, _BOTH), _mode(Phase.EVAL, _BOTH), _loss(Phase.TRAIN, 0)),
    ),
    silent(
        "nothing depends on the mode",
        events=(
            _mode(Phase.TRAIN, [], dependent=0),
            _mode(Phase.EVAL, [], dependent=0),
            _loss(Phase.EVAL, 0),
        ),
    ),
    silent(
        "a model that is not trained",
        events=(_mode(Phase.EVAL, _BOTH, module="Teacher"), _loss(Phase.EVAL, 0)),
    ),
)

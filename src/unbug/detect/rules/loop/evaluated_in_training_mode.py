"""The model is measured in training mode, by other means than a loss.

Why it matters: dropout throws values away and BatchNorm uses the statistics of the batch: the measured
    accuracy is noisy, too low, and depends on which examples share a batch; BatchNorm's running statistics
    take in the examples that are evaluated.
How it decides: at the end, a trained model made passes without gradients with every layer that acts
    otherwise in the two modes in training mode, and no pass in evaluation mode at all. That it was an
    evaluation is told by when and on what it ran: at no more than `share` of the steps, or on the same rows
    each time; and rows that the training had not seen are among them, where rows can be told apart.
    T104 says the same of evaluations that compute a loss.
When it is wrong: statistics of BatchNorm that are computed anew by hand, on other rows than those of the
    training. Several passes over one batch (Monte-Carlo dropout) and optimizers that step in turn (a
    generator that draws in training mode on purpose) are left out.
What to do: call `model.eval()` before evaluating and `model.train()` before training on.
Source: PyTorch documentation, "Locally disabling gradient computation", section on evaluation mode; the
    share is ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Phase,
    Severity,
    Training,
    Window,
    alternating,
    detector,
    event,
    facts_evidence,
    fires,
    modes,
    named,
    program_line,
    silent,
    threshold,
)
from unbug.detect.wired import given_line


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(
        0.2, unit="of the steps", low=0.001, high=1.0, why="what is part of a step comes at every step"
    )


@detector(
    "T140",
    "evaluated-in-training-mode",
    chinese="以训练模式测量",
    diagnoses=("train-mode-eval",),
    events=("mode", "given", "source"),
    severity=Severity.WARNING,
    since="0.4",
    final=True,
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    passes = modes(window)
    if alternating(window):
        return
    trained = {seen.module for seen in passes if seen.phase is Phase.TRAIN and seen.grad}
    spared = {seen.module for seen in passes if not seen.all_train and seen.dependent}
    for seen in passes:
        if seen.phase is not Phase.EVAL or seen.grad or not seen.all_train:
            continue
        if seen.module not in trained or seen.module in spared:
            continue
        given = _last(window, seen.module)
        if given is None or not _evaluates(given, max(window.steps, 1), at.share):
            continue
        noun = "layer acts" if seen.dependent == 1 else "layers act"
        yield Finding(
            place="loop",
            message=Bilingual(
                f"the model {seen.module} is measured in training mode, first after step {seen.step}, and "
                f"never ran in evaluation mode: {seen.dependent} {noun} ({named(seen.training)}) as in "
                f"training",
                f"模型 {seen.module} 以训练模式被测量（首次在第 {seen.step} 步之后），从未以评估模式运行："
                f"{seen.dependent} 个层（{named(seen.training).zh}）的行为与训练时相同",
            ),
            advice=Bilingual(
                "call model.eval() before measuring and model.train() after it",
                "测量前调用 model.eval()，之后调用 model.train()",
            ),
            steps=(seen.step, max(window.steps - 1, seen.step)),
            known_at=seen.step,
            source=given_line(seen.fields) or program_line(window, r"no_grad|inference_mode"),
            evidence=(
                facts_evidence(
                    window,
                    "loop",
                    (seen.step, max(window.steps - 1, seen.step)),
                    Bilingual("mode of the model", "模型的模式"),
                    **seen.fields,
                    batches_evaluated=given.get("batches"),
                    steps_evaluated_at=given.get("steps_evaluated_at"),
                ),
            ),
        )
        return


def _last(window: Window, module: str) -> Mapping[str, Any] | None:
    """What the model was given in evaluations, as it was told last."""
    told = [one.fields for one in window.events("given") if one.fields.get("module") == module]
    return next((one for one in reversed(told) if one.get("phase") == "eval"), None)


def _evaluates(given: Mapping[str, Any], steps: int, share: float) -> bool:
    looked, batches = int(given.get("batches_looked_at") or 0), int(given.get("batches") or 0)
    if not looked or int(given.get("passes_at_one_step") or 0) > 1:
        return False
    told_apart = bool(given.get("shape"))
    if told_apart and not given.get("rows_not_in_training"):
        return False
    visits = int(given.get("steps_evaluated_at") or 0) * batches / looked
    rows, distinct = int(given.get("rows_looked_at") or 0), int(given.get("distinct_rows") or 0)
    again = told_apart and not given.get("rows_in_training") and rows >= 0.8 * visits * distinct
    return visits <= max(share * steps, 1) or (again and visits > 1)


def _mode(step: int, train: int, evaluation: int = 0, *, grad: bool = False) -> Event:
    layers = ["drop", "bn"]
    return event(
        "mode",
        step=step,
        phase=Phase.TRAIN if grad else Phase.EVAL,
        module="Net",
        grad=grad,
        training=bool(train),
        mode_dependent=2,
        in_train_mode=layers[:train],
        in_train_mode_count=train,
        in_eval_mode=layers[:evaluation],
        in_eval_mode_count=evaluation,
        file="t.py",
        line=30,
    )


def _given(visits: int, **fields: Any) -> Event:
    seen: dict[str, Any] = {"module": "Net", "batches": visits, "batches_looked_at": visits}
    seen |= {"rows_looked_at": 40 * visits, "distinct_rows": 40, "shape": [64], "rows_in_training": 0}
    seen |= {"rows_not_in_training": 40, "passes_at_one_step": 1, "steps_evaluated_at": visits}
    return replace(event("given", step=99), fields={"phase": "eval", **seen, **fields})


_RUN = Training(number=0, steps=100)
_TRAINED = _mode(0, 2, grad=True)
CASES = (
    fires(
        "accuracy alone, after each epoch",
        place="loop",
        training=_RUN,
        events=(_TRAINED, _mode(9, 2), _given(10)),
    ),
    fires(
        "one epoch a step, on the same rows each time",
        training=_RUN,
        events=(_TRAINED, _mode(0, 2), _given(60)),
    ),
    fires(
        "tokens, of which the training has seen all",
        training=_RUN,
        events=(_TRAINED, _mode(99, 2), _given(1, shape=[], rows_in_training=40, rows_not_in_training=0)),
    ),
    silent(
        "statistics of BatchNorm computed anew, then evaluation mode",
        training=_RUN,
        events=(_TRAINED, _mode(99, 2), _mode(99, 0, 2), _given(1)),
    ),
    silent(
        "the rows of the training alone",
        training=_RUN,
        events=(_TRAINED, _mode(99, 2), _given(1, rows_in_training=40, rows_not_in_training=0)),
    ),
    silent(
        "labels that the model guesses itself, at every step",
        training=_RUN,
        events=(_TRAINED, _mode(0, 2), _given(60, distinct_rows=2400)),
    ),
    silent(
        "Monte-Carlo dropout",
        training=_RUN,
        events=(_TRAINED, _mode(99, 2), _given(1, passes_at_one_step=20)),
    ),
    silent(
        "a generator that draws samples",
        training=Training(number=0, steps=100, optimizers=("Adam", "Adam")),
        events=(_TRAINED, _mode(9, 2), _given(10)),
    ),
    silent("frozen BatchNorm", training=_RUN, events=(_TRAINED, _mode(9, 1, 1), _given(10))),
)

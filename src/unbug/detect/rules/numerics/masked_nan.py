"""NaN or infinity is produced, and hidden from the optimizer.

Why it matters: the formula that makes it stays wrong. What is put in its place (zero, a skipped batch)
    trains the model on nothing, and the training stalls while all numbers look sound.
How it decides: any of these, on `patience` steps: a loss function that something is trained on gave NaN or
    infinity while the loss that backward began at was finite, or was left out; a module gave NaN in
    training while the loss was finite; gradients were not finite after backward, and were when the
    optimizer got them. Losses count only from a share of `share` of the calls on: below it is a note.
When it is wrong: batches that are skipped on purpose since they hold nothing to learn from.
What to do: take the mask away and find the formula: log(0), sqrt(0), a division by zero, an overflow; then
    bound its argument (`clamp`, `+ eps`, `log_softmax`).
Source: Wang et al. 2022, "An empirical study on numerical bugs in deep learning programs"; the numbers are
    ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Phase,
    Severity,
    Source,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    program_line,
    silent,
    threshold,
    trained_sites,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(3, unit="steps", low=1, high=1000, why="one odd batch may be left out")
    share: float = threshold(
        0.1, unit="of the calls", low=0.0, high=1.0, why="rare batches are left out rightly"
    )


@detector(
    "N104",
    "masked-nan",
    chinese="NaN 被掩盖",
    diagnoses=("nan-masked", "numeric-unsafe-op"),
    reads=("call.value", "loss.value", "loss.nonfinite", "activation.nan_share", "step.skipped"),
    events=("masked", "loss_call", "source"),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    found = [_gradient(window, at), _loss(window, at), *_modules(window, at)]
    known = [one for one in found if one is not None]
    if known:
        yield min(known, key=lambda one: one.known_at or 0)


_ADVICE = Bilingual(
    "take away what hides it (nan_to_num, the skipped step), and bound the argument of the formula that "
    "makes it",
    "去掉掩盖它的代码（nan_to_num、跳过的步），并限制产生它的公式的自变量",
)


def _gradient(window: Window, at: Thresholds) -> Finding | None:
    """Gradients that were cleaned between backward and step."""
    seen = [one for one in window.events("masked") if one.fields.get("what") == "gradient"]
    if len(seen) < at.patience:
        return None
    first, last = max(seen[0].step, 0), max(seen[at.patience - 1].step, 0)
    file, line = seen[0].fields.get("file"), seen[0].fields.get("line")
    return Finding(
        place="optimizer",
        message=Bilingual(
            f"gradients are NaN or infinite after backward, and cleaned before the step, {at.patience} "
            f"times by "
            f"step {last}",
            f"backward 之后的梯度为 NaN 或无穷，却在 step 之前被清理，共 {at.patience} 次（到第 {last} 步）",
        ),
        advice=_ADVICE,
        steps=(first, last),
        known_at=last,
        source=program_line(window, r"nan_to_num|isnan|isfinite|isinf")
        or (Source(file=str(file), line=int(line)) if file and line else None),
        evidence=(
            facts_evidence(
                window,
                "optimizer",
                (first, last),
                Bilingual("steps with cleaned gradients", "梯度被清理的步"),
                seen_at_step=[one.step for one in seen[: at.patience]],
            ),
        ),
    )


def _loss(window: Window, at: Thresholds) -> Finding | None:
    """A loss function that gave NaN, of which the loss that was trained on knows nothing."""
    trained = {(s.source.file, s.source.line): s.source for s in trained_sites(window) if s.source}
    told = np.concatenate(
        [
            *(track.steps[~np.isfinite(track.values)] for track in window.read("loss.value")),
            *(track.steps[track.values >= 1] for track in window.read("loss.nonfinite")),
            *(track.steps[track.values >= 1] for track in window.read("step.skipped")),
            np.zeros(0, np.int64),
        ]
    )
    for track in window.read("call.value", phase=Phase.TRAIN):
        source = trained.get(track.where.source) if track.where.source else None
        if source is None and (trained or track.where.source):
            continue
        bad = np.flatnonzero(~np.isfinite(track.values) & ~np.isin(track.steps, told))
        if len(bad) < at.patience:
            continue
        row = int(bad[at.patience - 1])
        share = at.patience / (row + 1)
        first, last = int(track.steps[bad[0]]), int(track.steps[row])
        return Finding(
            place="loss",
            message=Bilingual(
                f"the loss function gave NaN or infinity {at.patience} times by step {last}, which the "
                f"loss that "
                "is trained on does not show",
                f"损失函数给出了 {at.patience} 次 NaN 或无穷（到第 {last} 步），而用于训练的损失并未显示",
            ),
            advice=_ADVICE,
            severity=Severity.NOTE if share < at.share else None,
            steps=(first, last),
            known_at=last,
            source=source,
            evidence=(track.evidence(slice(int(bad[0]), row + 1), label=Bilingual("loss call", "损失调用")),),
        )
    return None


def _modules(window: Window, at: Thresholds) -> Iterator[Finding]:
    """Modules that gave NaN while the loss stayed finite."""
    loss = window.one("loss.value")
    if loss is None:
        return
    sound = loss.steps[np.isfinite(loss.values)]
    for track in window.read("activation.nan_share", phase=Phase.TRAIN):
        bad = np.flatnonzero((track.values > 0) & np.isin(track.steps, sound))
        if len(bad) < at.patience:
            continue
        row = int(bad[at.patience - 1])
        last = int(track.steps[row])
        yield Finding(
            place=track.place,
            message=Bilingual(
                f"{track.values[bad[0]]:.1%} of what the module gives is NaN, on {at.patience} recorded "
                f"steps by "
                f"step {last}, while the loss is finite",
                f"该模块输出的 {track.values[bad[0]]:.1%} 为 NaN，在 {at.patience} 个记录步中如此（到第 "
                f"{last} 步），而损失是有限的",
            ),
            advice=_ADVICE,
            steps=(int(track.steps[bad[0]]), last),
            known_at=last,
            evidence=(
                track.evidence(slice(int(bad[0]), row + 1), label=Bilingual("share of NaN", "NaN 的占比")),
            ),
        )


_NAN = float("nan")
_HIDDEN = tuple(event("masked", step=step, what="gradient") for step in range(3))
CASES = (
    fires("gradients are cleaned", place="optimizer", events=_HIDDEN),
    fires(
        "the loss is replaced",
        place="loss",
        call__value={"loss": [1.0, _NAN, _NAN, _NAN]},
        loss__value={"loss": [1.0, 0.0, 0.0, 0.0]},
    ),
    fires("the step is left out", call__value={"loss": [1.0, _NAN, _NAN, _NAN]}, loss__value={"loss": [1.0]}),
    fires(
        "rare batches",
        severity=Severity.NOTE,
        call__value={"loss": [*([1.0] * 28), _NAN, _NAN, _NAN]},
        loss__value={"loss": [1.0] * 28},
    ),
    fires(
        "a module",
        place="head",
        activation__nan_share={"body": [0.0] * 3, "head": [0.1] * 3},
        loss__value={"loss": [1.0] * 3},
    ),
    silent("the loss shows it", call__value={"loss": [_NAN] * 3}, loss__value={"loss": [_NAN] * 3}),
    silent("twice", events=_HIDDEN[:2], call__value={"loss": [_NAN, _NAN]}, loss__value={"loss": [1.0, 1.0]}),
    silent(
        "GradScaler left these steps out",
        call__value={"loss": [_NAN] * 3},
        loss__value={"loss": [1.0] * 3},
        step__skipped={"loop": [1.0] * 3},
    ),
    silent(
        "infinity masks attention", activation__nan_share={"mask": [0.0] * 9}, loss__value={"loss": [1.0] * 9}
    ),
)

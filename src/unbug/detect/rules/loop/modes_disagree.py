"""Training mode and evaluation mode of the model give different answers to the same training batches.

Why it matters: what was trained is not what is evaluated or used.
How it decides: a probe at the end of the program runs a copy on a few training batches in both modes.
    BatchNorm: with at least `tracked` batches behind it, the loss in evaluation mode is `worse` times that
    in training mode, and above `part` of the loss that the training began with: its running statistics do
    not fit. Dropout: at a rate of `rate` or more, an example's output differs more between two passes than
    from other examples (`noise`). And dropout that is called though the model is in evaluation mode.
When it is wrong: dropout at evaluation on purpose (Monte Carlo dropout).
What to do: BatchNorm: use batches of 16 or more, the default momentum of 0.1, and let the statistics follow
    the last weights. Dropout: rates of 0.1 to 0.5. In functions: `F.dropout(x, p, training=self.training)`,
    and `dropout_p=p if self.training else 0.0` in attention.
Source: Ioffe and Szegedy 2015, arXiv:1502.03167; Srivastava et al. 2014; all numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Probed,
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
    worse: float = threshold(2.0, unit="times", low=1.1, high=100, why="healthy models stay below 1.5")
    part: float = threshold(
        0.3, unit="fraction of the first loss", low=0.0, high=10, why="both may be tiny, and differ by much"
    )
    tracked: int = threshold(
        40, unit="batches", low=1, high=100_000, why="after 40 the start counts for 1.5 % at momentum 0.1"
    )
    rate: float = threshold(0.75, unit="dropout rate", low=0.5, high=1.0, why="published nets use up to 0.5")
    noise: float = threshold(1.0, unit="times", low=0.2, high=100, why="then noise is larger than signal")


@detector(
    "T120",
    "modes-disagree",
    chinese="训练模式与评估模式不一致",
    diagnoses=("batchnorm-misuse",),
    reads=("loss.value",),
    events=("probe",),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "modes"):
        named = list(found.get("dropout_in_eval") or ())
        if named and float(found.get("random_in_eval") or 0) > 0.001:
            yield _stated(
                window, step, found, ("train-mode-eval", "dropout-too-strong"),
                Bilingual(
                    f"dropout is applied in evaluation mode, too: {', '.join(named)}",
                    f"评估模式下仍然应用了 dropout：{', '.join(named)}",
                ),
                Bilingual(
                    "hand the mode on: F.dropout(x, p, training=self.training)",
                    "传入模式：F.dropout(x, p, training=self.training)",
                ),
            )  # fmt: skip
            continue
        train, other = found.get("train_loss"), found.get("eval_loss")
        norms = int(found.get("batch_norms") or 0)
        if norms and found.get("tracking") and train is not None and other is not None:
            first = window.one("loss.value")
            start = float(first.values[0]) if first is not None and len(first.values) else None
            fits = int(found.get("batches_tracked") or 0) < at.tracked or other < at.worse * train
            if not fits and start is not None and other >= at.part * abs(start) and train > 0:
                yield _stated(
                    window, step, found, None,
                    Bilingual(
                        f"the running statistics of BatchNorm do not fit: training batches have a loss of"
                        f" {other:.3g} in evaluation mode, {train:.3g} in training mode",
                        f"BatchNorm 的滑动统计量不合适：同样的训练批次，评估模式下损失为 {other:.3g}，"
                        f"训练模式下为 {train:.3g}",
                    ),
                    Bilingual(
                        "use larger batches and the default momentum of 0.1",
                        "使用更大的批次和默认的 momentum 0.1",
                    ),
                )  # fmt: skip
                continue
        rate, noise = float(found.get("dropout_rate") or 0), found.get("noise")
        if rate >= at.rate and noise is not None and noise >= at.noise:
            yield _stated(
                window, step, found, ("dropout-too-strong",),
                Bilingual(
                    f"dropout of {rate:.0%} leaves little signal: outputs differ {noise:.1f} times as much"
                    f" between two passes as between examples",
                    f"{rate:.0%} 的 dropout 使信号所剩无几：两次前向之差是样本间差异的 {noise:.1f} 倍",
                ),
                Bilingual("use a rate of 0.1 to 0.5", "使用 0.1 到 0.5 的比率"),
            )  # fmt: skip


def _stated(
    window: Window,
    step: int,
    found: Probed,
    diagnoses: tuple[str, ...] | None,
    message: Bilingual,
    advice: Bilingual,
) -> Finding:
    model, source = module_place(window, "", otherwise=str(found.get("model") or "model"))
    shown = {name: found[name] for name in _SHOWN if found.get(name) is not None}
    return Finding(
        place=model,
        message=message,
        advice=advice,
        diagnoses=diagnoses,
        steps=(0, step),
        known_at=step,
        source=source,
        evidence=(
            facts_evidence(
                window, model, (0, step), Bilingual("one batch in both modes", "同一批次的两种模式"), **shown
            ),
        ),
    )


_SHOWN = (
    "train_loss", "eval_loss", "examples", "batch_norms", "batches_tracked", "momentum", "dropouts",
    "dropout_rate", "noise", "random_in_eval", "dropout_in_eval",
)  # fmt: skip


def _result(train: float, other: float, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "possible": True, "model": "Net", "batch_norms": 2, "tracking": True, "batches_tracked": 500,
        "momentum": 0.1, "train_loss": train, "eval_loss": other, "dropouts": 0, "dropout_rate": 0.0,
        "noise": 0.2, "random_in_eval": 0.0, "dropout_in_eval": [], "examples": 32,
    }  # fmt: skip
    return event("probe", step=1, probe="modes", **{**given, **fields})


_LOSS = {"loss": [2.0, 0.5]}
CASES = (
    fires("far worse in evaluation mode", events=(_result(0.2, 3.0),), loss__value=_LOSS,
          diagnoses=("batchnorm-misuse",)),
    fires("exactly at both thresholds", place="Net", events=(_result(0.3, 0.6),), loss__value=_LOSS),
    fires(
        "too much dropout",
        diagnoses=("dropout-too-strong",),
        events=(_result(1.0, 1.0, batch_norms=0, dropouts=1, dropout_rate=0.9, noise=2.0),),
        loss__value=_LOSS,
    ),
    fires(
        "dropout in evaluation mode",
        diagnoses=("train-mode-eval", "dropout-too-strong"),
        events=(_result(1.0, 1.0, random_in_eval=0.5, dropout_in_eval=["dropout"]),),
        loss__value=_LOSS,
    ),
    silent("the modes agree", events=(_result(0.2, 0.25),), loss__value=_LOSS),
    silent("both losses are tiny", events=(_result(0.001, 0.01),), loss__value=_LOSS),
    silent("a short training", events=(_result(0.2, 3.0, batches_tracked=39),), loss__value=_LOSS),
    silent("no running statistics", events=(_result(0.2, 3.0, tracking=False),), loss__value=_LOSS),
    silent(
        "dropout of one half",
        events=(_result(0.9, 0.3, batch_norms=0, dropouts=2, dropout_rate=0.5, noise=1.2),),
        loss__value=_LOSS,
    ),
    silent(
        "a sampler: random, but no dropout",
        events=(_result(1.0, 1.0, batch_norms=0, random_in_eval=0.7),),
        loss__value=_LOSS,
    ),
    silent("dropout of rate 0", events=(_result(0.5, 0.5, dropout_in_eval=["dropout"]),), loss__value=_LOSS),
    silent("better in evaluation mode", events=(_result(0.9, 0.2),), loss__value=_LOSS),
)  # fmt: skip

"""Prediction and target have shapes that broadcast against each other in the loss.

Why it matters: `(N, 1)` against `(N,)` compares every prediction with every target. The best answer to that
    is the mean of the targets, and that is what the model learns.
How it decides: a loss call whose prediction and target differ in shape, and whose broadcast result has more
    elements than either, in at least `calls` calls.
When it is wrong: all-pairs losses written with a regression loss, on purpose.
What to do: give both the same shape: `prediction.squeeze(1)`, or `target.unsqueeze(1)`.
Source: PyTorch broadcasting semantics; `mse_loss` itself warns of it once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Window,
    detector,
    event,
    fires,
    silent,
    threshold,
    trained_sites,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    calls: int = threshold(1, unit="calls", low=1, high=1000, why="shapes are no accident")


@detector(
    "L103",
    "broadcasting-loss",
    chinese="损失发生广播",
    diagnoses=("loss-broadcast",),
    events=("loss_call",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.97,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for site in trained_sites(window):
        held = site.holds(_outgrows, calls=at.calls)
        if held is None:
            continue
        given, target, result = (
            _shape(held.profile.get(k)) for k in ("input_shape", "target_shape", "broadcast")
        )
        yield Finding(
            place="loss",
            message=Bilingual(
                f"{site.function} compares a prediction of shape {_text(given)} with a target of shape "
                f"{_text(target)}; they broadcast to {_text(result)}",
                f"{site.function} 把形状 {_text(given)} 的预测与形状 {_text(target)} 的目标相比较，"
                f"二者广播成 {_text(result)}",
            ),
            advice=Bilingual(
                "give both the same shape, e.g. prediction.squeeze(1) or target.unsqueeze(1)",
                "让二者形状一致，例如 prediction.squeeze(1) 或 target.unsqueeze(1)",
            ),
            steps=(held.since, held.last),
            known_at=held.known_at,
            source=site.source,
            evidence=(site.evidence(window, held),),
        )


def _outgrows(profile: Mapping[str, Any]) -> bool:
    given, target, result = (_shape(profile.get(k)) for k in ("input_shape", "target_shape", "broadcast"))
    return bool(result) and given != target and prod(result) > max(prod(given), prod(target))


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in value) if isinstance(value, list | tuple) else ()


def _text(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _call(given: list[int], target: list[int], result: list[int] | None) -> Event:
    return event(
        "loss_call",
        function="mse_loss",
        file="train.py",
        line=25,
        calls=1,
        input_shape=given,
        target_shape=target,
        broadcast=result,
    )


CASES = (
    fires("(N, 1) against (N,)", place="loss", events=(_call([64, 1], [64], [64, 64]),)),
    silent("equal shapes", events=(_call([64, 1], [64, 1], None),)),
    silent("a scalar target, as in a least-squares GAN", events=(_call([64, 1], [], [64, 1]),)),
    silent("one target for all columns", events=(_call([64, 3], [64, 1], [64, 3]),)),
    silent("a batch of one", events=(_call([1, 1], [1], [1, 1]),)),
)

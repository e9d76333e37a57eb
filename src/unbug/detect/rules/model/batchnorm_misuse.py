"""BatchNorm is set up or used so that its statistics are useless.

Why it matters: in training it normalises by the batch, in evaluation by running statistics. Batches of one
    or two have no statistics; a running average that takes over each batch whole, or hardly any, does not
    describe the data, and evaluation gives other results than training.
How it decides: layers in training mode have a momentum of at least `fast`, or one so small that after all
    steps (`final`) the share `stale` of the statistics is still what they began with, while the model is
    evaluated; or an `eps` of at least `eps`; or the median batch has one example, or two in a `BatchNorm1d`
    without further positions.
When it is wrong: momentum set to 1 for a pass that only collects statistics; batches of one large image.
What to do: leave momentum at 0.1 (it is the weight of the new batch, not of the old average); use larger
    batches, or GroupNorm or LayerNorm.
Source: Ioffe and Szegedy 2015; PyTorch documentation of `BatchNorm1d`, `momentum`; the limits are ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Event,
    Evidence,
    Finding,
    Phase,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    modes,
    silent,
    threshold,
)
from unbug.detect.wired import layers, number


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    fast: float = threshold(
        0.9, unit="momentum", low=0.2, high=1.0, why="0.9 and 0.99 are other libraries' words"
    )
    stale: float = threshold(0.5, unit="of the statistics", low=0.05, high=1.0, why="the default leaves 1e-5")
    eps: float = threshold(0.1, unit="eps", low=1e-3, high=100.0, why="the default is 1e-5")
    rows: int = threshold(5, unit="recorded steps", low=1, high=1000, why="a rehearsal may have one example")


@detector(
    "M113",
    "batchnorm-misuse",
    chinese="BatchNorm 使用不当",
    diagnoses=("batchnorm-misuse",),
    reads=("step.batch_size",),
    events=("layers", "mode"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = layers(window)
    norms = [
        one
        for one in (told.fields.get("layers") if told else None) or ()
        if str(one.get("class")).startswith(("BatchNorm", "SyncBatchNorm"))
        and one.get("training") is not False
    ]
    if not norms:
        return
    advice = Bilingual(
        "leave momentum at 0.1: it is the weight of the new batch", "momentum 保持 0.1：它是新批次的权重"
    )
    for one in norms:
        momentum, place = one.get("momentum"), str(one["place"])
        if not isinstance(momentum, int | float) or one.get("track_running_stats") is False:
            continue
        facts = _facts(window, one)
        if momentum >= at.fast:
            yield Finding(
                place=place,
                message=Bilingual(
                    f"with a momentum of {momentum:g} running statistics are those of the last batch alone",
                    f"momentum 为 {momentum:g} 时，运行统计量只反映最后一个批次",
                ),
                advice=advice,
                steps=(0, 0),
                known_at=0,
                evidence=(facts,),
            )
        left = (1 - momentum) ** window.steps if window.ended and window.steps else 0.0
        if left >= at.stale and _evaluates(window):
            yield Finding(
                place=place,
                message=Bilingual(
                    f"with a momentum of {momentum:g}, {left:.0%} of the running statistics is still what "
                    f"they began with after {window.steps} steps",
                    f"momentum 为 {momentum:g}，运行统计量中仍有 {left:.0%} 是初始值，"
                    f"已训练 {window.steps} 步",
                ),
                advice=advice,
                severity=Severity.WARNING if window.steps >= 100 or momentum == 0 else Severity.NOTE,
                steps=(0, window.steps - 1),
                known_at=window.steps - 1,
                evidence=(facts,),
            )
        if number(one.get("eps"), 0) >= at.eps:
            yield Finding(
                place=place,
                message=Bilingual(
                    f"eps is {number(one.get('eps')):g}, as large as the variances that it is added to",
                    f"eps 为 {number(one.get('eps')):g}，与它所加的方差同样大",
                ),
                advice=Bilingual("leave eps at 1e-5", "eps 保持 1e-5"),
                steps=(0, 0),
                known_at=0,
                evidence=(facts,),
            )
    yield from _tiny_batches(window, at, norms)


def _tiny_batches(window: Window, at: Thresholds, norms: list[Mapping[str, Any]]) -> Iterator[Finding]:
    track = window.one("step.batch_size")
    micro = window.one("step.micro_steps")
    if track is None or len(track) < at.rows or (micro is not None and micro.values[0] > 1):
        return
    first = track.values[: at.rows]
    flat = any(one.get("class") == "BatchNorm1d" for one in norms)
    limit = 2 if flat else 1
    if not np.all(np.isfinite(first)) or not 1 <= float(np.median(first)) <= limit:
        return
    count, known_at = int(np.median(first)), int(track.steps[at.rows - 1])
    part = slice(0, at.rows)
    yield Finding(
        place=str(norms[0]["place"]),
        message=Bilingual(
            f"batches of {count}: {len(norms)} BatchNorm layers have no statistics to normalise by",
            f"批大小为 {count}：{len(norms)} 个 BatchNorm 层没有可用的统计量",
        ),
        advice=Bilingual(
            "use larger batches, or GroupNorm or LayerNorm", "使用更大的批，或改用 GroupNorm、LayerNorm"
        ),
        known_at=known_at,
        evidence=(
            track.evidence(
                part, threshold=limit, above=False, label=Bilingual("examples in a batch", "批内样本数")
            ),
        ),
    )


def _evaluates(window: Window) -> bool:
    return any(mode.phase is Phase.EVAL and mode.evaluating for mode in modes(window))


def _facts(window: Window, one: Mapping[str, Any]) -> Evidence:
    shown = {name: value for name, value in one.items() if name != "place"}
    return facts_evidence(window, str(one["place"]), (0, 0), Bilingual("how it is set up", "设置"), **shown)


def _layer(momentum: float | None = 0.1, kind: str = "BatchNorm1d", **fields: Any) -> Event:
    one = {"place": "bn", "class": kind, "training": True, "eps": 1e-5, "momentum": momentum}
    return event("layers", layers=[one | {"track_running_stats": True} | fields])


_EVAL = event("mode", phase=Phase.EVAL, mode_dependent=1, in_eval_mode=["bn"], in_eval_mode_count=1)
_STEPS = {"loss": [1.0] * 200}
CASES = (
    fires("all of the last batch", place="bn", events=(_layer(0.9),)),
    fires("never", events=(_layer(0.0), _EVAL), loss__value=_STEPS),
    fires("hardly any", severity=Severity.WARNING, events=(_layer(0.003), _EVAL), loss__value=_STEPS),
    fires(
        "hardly any in a short run",
        severity=Severity.NOTE,
        events=(_layer(0.003), _EVAL),
        loss__value={"loss": [1.0] * 9},
    ),
    fires("a large eps", events=(_layer(eps=0.1),)),
    fires("batches of two", events=(_layer(),), step__batch_size={"data": [2.0] * 5}),
    silent(
        "the default", events=(_layer(), _EVAL), loss__value=_STEPS, step__batch_size={"data": [32.0] * 9}
    ),
    silent("a plain average", events=(_layer(None), _EVAL), loss__value=_STEPS),
    silent("it is frozen", events=(_layer(0.0, training=False), _EVAL), loss__value=_STEPS),
    silent("never evaluated", events=(_layer(0.003),), loss__value=_STEPS),
    silent(
        "batches of two images",
        events=(_layer(0.1, kind="BatchNorm2d"),),
        step__batch_size={"data": [2.0] * 5},
    ),
)

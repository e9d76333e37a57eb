"""The initial weights are far too large or far too small for their number of inputs.

Why it matters: each layer multiplies the size of the signal by about the deviation of its weights times the
    root of its inputs. Far above 1 activations saturate or explode and the first losses are huge; far below
    1 nothing arrives at the end, and no gradient at the beginning.
How it decides: before the first step, in a model that loaded no weights, the deviation of a layer's weights
    is more than `large` times what He et al. advise, sqrt(2 / inputs); or in most layers, two or more, it
    is less than `small` of it. Layers with fewer than `inputs` inputs are left out, and weights that are
    another layer's too: those of an embedding have its size.
When it is wrong: schemes that scale the weights elsewhere, in the forward pass; layers of other classes
    than PyTorch's are left out for it.
What to do: leave PyTorch's default initialisation, or use `nn.init.kaiming_normal_` or `xavier_uniform_`.
Source: He et al. 2015, "Delving Deep into Rectifiers"; Glorot and Bengio 2010; the limits are ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Place,
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
from unbug.detect.wired import layers, number

_KINDS = ("Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "LSTM", "GRU", "RNN")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    large: float = threshold(4.0, unit="times He's", low=1.5, high=1e6, why="gains of recipes end at 2")
    small: float = threshold(0.03, unit="of He's", low=0.0, high=0.5, why="0.02 for 64 inputs is 0.11 of it")
    inputs: int = threshold(4, unit="inputs", low=1, high=1000, why="with few, the bias matters more")
    part: float = threshold(
        0.6, unit="of the layers", low=0.1, high=1.0, why="single ones start small rightly"
    )


@detector(
    "M114",
    "initial-scale",
    chinese="初始权重尺度不当",
    diagnoses=("bad-init",),
    events=("layers", "checkpoint"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = layers(window)
    if told is None or window.training.number > 0 or _loaded(window):
        return
    tied = {path for place in window.places if place.aliases for path in (place.path, *place.aliases)}
    sizes = {
        str(one["place"]): number(one.get("std"), 0) / sqrt(2 / int(one["fan_in"]))
        for one in told.fields.get("weights") or ()
        if one.get("class") in _KINDS
        and one.get("trained")
        and int(one.get("fan_in") or 0) >= at.inputs
        and str(one["place"]) not in tied
    }
    large = {path: size for path, size in sizes.items() if at.large < size < float("inf")}
    zeros = {path: size for path, size in sizes.items() if size == 0}
    small = {path: size for path, size in sizes.items() if 0 < size < at.small}
    if large:
        worst = max(large, key=lambda path: large[path])
        yield _finding(window, told.fields, worst, large, Bilingual("too large", "过大"), at.large)
    elif len(zeros) >= 2 and len(zeros) >= at.part * len(sizes):
        yield _finding(
            window, told.fields, next(iter(zeros)), zeros, Bilingual("all zero", "全为零"), at.small
        )
    elif len(small) >= 2 and len(small) >= at.part * len(sizes):
        worst = min(small, key=lambda path: small[path])
        yield _finding(window, told.fields, worst, small, Bilingual("too small", "过小"), at.small)


def _finding(
    window: Window,
    fields: Mapping[str, Any],
    worst: str,
    sizes: Mapping[str, float],
    how: Bilingual,
    limit: float,
) -> Finding:
    one = next(item for item in fields["weights"] if item["place"] == worst)
    deviation, inputs = number(one.get("std")), int(one["fan_in"])
    places = tuple(path.rpartition(".")[0] or path for path in sizes)
    return Finding(
        place=common_place(places) if len(places) > 1 and len(sizes) > 2 and "." in places[0] else worst,
        message=Bilingual(
            f"initial weights are {how}: at {worst} their deviation is {deviation:.3g} for {inputs} inputs, "
            f"{sizes[worst]:.3g} times the usual (limit {limit:g})",
            f"初始权重{how.zh}：{worst} 的标准差为 {deviation:.3g}（{inputs} 个输入），"
            f"是通常值的 {sizes[worst]:.3g} 倍（阈值 {limit:g}）",
        ),
        advice=Bilingual(
            "leave the default initialisation, or use nn.init.kaiming_normal_ or xavier_uniform_",
            "保留默认初始化，或使用 nn.init.kaiming_normal_、xavier_uniform_",
        ),
        confidence=0.7 if _normalised(fields) else None,
        steps=(0, 0),
        known_at=0,
        evidence=(
            facts_evidence(
                window,
                worst,
                (0, 0),
                Bilingual("deviation over He's, by weight", "各权重标准差与 He 初始化之比"),
                ratios={path: round(size, 4) for path, size in list(sizes.items())[:20]},
            ),
        ),
    )


def _normalised(fields: Mapping[str, Any]) -> bool:
    """Whether layers normalise what they are given, so that the size of weights before them matters less."""
    return any(str(one.get("class")).startswith("BatchNorm") for one in fields.get("layers") or ())


def _loaded(window: Window) -> bool:
    return any(
        one.fields.get("action") == "loaded" and one.fields.get("what") == "model" and one.step <= 0
        for one in window.events("checkpoint")
    )


def _told(*ratios: float, kind: str = "Linear", inputs: int = 64) -> Event:
    weights = [
        {
            "place": f"fc{i}.weight",
            "class": kind,
            "fan_in": inputs,
            "std": ratio * sqrt(2 / inputs),
            "trained": True,
        }
        for i, ratio in enumerate(ratios)
    ]
    return event("layers", weights=weights)


_LOADED = event("checkpoint", step=-1, action="loaded", what="model")
CASES = (
    fires("one layer far too large", place="fc1.weight", events=(_told(1.0, 4.1),)),
    fires("most layers far too small", place="fc1.weight", events=(_told(0.029, 0.02, 0.4),)),
    silent("just inside", events=(_told(3.9, 0.03, 0.03),)),
    silent("one small head", events=(_told(0.6, 0.6, 0.01),)),
    silent("what transformers start from", events=(_told(0.11, 0.11, 0.03),)),
    fires("zeros in most layers", events=(_told(0.0, 0.0, 0.5),)),
    silent("residual branches that begin at zero", events=(_told(0.0, 0.6, 0.0, 0.6),)),
    silent("one input", events=(_told(20.0, inputs=1),)),
    silent("weights that a layer scales itself", events=(_told(8.0, kind="EqualLinear"),)),
    silent(
        "tied with an embedding",
        places=(Place(path="fc1.weight", kind="parameter", aliases=("emb.weight",), order=0),),
        events=(_told(1.0, 4.1),),
    ),
    silent("they were loaded", events=(_LOADED, _told(9.0))),
    silent("a training that goes on", events=(_told(9.0),), training=Training(number=1, steps=1)),
)

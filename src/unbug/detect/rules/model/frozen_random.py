"""Layers are frozen that were never trained.

Why it matters: they keep the random weights that they were made with, and all that comes after has to work
    with noise. Freezing is for layers that have learned something.
How it decides: before the first step the weights of linear, convolutional or recurrent layers require no
    gradient, and have just the distribution that PyTorch makes layers with: uniform between -1 and 1 over
    the square root of the inputs, up to `edge` of that bound, with the deviation that belongs to it within
    `slack`. The same goes for embeddings of `table` values or more with deviation 1 and mean 0, and, where
    the program loaded no weights and nothing was trained before, for the usual initialisations of `drawn`
    values or more: normal or uniform around zero, with the deviation of He, Glorot or LeCun, or 0.01 or
    0.02. Layers with a trained one of the same shape and size of weights are left out (a target or teacher
    network), and adapters of low rank; so are those that had a gradient in the same step: two networks that
    are trained in turn are frozen in turn.
When it is wrong: random features and reservoirs on purpose.
What to do: set `requires_grad` back to True for these layers, or load their trained weights before freezing
    them.
Source: He et al. 2015 for `kaiming_uniform_(a=sqrt(5))`, the default of `torch.nn.Linear`; the numbers are
    ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Place,
    Severity,
    Window,
    covering_place,
    detector,
    event,
    facts_evidence,
    fires,
    named,
    silent,
    threshold,
)
from unbug.detect.fresh import is_drawn, is_fresh
from unbug.detect.wired import layers


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    edge: float = threshold(0.95, unit="of the bound", low=0.5, high=1.0, why="the largest of 64 and more")
    slack: float = threshold(0.1, unit="of the deviation", low=0.0, high=1.0, why="six times its noise")
    table: int = threshold(1000, unit="values", low=100, high=10**6, why="their deviation is 2 % sure")
    drawn: int = threshold(256, unit="weights", low=64, high=10**6, why="tells tails apart from trained ones")
    elements: int = threshold(64, unit="weights", low=8, high=10**6, why="fewer say little on a distribution")


@detector(
    "M112",
    "frozen-untrained-layers",
    chinese="冻结了未训练的层",
    diagnoses=("frozen-by-mistake",),
    reads=("grad.count",),
    events=("layers", "checkpoint"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = layers(window)
    weights = list((told.fields.get("weights") if told else None) or ())
    trained = [one for one in weights if one.get("trained")]
    unloaded = window.training.number <= 0 and not any(
        one.fields.get("action") == "loaded" for one in window.events("checkpoint")
    )
    frozen = [
        one
        for one in weights
        if one.get("requires_grad") is False
        and (_fresh(one, at) or (unloaded and is_drawn(one, elements=at.drawn)))
        and not _has_twin(one, trained)
    ]
    frozen = [one for one in frozen if not _adapted(one, trained)]
    until = max(told.step, 0) if told is not None else 0
    in_turn = {track.place for track in window.read("grad.count") if track.steps[0] <= until}
    frozen = [one for one in frozen if str(one["place"]) not in in_turn]
    if not frozen or not trained:
        return
    paths = [str(one["place"]) for one in frozen]
    place = covering_place(window, [str(one["layer"]) for one in frozen])
    yield Finding(
        place=place,
        message=Bilingual(
            f"{len(paths)} frozen weights have the random values that layers are made with: {named(paths)}",
            f"{len(paths)} 个权重在被冻结时仍是创建时的随机数值：{named(paths).zh}",
        ),
        advice=Bilingual(
            "set requires_grad back to True for them, or load trained weights before freezing",
            "把它们的 requires_grad 设回 True，或在冻结之前载入训练好的权重",
        ),
        steps=(0, 0),
        known_at=0,
        evidence=(
            facts_evidence(
                window,
                place,
                (0, 0),
                Bilingual("frozen weights", "冻结的权重"),
                weights={
                    str(one["place"]): {k: one[k] for k in ("fan_in", "std", "absmax")} for one in frozen[:20]
                },
            ),
        ),
    )


def _fresh(one: Mapping[str, Any], at: Thresholds) -> bool:
    return is_fresh(one, edge=at.edge, slack=at.slack, table=at.table, elements=at.elements)


def _has_twin(one: Mapping[str, Any], trained: list[Mapping[str, Any]]) -> bool:
    """Whether a trained weight has the same values, as far as their statistics tell: it was copied."""
    same = ("class", "elements", "fan_in", "std", "mean", "absmax")
    return any(all(one.get(name) == other.get(name) for name in same) for other in trained)


def _adapted(one: Mapping[str, Any], trained: list[Mapping[str, Any]]) -> bool:
    """Whether trained weights lie inside the layer, are called an adapter beside it, or are two beside it
    whose product has its shape and a lower rank."""
    layer = str(one["layer"])
    above = layer.rpartition(".")[0]
    near = [str(other["place"]) for other in trained]
    if any(path.startswith(f"{layer}.") for path in near):
        return True
    beside = [other for other in trained if str(other["layer"]).rpartition(".")[0] == above]
    direct = [path for path in near if above and path.startswith(f"{above}.")]
    if any("lora" in path.lower() or "adapter" in path.lower() for path in direct):
        return True
    sizes = [_sizes(other) for other in beside]
    inputs, outputs = _sizes(one)
    ranks = {first[1] for first in sizes if first[0] == inputs} & {
        second[0] for second in sizes if second[1] == outputs
    }
    return any(0 < rank < min(inputs, outputs) for rank in ranks)


def _sizes(one: Mapping[str, Any]) -> tuple[int, int]:
    """Inputs and outputs of a weight."""
    inputs = int(one.get("fan_in") or 0)
    return inputs, int(one.get("elements") or 0) // max(inputs, 1)


def _weight(place: str, std: float = 0.0722, absmax: float = 0.1249, **fields: Any) -> dict[str, Any]:
    given = {"place": f"{place}.weight", "layer": place, "class": "Linear", "elements": 2048, "fan_in": 64}
    return (
        given
        | {"std": std, "mean": 0.001, "absmax": absmax, "trained": False, "requires_grad": False}
        | fields
    )


def _told(*weights: dict[str, Any]) -> Event:
    return event("layers", weights=list(weights))


_HEAD = _weight("head", elements=320, std=0.07, trained=True, requires_grad=True)
CASES = (
    fires("a fresh layer", place="body", events=(_told(_weight("body"), _HEAD),)),
    silent("a trained one", events=(_told(_weight("body", std=0.09, absmax=0.31), _HEAD),)),
    fires(
        "drawn from a normal distribution, as transformers are made",
        place="body",
        events=(_told(_weight("body", std=0.02, absmax=0.072), _HEAD),),
    ),
    silent(
        "the same, but weights were loaded",
        events=(
            _told(_weight("body", std=0.02, absmax=0.072), _HEAD),
            event("checkpoint", step=-1, action="loaded", what="model"),
        ),
    ),
    silent("of no usual deviation", events=(_told(_weight("body", std=0.05, absmax=0.18), _HEAD),)),
    silent("heavier tails than are drawn", events=(_told(_weight("body", std=0.02, absmax=0.2), _HEAD),)),
    silent(
        "a target network",
        events=(_told(_weight("target"), _weight("online", trained=True, requires_grad=True)),),
    ),
    fires("an embedding", events=(_told(_weight("emb", 1.01, 3.6, **{"class": "Embedding"}), _HEAD),)),
    silent(
        "an embedding with its vectors",
        events=(_told(_weight("emb", 0.4, 2.9, **{"class": "Embedding"}), _HEAD),),
    ),
    silent(
        "an adapter beside it", events=(_told(_weight("fc"), _weight("fc.lora_a", trained=True, fan_in=8)),)
    ),
    silent(
        "a product of lower rank beside it",
        events=(
            _told(
                _weight("fc"),
                _weight("down", trained=True, elements=64 * 4),
                _weight("up", trained=True, fan_in=4, elements=4 * 32),
            ),
        ),
    ),
    silent(
        "frozen while the other network steps",
        places=(Place(path="body.weight", kind="parameter", shape=(32, 64), order=0),),
        events=(_told(_weight("body"), _HEAD),),
        grad__count={"body.weight": [2048.0]},
    ),
    silent("few weights", events=(_told(_weight("body", elements=63), _HEAD),)),
    silent("all are trained", events=(_told(_HEAD),)),
)

"""All that one part of the network tells the next passes through a single number.

Why it matters: a layer of one unit, a recurrent state of one number or a stack of convolutions with one
    channel leaves no room for what the inputs hold: no learning rate and no number of epochs help.
How it decides: a recurrent layer has a state of one unit; or a linear layer with several inputs gives one
    number, and the next weights take just one; or all hidden convolutions, two or more, with kernels larger
    than 1, give one channel. And at the end, after `rows` recorded steps or more, the training loss was
    still above `left` of what it was at the start.
When it is wrong: codes of one number on purpose; gates of 1x1 convolutions, blocks that are made alike,
    several networks that are trained in turn, and models whose loss falls nevertheless are left out.
What to do: widen the layer; 8 to 64 units are a start.
Source: Goodfellow et al. 2016, "Deep Learning", section 5.2, on capacity; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Place,
    Severity,
    Window,
    alternating,
    comparable_loss,
    detector,
    event,
    fires,
    silent,
    threshold,
)
from unbug.detect.wired import layers


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rows: int = threshold(30, unit="recorded steps", low=5, high=10**6, why="fewer do not show a trend")
    left: float = threshold(0.15, unit="of the first loss", low=0.0, high=1.0, why="with room less is left")


@detector(
    "M130",
    "single-number-bottleneck",
    chinese="单一数值瓶颈",
    diagnoses=("underfitting",),
    reads=("loss.value", "step.micro_steps"),
    events=("layers", "loop_order"),
    severity=Severity.WARNING,
    since="0.4",
    final=True,
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    loss = comparable_loss(window)
    if loss is None or len(loss) < at.rows or alternating(window):
        return
    values = loss.values[np.isfinite(loss.values)]
    if len(values) < at.rows or values.min() <= 0:
        return
    fifth = len(values) // 5
    start, end = float(np.median(values[:3])), float(np.median(values[-fifth:]))
    place = _recurrent(window) or _linear(window) or _convolutions(window)
    if not place or end < at.left * start:
        return
    yield Finding(
        place=place,
        message=Bilingual(
            f"all that {place} passes on is a single number, and the training loss only went from "
            f"{start:.4g} to {end:.4g}",
            f"{place} 只向后传递一个数值，训练损失只从 {start:.4g} 变为 {end:.4g}",
        ),
        advice=Bilingual("widen this layer, to 8 units or more", "加宽该层，至少 8 个单元"),
        evidence=(loss.evidence(mark=(), label=Bilingual("training loss", "训练损失")),),
    )


def _recurrent(window: Window) -> str:
    told = layers(window)
    every = (told.fields.get("layers") if told else None) or ()
    return next((str(one["place"]) for one in every if one.get("hidden_size") == 1), "")


def _weights(window: Window) -> list[Place]:
    return [one for one in window.places if one.kind == "parameter" and len(one.shape) >= 2]


def _alike(window: Window, first: str, second: str) -> bool:
    """Whether the two lie in different blocks of the same shapes, such as the couplings of a flow."""
    apart = next(
        (n for n, (a, b) in enumerate(zip(first.split("."), second.split("."), strict=False)) if a != b), 0
    )
    shapes = []
    for path in (first, second):
        block = ".".join(path.split(".")[: apart + 1])
        shapes.append([one.shape for one in _weights(window) if one.path.startswith(f"{block}.")])
    return len(shapes[0]) > 1 and shapes[0] == shapes[1]


def _linear(window: Window) -> str:
    for first, second in pairwise(one for one in _weights(window) if prod(one.shape) > 1):
        if len(first.shape) == len(second.shape) == 2 and first.path.endswith("weight"):
            narrow = first.shape[0] == 1 < first.shape[1] and second.shape[1] == 1 < second.shape[0]
            if narrow and second.path.endswith("weight") and not _alike(window, first.path, second.path):
                return first.path.rpartition(".")[0] or first.path
    return ""


def _convolutions(window: Window) -> str:
    hidden = [one for one in _weights(window)[:-1] if len(one.shape) >= 3 and prod(one.shape[2:]) > 1]
    if len(hidden) < 2 or any(one.shape[0] != 1 or one.shape[1] > 4 for one in hidden):
        return ""
    return hidden[-1].path.rpartition(".")[0] or hidden[-1].path


def _place(path: str, *shape: int, order: int) -> Place:
    return Place(path=f"{path}.weight", kind="parameter", shape=shape, order=order)


def _ends(end: float, rows: int = 40) -> dict[str, Any]:
    return {"loss__value": {"loss": [1.0] * (rows // 2) + [end] * (rows - rows // 2)}}


def _cell(size: int) -> Event:
    return event("layers", layers=[{"place": "rnn", "class": "GRU", "hidden_size": size}])


_CODE = (_place("enc", 1, 48, order=0), _place("dec", 48, 1, order=1))
_CONVS = (_place("a", 1, 1, 3, 3, order=0), _place("b", 1, 1, 3, 3, order=1), _place("fc", 3, 9, order=2))
CASES = (
    fires("a code of one number", place="enc", places=_CODE, **_ends(0.15)),
    fires("a recurrent state of one", place="rnn", events=(_cell(1),), **_ends(0.5)),
    fires("convolutions of one channel", place="b", places=_CONVS, **_ends(0.5)),
    silent("it learns nevertheless", places=_CODE, **_ends(0.149)),
    silent("two units", events=(_cell(2),), **_ends(0.5)),
    silent(
        "a gate",
        places=(_place("a", 1, 16, 1, 1, order=0), _place("b", 16, 1, 1, 1, order=1)),
        **_ends(0.9),
    ),
    silent(
        "a head of one output, and nothing after it",
        places=(_place("a", 8, 4, order=0), _place("b", 1, 8, order=1)),
        **_ends(0.9),
    ),
    silent(
        "couplings of a flow",
        places=(
            _place("0.a", 32, 1, order=0),
            _place("0.b", 1, 32, order=1),
            _place("1.a", 32, 1, order=2),
            _place("1.b", 1, 32, order=3),
        ),
        **_ends(0.9),
    ),
    silent("too short", places=_CODE, **_ends(0.9, rows=29)),
    silent(
        "two networks in turn", places=_CODE, events=(event("loop_order", order="ZFBSZFBs"),), **_ends(0.9)
    ),
)

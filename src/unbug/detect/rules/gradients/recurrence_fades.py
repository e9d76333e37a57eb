"""A plain recurrent layer forgets within a step: its recurrent weights pass hardly anything on.

Why it matters: what the state holds is multiplied by the recurrent weights at each time step. With a gain far
    below 1 neither the state nor its gradient reaches over more than a step or two: the network cannot learn
    what depends on earlier times.
How it decides: before the first step, the gain of the recurrent weights of an RNN without gates, their
    deviation times the root of the size of the state (about their spectral radius), is at most `gain`, and
    sequences are not single steps. Gated cells (LSTM, GRU) carry their state past these weights and are left
    out; so are weights that are zero, which other rules tell.
When it is wrong: states that are meant to be short, as in filters.
What to do: leave the default initialisation, or start from an orthogonal or identity matrix; use gated cells.
Source: Pascanu et al. 2013, arXiv:1211.5063, section 2; Le et al. 2015, arXiv:1504.00941, for the identity;
    the limit is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)
from unbug.detect.wired import layers, number


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    gain: float = threshold(0.1, unit="times", low=0.0, high=0.9, why="the default's is 0.58")
    states: int = threshold(4, unit="units", low=1, high=10_000, why="with few, a gain says little")


@detector(
    "G131",
    "recurrence-fades",
    chinese="循环权重过弱",
    diagnoses=("vanishing-gradient", "bad-init"),
    events=("layers",),
    severity=Severity.WARNING,
    since="0.4",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = layers(window)
    for one in (told.fields.get("weights") if told else None) or ():
        place, size = str(one.get("place")), int(one.get("fan_in") or 0)
        if one.get("class") not in ("RNN", "RNNCell") or "weight_hh" not in place or size < at.states:
            continue
        gain = number(one.get("std"), 0) * sqrt(size)
        if not one.get("trained") or not 0 < gain <= at.gain:
            continue
        yield Finding(
            place=place,
            message=Bilingual(
                f"the recurrent weights of {one.get('layer')} have a gain of {gain:.2g} (limit {at.gain:g}): "
                "nothing of the state is left after a step or two",
                f"{one.get('layer')} 的循环权重增益只有 {gain:.2g}（阈值 {at.gain:g}）："
                "一两步之后状态便所剩无几",
            ),
            advice=Bilingual(
                "leave the default initialisation, or start from an orthogonal matrix; use GRU or LSTM",
                "保留默认初始化，或用正交矩阵初始化；也可改用 GRU 或 LSTM",
            ),
            steps=(0, 0),
            known_at=0,
            evidence=(
                facts_evidence(
                    window,
                    place,
                    (0, 0),
                    Bilingual("recurrent weights", "循环权重"),
                    deviation=one.get("std"),
                    states=size,
                    gain=round(gain, 4),
                ),
            ),
        )


def _told(gain: float, kind: str = "RNN", size: int = 16, **fields: Any) -> Event:
    one = {
        "place": "rnn.weight_hh_l0", "layer": "rnn", "class": kind, "fan_in": size, "trained": True,
        "std": gain / sqrt(size),
    }  # fmt: skip
    return event("layers", weights=[one | fields])


CASES = (
    fires("just under the gain", place="rnn.weight_hh_l0", events=(_told(0.0999),)),
    silent("just above it", events=(_told(0.1001),)),
    silent("the default", events=(_told(0.58),)),
    silent("a gated cell", events=(_told(0.01, kind="GRU"),)),
    silent("zeros are told elsewhere", events=(_told(0.0),)),
    silent("frozen: a fixed filter", events=(_told(0.01, trained=False),)),
    silent("two units", events=(_told(0.01, size=2),)),
)

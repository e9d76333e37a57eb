"""One layer stands at several positions of a network.

Why it matters: `[layer] * 3` makes a list of three names for one layer. The network has a third of the
    weights that it seems to have, and all positions must do the same work.
How it decides: a container holds one module with weights under several numbers or names. It is a warning in
    a `Sequential`, where these run one after the other, and elsewhere if the graph shows that the same
    weights were applied to what they had given; else a note for numbers, and nothing for names.
When it is wrong: recurrent depth, as in a universal transformer, that is written as a list of one layer.
What to do: make a layer for each position: `[Layer() for _ in range(3)]`, or `copy.deepcopy`.
Source: Python documentation on `list * n` ("items are not copied"); PyTorch forum.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from unbug.detect.wired import layers, wirings


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    positions: int = threshold(2, unit="positions", low=2, high=1000, why="one is what a layer has")


@detector(
    "M111",
    "shared-layers",
    chinese="多个位置共用一层",
    diagnoses=("accidental-weight-sharing",),
    events=("layers", "wiring"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = layers(window)
    for one in (told.fields.get("repeated") if told else None) or ():
        names, place = [str(name) for name in one.get("names") or ()], str(one.get("place") or "")
        if len(names) < at.positions or not place:
            continue
        looks = wirings(window)
        if not one.get("sequential") and not looks:
            continue
        if not one.get("numbered", True) and (not looks or not _in_series(looks[0][1], place)):
            continue  # a second name for one part
        known = 0 if one.get("sequential") else looks[0][0]
        series = bool(one.get("sequential")) or _in_series(looks[0][1], place)
        yield Finding(
            place=place,
            message=Bilingual(
                f"{len(names)} positions of {one.get('container')} ({', '.join(names[:8])}) are one "
                f"{one.get('class')} with one set of weights",
                f"{one.get('container')} 的 {len(names)} 个位置（{', '.join(names[:8])}）是同一个 "
                f"{one.get('class')}，只有一套权重",
            ),
            advice=Bilingual(
                "make a layer for each position: [Layer() for _ in range(n)] in place of [layer] * n",
                "为每个位置各建一层：用 [Layer() for _ in range(n)] 代替 [layer] * n",
            ),
            severity=None if series else Severity.NOTE,
            steps=(0, known),
            known_at=known,
            evidence=(
                facts_evidence(
                    window,
                    place,
                    (0, known),
                    Bilingual("positions of one layer", "同一层的位置"),
                    **_facts(one),
                ),
            ),
        )


def _facts(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "place"}


def _in_series(look: Mapping[str, Any], place: str) -> bool:
    """Whether the graph shows that the layer was applied to its own results."""
    return any(
        one.get("in_series") and f"{one.get('path')}.".startswith(f"{place}.")
        for one in look.get("reused") or ()
    )


def _told(*names: str, sequential: bool = False, numbered: bool = True) -> Event:
    one = {"place": "blocks.0", "container": "blocks", "class": "Block", "names": list(names)}
    return event("layers", repeated=[one | {"sequential": sequential, "numbered": numbered}])


def _reused(series: bool) -> Event:
    return event("wiring", step=1, reused=[{"path": "blocks.0.fc", "uses": 3, "in_series": series}])


CASES = (
    fires(
        "in a Sequential",
        place="blocks.0",
        severity=Severity.WARNING,
        events=(_told("0", "1", sequential=True),),
    ),
    fires("a list that runs in series", severity=Severity.WARNING, events=(_told("0", "1"), _reused(True))),
    fires("heads side by side", severity=Severity.NOTE, events=(_told("0", "1"), _reused(False))),
    fires("two names, one after the other", events=(_told("b1", "b2", numbered=False), _reused(True))),
    silent("a second name", events=(_told("net", "model", numbered=False), _reused(False))),
    silent("a list that has not run yet", events=(_told("0", "1"),)),
    silent("one position", events=(_told("0"),)),
    silent("none", events=(event("layers", repeated=[]),)),
)

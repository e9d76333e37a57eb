"""The same input row comes with another target each time, or other rows come with the same targets.

Why it matters: inputs and targets of a batch are picked by different orders, so that rows get the answers of
    others; there is nothing to learn but how frequent each answer is.
How it decides: a probe at the end of the program follows each row through the kept batches. Of at least
    `again` rows that came again, `share` of what chance would make had another target than before. These
    targets, if they are one class or number each, were known from other rows (`known` of them); at least
    `rows` different rows came, each about equally often (variance at most `even` times the mean). Or in all
    of at least `batches` batches the targets were exactly those of the batch before, though no row was.
When it is wrong: targets that are drawn anew on purpose. Left out: targets computed from outputs (their
    values are new), states of a small world (they come unequally often), classes that are only renamed from
    batch to batch (episodes of few-shot learning; of two rows with one class `groups` or more keep one),
    batches of one target, contrastive losses, and losses that are not reduced.
What to do: pick inputs and targets with one index tensor; sort, shuffle and slice both or none.
Source: ours; the mechanism needs no statistics beyond chance.
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
    probed,
    silent,
    threshold,
)
from unbug.detect.dataline import data_line


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    again: int = threshold(20, unit="rows that came again", low=5, high=10**6, why="known to 0.1 or better")
    share: float = threshold(0.4, unit="of chance", low=0.1, high=1.0, why="labels in part: 0.1 and less")
    known: float = threshold(0.9, unit="of the targets", low=0.5, high=1.0, why="computed ones are new")
    rows: int = threshold(20, unit="different rows", low=5, high=10**6, why="fewer may be states, not data")
    even: float = threshold(
        1.5, unit="variance over mean", low=0.1, high=100, why="1 for rows drawn at random, words have 10"
    )
    batches: int = threshold(5, unit="pairs of batches", low=2, high=1000, why="not by chance even for bits")
    groups: float = threshold(
        0.5, unit="above chance", low=0.1, high=1.0, why="renamed classes have 1, other orders 0"
    )


@detector(
    "D130",
    "pairing-changes",
    chinese="输入与目标的配对不固定",
    diagnoses=("misaligned-labels",),
    events=("probe",),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "targets"):
        again, other = int(found.get("met_again") or 0), int(found.get("met_otherwise") or 0)
        if _same_targets(found, at):
            message = Bilingual(
                f"{found['batches_followed']} batches in a row had exactly the same targets in the same "
                "order, though none of their rows was the same",
                f"连续 {found['batches_followed']} 个批次的目标及其顺序完全相同，而输入行没有一个相同",
            )
        elif _changes(found, again, other, at):
            chance = 1 - float(found.get("pair_chance") or 0.0)
            message = Bilingual(
                f"of {again + other} input rows that came again, {other / (again + other):.0%} had the "
                f"target of another row than before (targets in any order: {chance:.0%})",
                f"再次出现的 {again + other} 个输入行中，{other / (again + other):.0%} 换成了其他行的目标"
                f"（完全打乱时为 {chance:.0%}）",
            )
        else:
            continue
        yield Finding(
            place="data",
            message=message,
            advice=Bilingual(
                "pick inputs and targets with one index tensor: sort, shuffle and slice both or none",
                "用同一个索引张量选取输入和目标：要么一起排序、打乱和切片，要么都不做",
            ),
            steps=(0, step),
            known_at=step,
            source=data_line(window, "target"),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("rows followed from batch to batch", "跨批次跟踪的输入行"),
                    **{name: found[name] for name in _SHOWN if found.get(name) is not None},
                ),
            ),
        )


_SHOWN = (
    "met_again", "met_otherwise", "target_known", "different_rows", "row_times", "row_times_spread",
    "pair_chance", "groups_kept", "same_targets", "batches_followed",
)  # fmt: skip


def _same_targets(found: Probed, at: Thresholds) -> bool:
    return (found.get("same_targets") or 0) == 1 and int(found.get("batches_followed") or 0) >= at.batches


def _changes(found: Probed, again: int, other: int, at: Thresholds) -> bool:
    spread, known, groups = (found.get(one) for one in ("row_times_spread", "target_known", "groups_kept"))
    chance = 1 - float(found.get("pair_chance") or 0.0)
    return bool(
        again + other >= at.again
        and int(found.get("different_rows") or 0) >= at.rows
        and spread is not None
        and spread <= at.even
        and known is not None
        and (known >= at.known or found.get("targets_are") == "classes")
        and (groups is None or groups < at.groups)
        and chance >= 0.1
        and other / (again + other) >= at.share * chance
    )


def _result(**fields: Any) -> Event:
    given: dict[str, Any] = {
        "possible": True, "met_again": 100, "met_otherwise": 500, "target_known": 1.0, "different_rows": 300,
        "row_times": 3.0, "row_times_spread": 0.3, "pair_chance": 0.1, "groups_kept": 0.02,
        "same_targets": 0.0, "batches_followed": 50,
    }  # fmt: skip
    return event("probe", step=99, probe="targets", **{**given, **fields})


CASES = (
    fires("rows get the labels of others", place="data", events=(_result(),)),
    fires("whole maps as targets", events=(_result(met_again=0, pair_chance=0.003, groups_kept=None),)),
    fires(
        "always the first labels of the data set",
        events=(_result(same_targets=1.0, batches_followed=5, met_again=0, met_otherwise=0),),
    ),
    silent("rows keep their labels", events=(_result(met_again=600, met_otherwise=0, target_known=None),)),
    silent("a tenth of the rows has two labels", events=(_result(met_again=540, met_otherwise=60),)),
    fires("sequences of tokens", events=(_result(target_known=0.1, targets_are="classes"),)),
    silent("targets computed from outputs", events=(_result(target_known=0.0),)),
    silent("states of a small world", events=(_result(different_rows=19),)),
    silent("words and what stands beside them", events=(_result(row_times_spread=10.0),)),
    silent("classes renamed in each episode", events=(_result(groups_kept=1.0),)),
    silent("few rows came again", events=(_result(met_again=2, met_otherwise=17),)),
    silent("the same targets now and then", events=(_result(met_otherwise=0, same_targets=0.8),)),
    silent("four batches", events=(_result(met_otherwise=0, same_targets=1.0, batches_followed=4),)),
    silent("not possible", events=(event("probe", probe="targets", possible=False, why_not="one batch"),)),
)

"""A large share of the training labels is wrong at random.

Why it matters: the model learns them by heart in the end; before that, they slow everything down, and the
    measured quality is bounded by them.
How it decides: a probe at the end of the program compares labels of nearest neighbours, where they agree
    better than chance but badly. Either the evaluation's agree by `cleaner` more, its examples lying as far
    apart as those of training; or neighbourhoods of ten have their share of strangers as evenly as random
    ones have (pure ones at most `pure` times as often), spread over all classes alike (`evenness` of the
    largest entropy), and the model is no better on the evaluation than the neighbours' vote.
When it is wrong: several losses mixed on one batch are left out, but labels mixed by hand look so, too.
What to do: look at examples whose neighbours all have another label; correct or drop them; use a loss that
    bears noise, and stop early.
Source: Northcutt et al. 2021, "Confident Learning", arXiv:1911.00068, for what noise does to counts of
    classes; all numbers are ours.
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


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    cleaner: float = threshold(
        0.2, unit="fraction", low=0.05, high=1.0, why="twice what sampling makes of it"
    )
    rows: int = threshold(150, unit="examples", low=50, high=100_000, why="shares are known to 0.05")
    dissent: float = threshold(
        0.2, unit="fraction of neighbours", low=0.05, high=0.9, why="below that hard classes look alike"
    )
    pure: float = threshold(
        1.3, unit="times the random share", low=1.0, high=10.0, why="classes that overlap have 2 and more"
    )
    evenness: float = threshold(
        0.95, unit="fraction of the largest entropy", low=0.5, high=1.0, why="confusions favour some classes"
    )
    classes: int = threshold(4, unit="classes", low=3, high=1000, why="of fewer, evenness says too little")


@detector(
    "D121",
    "noisy-labels",
    chinese="标签含噪",
    diagnoses=("label-noise",),
    events=("probe",),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "labels"):
        chance, agreement = found.get("chance"), found.get("agreement")
        if chance is None or agreement is None or int(found.get("rows") or 0) < at.rows:
            continue
        if (found.get("pure_batches") or 0) > 0.5 or agreement < chance + 0.1 * (1 - chance):
            continue
        cleaner = _cleaner_evaluation(found, at)
        if not cleaner and not _even_strangers(found, at):
            continue
        against = (
            Bilingual(
                f", in the evaluation in {found['evaluated_agreement']:.0%}",
                f"，而评估集为 {found['evaluated_agreement']:.0%}",
            )
            if cleaner
            else Bilingual(", with strangers of all classes everywhere", "，且各处都混有各类的异类标签")
        )
        yield Finding(
            place="data",
            message=Bilingual(
                f"many training labels look wrong: nearest neighbours agree in {agreement:.0%}",
                f"许多训练标签看来有误：最近邻标签一致的仅占 {agreement:.0%}",
            )
            + against,
            advice=Bilingual(
                "look at examples whose neighbours all have another label; correct or drop them",
                "查看邻居标签全都不同的样本；改正或删去它们",
            ),
            steps=(0, step),
            known_at=step,
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("labels of nearest neighbours", "最近邻的标签"),
                    **{name: found[name] for name in _SHOWN if found.get(name) is not None},
                ),
            ),
        )


_SHOWN = (
    "rows", "classes", "chance", "agreement", "vote", "dissent", "dissent_evenness", "pure_share",
    "pure_expected", "evaluated_rows", "evaluated_agreement", "evaluated_model_accuracy",
)  # fmt: skip


def _cleaner_evaluation(found: Probed, at: Thresholds) -> bool:
    clean, apart = found.get("evaluated_agreement"), found.get("evaluated_apart")
    if clean is None or not apart or not found.get("apart") or int(found.get("evaluated_rows") or 0) < 60:
        return False
    alike = 0.7 <= found["apart"] / apart <= 1.3
    across = found.get("evaluated_by_training")
    dirty = across is not None and across <= clean - at.cleaner
    return bool(alike and dirty and clean - found["agreement"] >= at.cleaner)


def _even_strangers(found: Probed, at: Thresholds) -> bool:
    evenness, accuracy = found.get("dissent_evenness"), found.get("evaluated_model_accuracy")
    if evenness is None or accuracy is None or int(found.get("classes") or 0) < at.classes:
        return False
    return bool(
        found["dissent"] >= at.dissent
        and found["pure_share"] <= at.pure * found["pure_expected"] + 0.01
        and evenness >= at.evenness
        and found["vote"] >= found["chance"] + 0.3
        and accuracy <= found["vote"] + 0.03
    )


def _result(agreement: float, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "possible": True, "rows": 500, "classes": 10, "chance": 0.1, "agreement": agreement, "vote": 0.6,
        "dissent": 0.4, "dissent_evenness": 0.98, "pure_share": 0.006, "pure_expected": 0.006, "apart": 4.0,
        "pure_batches": 0.0, "evaluated_rows": 200, "evaluated_agreement": agreement, "evaluated_apart": 4.4,
        "evaluated_by_training": agreement, "evaluated_model_accuracy": 0.6,
    }  # fmt: skip
    return event("probe", step=99, probe="labels", **{**given, **fields})


_CLEAN: dict[str, Any] = {"evaluated_agreement": 0.95, "evaluated_by_training": 0.6}
CASES = (
    fires("the evaluation is clean", events=(_result(0.4, evaluated_model_accuracy=0.9, **_CLEAN),)),
    fires("both are noisy, evenly", events=(_result(0.4),)),
    silent("neighbours agree", events=(_result(0.95, dissent=0.05, vote=0.97, pure_share=0.7),)),
    silent("classes that overlap: some neighbourhoods are pure", events=(_result(0.4, pure_share=0.2),)),
    silent("confusions of some pairs of classes", events=(_result(0.4, dissent_evenness=0.6),)),
    silent("the model knows better than neighbours", events=(_result(0.4, evaluated_model_accuracy=0.9),)),
    silent("at chance: misaligned, not noisy", events=(_result(0.1, **_CLEAN),)),
    silent(
        "augmented training examples lie further apart",
        events=(_result(0.4, apart=9.0, evaluated_model_accuracy=0.9, **_CLEAN),),
    ),
    silent("two classes only", events=(_result(0.6, classes=2, chance=0.5),)),
    silent("too few examples", events=(_result(0.4, rows=149),)),
    silent("no evaluation", events=(_result(0.4, evaluated_agreement=None, evaluated_model_accuracy=None),)),
)

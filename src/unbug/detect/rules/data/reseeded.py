"""A generator gets the same seeds again and again while the model trains, so chance repeats itself.

Why it matters: shuffling, augmentation and dropout are the same in each epoch; the model sees fewer different
    examples than it seems, and learns their order and noise.
How it decides: a loader that shuffles gave batches in an order that it had given before in every one of at
    least `pairs` cases; or while training, a generator was seeded at least `times` times per different seed,
    with at least `seeds` seeds. One seed set again now and then is a note, unless the order repeats.
When it is wrong: a seed set for a reproducible evaluation; that restarts the training's chance too, hence the
    note.
What to do: seed once, in front of the loop; give evaluations a generator of their own.
Source: PyTorch documentation, "Reproducibility"; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Source,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)
from unbug.detect.dataline import loader_line
from unbug.detect.given import told_at


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    pairs: int = threshold(4, unit="pairs of batches", low=2, high=10_000, why="none is alike by chance")
    times: float = threshold(3.0, unit="times a seed", low=2, high=1000, why="three epochs alike")
    seeds: int = threshold(8, unit="seeds", low=2, high=4096, why="one for each example or batch")


@detector(
    "D103",
    "same-chance-each-epoch",
    chinese="每轮的随机性相同",
    diagnoses=("repeated-batch",),
    events=("sampling", "loader", "reseeded"),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    seeded = list(window.events("reseeded"))
    order = _same_order(window, at)
    if order is not None:
        step, pairs = order
        where = next((told_at(one.fields) for one in seeded if one.step <= step), None)
        yield _finding(
            window,
            step,
            Bilingual(
                f"the loader shuffles, yet {pairs} of {pairs} batches that came again were followed by "
                "the same "
                "batch as before: each epoch has the same order",
                f"加载器设置了打乱，但再次出现的 {pairs} 个批次中有 {pairs} 个之后跟着与之前相同的批次："
                "每轮顺序都一样",
            ),
            where or loader_line(window),
            severity=Severity.WARNING,
            pairs=pairs,
        )
    for one in seeded:
        times, seeds = int(one.fields.get("times") or 0), int(one.fields.get("seeds") or 1)
        if times < at.times * seeds or int(one.fields.get("steps") or 0) < 2:
            continue
        many = seeds >= at.seeds
        name = str(one.fields.get("generator") or "")
        yield _finding(
            window,
            max(one.step, 0),
            Bilingual(
                f"while training, the generator of {name} was seeded {times} times with {seeds} "
                "different seeds",
                f"训练过程中，{name} 的随机数生成器被设置种子 {times} 次，只有 {seeds} 个不同的种子",
            ),
            told_at(one.fields),
            severity=Severity.WARNING if many else Severity.NOTE,
            times=times,
            seeds=seeds,
        )
        return


def _finding(
    window: Window, step: int, message: str, source: Source | None, *, severity: Severity, **facts: int
) -> Finding:
    return Finding(
        place="data",
        message=message,
        advice=Bilingual(
            "set seeds once, in front of the training loop, and give an evaluation a generator of its own",
            "只在训练循环之前设置一次种子，评估使用单独的生成器",
        ),
        severity=severity,
        steps=(0, step),
        known_at=step,
        source=source,
        evidence=(
            facts_evidence(window, "data", (0, step), Bilingual("what repeated", "重复的内容"), **facts),
        ),
    )


def _same_order(window: Window, at: Thresholds) -> tuple[int, int] | None:
    shuffled = {one.fields.get("data") for one in window.events("loader") if one.fields.get("shuffle")}
    for seen in window.events("sampling"):
        for one in seen.fields.get("streams") or ():
            pairs = int(one.get("pairs_again") or 0)
            same = one.get("same_order_share") == 1.0 and one.get("grad") and one.get("source") == "loader"
            if (
                same
                and pairs >= at.pairs
                and one.get("data") in shuffled
                and one.get("distinct_batches", 9) > 2
            ):
                return max(seen.step, 0), pairs
    return None


def _order(share: float, pairs: int) -> Event:
    stream = {"source": "loader", "data": 0, "grad": True, "pairs_again": pairs, "same_order_share": share}
    return event("sampling", step=30, streams=[stream])


def _seeded(times: int, seeds: int, steps: int = 20) -> Event:
    return event("reseeded", step=30, generator="torch", times=times, seeds=seeds, steps=steps)


_SHUFFLES = event("loader", grad=True, data=0, shuffle=True)
CASES = (
    fires("a shuffled order that repeats", place="data", events=(_SHUFFLES, _order(1.0, 4))),
    fires("a seed for each example", severity=Severity.WARNING, events=(_seeded(24, 8),)),
    fires("one seed in each epoch", severity=Severity.NOTE, events=(_seeded(5, 1),)),
    silent("not shuffled", events=(event("loader", grad=True, data=0, shuffle=False), _order(1.0, 50))),
    silent("an order that repeats once by chance", events=(_SHUFFLES, _order(0.25, 4))),
    silent("too few pairs", events=(_SHUFFLES, _order(1.0, 3))),
    silent("a new seed in each epoch", events=(_seeded(10, 10),)),
    silent("seeds of several runs, before training", events=(_seeded(10, 1, steps=1),)),
)

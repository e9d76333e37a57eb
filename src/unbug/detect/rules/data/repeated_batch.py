"""Every step trains on the same few examples of a larger data set.

Why it matters: the model learns these examples by heart and sees nothing of the rest; the loss looks
    excellent.
How it decides: over at least `batches` recorded training batches the loader gave only rows that it had given
    before, at most a `part` of its data set in all, and each at least `batches` times. Without a loader: each
    batch is the same rows, and they are a slice of a tensor that is `slice` times as long; or the program
    makes it anew at each of at least `batches` recorded steps out of a table or a list in one of its
    variables that holds `slice` times as many, and no variable keeps just these rows. An input that changes
    by noise is seen by the variable that holds it without the noise. Batches in which all rows are alike are
    another fault.
When it is wrong: overfitting one batch on purpose, to test a model.
What to do: iterate over the loader (`for batch in loader`) in place of `next(iter(loader))`, and draw the
    indices of a batch inside the loop.
Source: Karpathy 2019, "A Recipe for Training Neural Networks", on what loss curves hide; numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Phase,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    loss_sites,
    silent,
    threshold,
)
from unbug.detect.dataline import loader_line
from unbug.detect.given import given


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    batches: int = threshold(
        10, unit="recorded batches", low=3, high=10_000, why="epochs of so few examples are rare"
    )
    part: float = threshold(
        0.25, unit="of the data set", low=0.01, high=0.9, why="splits by sampler keep more"
    )
    slice: float = threshold(4.0, unit="times", low=1.5, high=1000, why="a training split is longer")


@detector(
    "D102",
    "repeated-batch",
    chinese="批次总是相同",
    diagnoses=("repeated-batch",),
    events=("sampling", "loader", "given", "repeated", "loss_call"),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.93,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    found = _of_loader(window, at) or _of_variables(window, at) or _of_slice(window, at)
    if found is None:
        return
    step, rows, whole, times, error = found
    sites = loss_sites(window, phase=Phase.TRAIN)
    yield Finding(
        place="data",
        message=Bilingual(
            f"all {times} recorded training batches are made of the same {rows} examples, of {whole} that "
            "there are",
            f"全部 {times} 个记录的训练批次都由相同的 {rows} 个样本组成，而数据共有 {whole} 个",
        ),
        advice=Bilingual(
            "take each batch from one pass over the loader (for batch in loader), or draw its indices "
            "anew in "
            "every step",
            "在一次遍历中依次取批次（for batch in loader），或在每一步重新抽取索引",
        ),
        severity=None if error else Severity.WARNING,
        confidence=None if error else 0.85,
        steps=(0, step),
        known_at=step,
        source=(loader_line(window) if error else None) or (sites[0].source if sites else None),
        evidence=(
            facts_evidence(
                window,
                "data",
                (0, step),
                Bilingual("examples given to the model", "提供给模型的样本"),
                batches=times,
                distinct_rows=rows,
                examples=whole,
            ),
        ),
    )


def _of_loader(window: Window, at: Thresholds) -> tuple[int, int, int, int, bool] | None:
    sizes: dict[object, int] = {}
    for seen in window.events("loader"):
        if seen.fields.get("grad") and isinstance(seen.fields.get("examples"), int):
            sizes[seen.fields.get("data")] = int(seen.fields["examples"])
    for seen in window.events("sampling"):
        for one in seen.fields.get("streams") or ():
            whole = sizes.get(one.get("data"))
            if one.get("source") != "loader" or not one.get("grad") or not whole:
                continue
            rows, looked = int(one.get("distinct_rows") or 0), int(one.get("batches_looked_at") or 0)
            again = rows and int(one.get("rows_looked_at") or 0) >= at.batches * rows
            if again and looked >= at.batches and rows <= at.part * whole:
                return max(seen.step, 0), rows, whole, looked, True
    return None


def _of_slice(window: Window, at: Thresholds) -> tuple[int, int, int, int, bool] | None:
    for step, fields in given(window, "train"):
        rows, looked = int(fields.get("distinct_rows") or 0), int(fields.get("batches_looked_at") or 0)
        whole = int(fields.get("storage_rows") or 0)
        if int(fields.get("batches_of_one_row") or 0) >= looked > 0:
            continue
        same = rows > 1 and int(fields.get("rows_looked_at") or 0) == looked * rows
        if same and looked >= 2 * at.batches and whole >= at.slice * rows and rows <= 256:
            return step, rows, whole, looked, False
    return None


def _of_variables(window: Window, at: Thresholds) -> tuple[int, int, int, int, bool] | None:
    for seen in window.events("repeated"):
        fields = seen.fields
        rows, whole = int(fields.get("rows") or 0), int(fields.get("whole") or 0)
        looked, fresh = int(fields.get("looked_at") or 0), int(fields.get("fresh") or 0)
        if fields.get("held") or looked < at.batches or fresh < looked - 1 or whole < at.slice * rows:
            continue
        return max(seen.step, 0), rows, whole, looked, False
    return None


def _repeated(**fields: Any) -> Event:
    told: dict[str, Any] = {
        "rows": 32,
        "looked_at": 20,
        "fresh": 19,
        "whole": 1400,
        "held": False,
        "set": "x",
        "variable": "",
    }
    return event("repeated", step=20, **(told | fields))


def _sampling(rows: int, looked: int, *, step: int = 20) -> Event:
    stream = {
        "source": "loader",
        "data": 0,
        "grad": True,
        "batches_looked_at": looked,
        "rows_looked_at": 32 * looked,
        "distinct_rows": rows,
    }
    return event("sampling", step=step, streams=[stream])


_LOADER = event("loader", grad=True, data=0, examples=1000)
CASES = (
    fires("the first batch each time", place="data", events=(_LOADER, _sampling(32, 10))),
    fires(
        "a slice of the tensor",
        place="data",
        severity=Severity.WARNING,
        events=(
            event(
                "given",
                step=20,
                phase=Phase.TRAIN,
                batches_looked_at=20,
                rows_looked_at=640,
                distinct_rows=32,
                storage_rows=1437,
            ),
        ),
    ),
    fires("picked anew out of a table", severity=Severity.WARNING, events=(_repeated(),)),
    fires("a hidden batch behind noise", events=(_repeated(variable="clean"),)),
    silent("a few examples that a variable keeps", events=(_repeated(held=True),)),
    silent("the same object at each step", events=(_repeated(fresh=0),)),
    silent("most of what there is", events=(_repeated(rows=400),)),
    silent("one batch short", events=(_LOADER, _sampling(32, 9))),
    silent(
        "the whole data set is one batch",
        events=(event("loader", grad=True, data=0, examples=32), _sampling(32, 50)),
    ),
    silent("many batches", events=(_LOADER, _sampling(320, 10))),
    silent("a part of the data set, by a sampler", events=(_LOADER, _sampling(300, 200))),
    silent(
        "full-batch training on the training part of a tensor",
        events=(
            event(
                "given",
                step=50,
                phase=Phase.TRAIN,
                batches_looked_at=50,
                rows_looked_at=50 * 80,
                distinct_rows=80,
                storage_rows=100,
            ),
        ),
    ),
)

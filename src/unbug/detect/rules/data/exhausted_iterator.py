"""Training data ran out after the first pass: later epochs make no step.

Why it matters: the program counts epochs, evaluates and prints, but the model stays as it was.
How it decides: a loader was asked for an epoch and gave no batch, `times` times, after it had given batches;
    or half of the steps after one, `idle` at least, came without any forward or backward pass; or the
    training saw each example once, and then all batches of an evaluation came `passes` times at the last step
    with nothing learned in between, no evaluation having been made at another step.
When it is wrong: a single pass over the data, followed by many evaluations of the same examples.
What to do: make the iterator anew in each epoch: iterate over the loader or the list, not over
    `iter(loader)`, `zip`, `map` or a generator that was made once.
Source: Python documentation, "Iterator Types": once exhausted, an iterator stays so. The numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
from unbug.detect.given import given
from unbug.detect.setup import program_line


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    times: int = threshold(2, unit="epochs without a batch", low=1, high=1000, why="one may be a last check")
    idle: int = threshold(10, unit="steps", low=2, high=10**6, why="a few may come from another loop")
    passes: int = threshold(4, unit="evaluations at one step", low=3, high=1000, why="a few are usual")


@detector(
    "D104",
    "exhausted-iterator",
    chinese="迭代器已耗尽",
    diagnoses=("exhausted-iterator",),
    events=("exhausted", "given", "loss_call", "loop_order"),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for one in window.events("exhausted"):
        times = int(one.fields.get("times") or 0)
        if times < at.times or not one.fields.get("gave_before"):
            continue
        step = max(one.step, 0)
        what = Bilingual("training", "训练") if one.fields.get("grad") else Bilingual("evaluation", "评估")
        yield _finding(
            window,
            step,
            Bilingual(
                f"a loader gave no batch in {times} passes after it had given all: {what} goes on "
                "without data",
                f"加载器在给出全部数据之后的 {times} 轮中没有给出任何批次：{what.zh}在没有数据的情况下继续",
            ),
            severity=None,
            passes=times,
        )
        return
    for seen in window.events("loop_order"):
        word, count = str(seen.fields.get("order") or ""), int(seen.fields.get("count") or 0)
        if "S" in word and not set(word) & {"F", "B", "("} and count >= at.idle:
            first = int(seen.fields.get("first_step") or 0)
            if first == 0 or 2 * count < window.steps - first:
                continue
            yield _finding(
                window,
                first,
                Bilingual(
                    f"from step {first} on, {count} steps were made without any forward or backward pass: "
                    "nothing came to train on",
                    f"自第 {first} 步起，有 {count} 步没有任何前向或反向传播：没有数据可供训练",
                ),
                severity=None,
                passes=count,
            )
            return
    if not window.ended:
        return
    trained, evaluated = given(window, "train"), given(window, "eval")
    if not trained or not evaluated:
        return
    once, last = trained[-1][1], evaluated[-1][1]
    rows, distinct = int(once.get("rows_looked_at") or 0), int(once.get("distinct_rows") or 0)
    passes = int(last.get("passes_at_one_step") or 0)
    whole = once.get("batches") == once.get("batches_looked_at") and not once.get("distinct_rows_capped")
    if not whole or rows != distinct or not rows or passes < at.passes:
        return
    if int(last.get("steps_evaluated_at") or 0) != 1 or int(once.get("batches") or 0) < 3:
        return
    yield _finding(
        window,
        max(window.steps - 1, 0),
        Bilingual(
            f"each of {rows} training examples was seen once; then {passes} evaluations of the same examples "
            "followed with no step in between",
            f"{rows} 个训练样本各只出现一次；随后对相同样本评估了 {passes} 次，其间没有任何训练步",
        ),
        severity=Severity.WARNING,
        passes=passes,
    )


def _finding(window: Window, step: int, message: str, *, severity: Severity | None, passes: int) -> Finding:
    sites = loss_sites(window, phase=Phase.TRAIN)
    return Finding(
        place="data",
        message=message,
        advice=Bilingual(
            "make the iterator anew in each epoch: loop over the loader or a list, not over an iterator "
            "made once",
            "每一轮都重新创建迭代器：直接遍历加载器或列表，而不是只创建一次的迭代器",
        ),
        severity=severity,
        confidence=0.75 if severity is Severity.WARNING else None,
        steps=(step, step),
        known_at=step,
        source=program_line(window, r"=\s*(iter|zip|map|islice|cycle|chain)\(|=\s*\(.*\bfor\b.*\bin\b.*\)")
        or (sites[0].source if sites else None),
        evidence=(
            facts_evidence(
                window,
                "data",
                (step, step),
                Bilingual("passes without a step", "没有训练步的轮次"),
                passes=passes,
            ),
        ),
    )


def _empty(times: int, *, grad: bool = True, gave: bool = True) -> Event:
    return event("exhausted", step=12, times=times, grad=grad, gave_before=gave)


def _sides(rows: int, distinct: int, passes: int, steps: int) -> tuple[Event, ...]:
    return (
        event(
            "given", step=12, batches=13, batches_looked_at=13, rows_looked_at=rows, distinct_rows=distinct,
            distinct_rows_capped=False,
        ),
        event("given", step=12, phase=Phase.EVAL, passes_at_one_step=passes, steps_evaluated_at=steps),
    )  # fmt: skip


CASES = (
    fires("two empty epochs", place="data", severity=Severity.ERROR, events=(_empty(2),)),
    fires("an evaluation over nothing", events=(_empty(5, grad=False),)),
    fires("a generator made once", severity=Severity.WARNING, events=_sides(400, 400, 4, 1)),
    fires(
        "steps without data",
        severity=Severity.ERROR,
        events=(event("loop_order", step=99, order="ZS", count=60, first_step=20),),
    ),
    silent(
        "steps without data, seldom",
        events=(event("loop_order", step=99, order="ZS", count=9, first_step=20),),
    ),
    silent("steps whose passes were not seen", events=(event("loop_order", step=99, order="ZS", count=99),)),
    silent("one empty pass", events=(_empty(1),)),
    silent("a loader that is empty from the start", events=(_empty(5, gave=False),)),
    silent("several epochs", events=_sides(800, 400, 8, 1)),
    silent("evaluations at several steps", events=_sides(400, 400, 8, 3)),
    silent("a few evaluations after one pass", events=_sides(400, 400, 3, 1)),
    silent("the run goes on", ended=False, events=_sides(400, 400, 8, 1)),
)

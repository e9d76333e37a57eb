"""The program keeps the graphs of earlier steps alive.

Why it matters: each graph holds the activations of its step, so that memory grows with every step until
    there is none; and `backward` through a growing sum takes longer and longer.
How it decides: memory grew, and nodes of autograd graphs that were made before an earlier look are still
    alive: at least `nodes` of them, in `looks` looks in a row, each time `growth` times as many as before
    (or more than were counted). A program that keeps one graph on purpose keeps a fixed number.
When it is wrong: an unrolled optimisation that differentiates through all its steps.
What to do: keep numbers, not tensors with a history: `loss.item()`, `output.detach()`; leave
    `retain_graph=True` out.
Source: PyTorch FAQ, "My model reports CUDA out of memory"; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    nodes: int = threshold(20, unit="nodes", low=1, high=10**6, why="a kept constant has a few")
    growth: float = threshold(
        1.3, unit="times", low=1.01, high=100.0, why="looks are twice as far apart each"
    )
    looks: int = threshold(2, unit="looks", low=2, high=100, why="one look shows no growth")


@detector(
    "R104",
    "kept-graphs",
    chinese="旧计算图未释放",
    diagnoses=("memory-leak",),
    events=("graphs",),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    in_a_row: list[Event] = []
    for seen in window.events("graphs"):
        nodes = int(seen.fields.get("old_nodes") or 0)
        before = int(in_a_row[-1].fields["old_nodes"]) if in_a_row else 0
        grew = nodes >= max(at.nodes, at.growth * before) or bool(
            seen.fields.get("more") and nodes >= at.nodes
        )
        in_a_row = [*in_a_row, seen] if grew else []
        if len(in_a_row) < at.looks:
            continue
        first, fields = in_a_row[0], seen.fields
        since, earlier = int(fields.get("since") or 0), int(first.fields["old_nodes"])
        start, now = (int(fields.get(name) or 0) / 1e6 for name in ("used_start_bytes", "used_bytes"))
        holder, line = str(fields.get("holder") or ""), int(fields.get("line") or 0)
        by = Bilingual(f"; {holder} holds them", f"；由 {holder} 持有") if holder else Bilingual()
        yield Finding(
            place="loop",
            message=Bilingual(
                f"graphs of earlier steps are kept: {nodes:,} operations from before step {since} are alive "
                f"at step {seen.step} ({earlier:,} such at step {first.step}), and memory "
                f"grew from {start:,.0f} to {now:,.0f} MB",
                f"先前步的计算图未被释放：第 {since} 步之前的 {nodes:,} 个运算在第 {seen.step} 步仍然存在"
                f"（第 {first.step} 步时为 {earlier:,} 个），"
                f"内存从 {start:,.0f} MB 增长到 {now:,.0f} MB",
            )
            + by,
            advice=Bilingual(
                "keep numbers instead of tensors with a history: loss.item() or output.detach(); leave out "
                "retain_graph=True",
                "保存数值而不是带历史的张量：loss.item() 或 output.detach()；去掉 retain_graph=True",
            ),
            steps=(first.step, seen.step),
            known_at=seen.step,
            source=Source(file=str(fields.get("file")), line=line) if line else None,
            evidence=(
                facts_evidence(
                    window,
                    "loop",
                    (first.step, seen.step),
                    Bilingual("graphs that are kept", "被持有的计算图"),
                    looked_at_step=[one.step for one in in_a_row],
                    old_nodes=[one.fields["old_nodes"] for one in in_a_row],
                    memory_mb=[round(int(one.fields.get("used_bytes") or 0) / 1e6) for one in in_a_row],
                    holder=holder or None,
                ),
            ),
        )
        return


def _look(step: int, nodes: int, **fields: Any) -> Event:
    given = {"since": step // 2, "used_bytes": 10**6 * step, "used_start_bytes": 10**6, "more": False}
    return event("graphs", step=step, old_nodes=nodes, **given | fields)


CASES = (
    fires("exactly at the limits", place="loop", events=(_look(20, 20), _look(50, 26))),
    fires("more than were counted", events=(_look(20, 9000, more=True), _look(50, 9000, more=True))),
    fires(
        "the variable is known", events=(_look(20, 20), _look(50, 50, holder="history", file="t.py", line=9))
    ),
    silent("too few", events=(_look(20, 19), _look(50, 19), _look(100, 19))),
    silent("a fixed number is kept", events=(_look(20, 500), _look(50, 500), _look(100, 500))),
    silent("one look", events=(_look(20, 500),)),
    silent("freed in between", events=(_look(20, 500), _look(50, 0), _look(100, 500))),
)

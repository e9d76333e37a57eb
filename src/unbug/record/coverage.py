"""What was recorded how often, what it cost, and what could not be seen."""

from __future__ import annotations

from typing import Any

from unbug.record.core import Core
from unbug.record.cost import interval

__all__ = ["coverage_of"]


def coverage_of(core: Core, compiled: list[str], sites_left_out: int, gradient_calls: int) -> dict[str, Any]:
    """The fields of the `coverage` event, in words and numbers."""
    trainings = []
    not_seen: dict[str, int] = dict(core.unseen.most_common(50))
    for watched in core.watched.values():
        looks = watched.looks
        trainings.append(
            {
                "training": watched.training.number,
                "steps": watched.training.steps,
                "steps_counted_by": watched.training.counted_by,
                "looks": dict(looks.taken) if looks is not None else {},
                "parameters": len(looks.parameters) if looks is not None else 0,
                "modules": len(looks.modules) if looks is not None else 0,
                "parameters_outside_modules": watched.missing,
            }
        )
    notes = []
    if compiled:
        notes.append(f"inside {len(compiled)} compiled module(s) or function(s) only the root can be seen")
    if gradient_calls:
        notes.append(
            f"torch.autograd.grad was called {gradient_calls} times; its gradients are not looked at"
        )
    if sites_left_out:
        notes.append(f"{sites_left_out} calls of losses at more call sites than are followed")
    if core.rows.shed:
        notes.append(f"{core.rows.shed} rows dropped while a device had not delivered them")
    counted_by = {one.counted_by for one in core.trainings.all if one.steps and not one.optimizers}
    if (
        counted_by
        and not core.trainings.optimizers_alive()
        and not any(one.optimizers for one in core.trainings.all)
    ):
        notes.append(
            f"no optimizer was seen: steps are counted by calls of {' and '.join(sorted(counted_by))}"
        )
    if core.slept:
        notes.append(
            f"{core.slept} steps were too short to be watched within the budget: "
            "of these only loss, time and learning rate are kept"
        )
    budget = core.budget
    total = sum(core.step_ns)
    measured = interval(core.blocks.ratios, core.random)
    return {
        "budget": budget.share,
        "spent_on_looks": budget.factor,
        "full_steps": budget.fulls,
        "dear_looks": budget.dear_taken,
        "trainings": trainings,
        "accounted_s": core.spent / 1e9,
        "accounted_share": core.spent / total if total else None,
        "setup_s": core.setup_ns / 1e9,
        "measured_cost": None
        if measured is None
        else {
            "ratio": measured[0],
            "low": measured[1],
            "high": measured[2],
            "pairs": len(core.blocks.ratios),
            "steps_unwatched": core.blocks.steps_unwatched,
        },
        "not_seen": not_seen,
        "notes": notes,
    }

"""Forward passes of a training that nothing came of: the `untrained` event, told at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbug.record.core import Core

__all__ = ["tell_untrained", "untrained"]

_FEWEST = 10


def tell_untrained(core: Core) -> None:
    """Write the event, if there is one."""
    found = untrained(core)
    if found is not None:
        number, fields = found
        core.event("untrained", fields, training=number, step=max(fields["steps"] - 1, -1))


def untrained(core: Core) -> tuple[int, dict[str, Any]] | None:
    """The training (-1 without any) and the fields of the event; None where all is as it should be.

    Only passes with grad mode on, in training mode, of modules with parameters count.
    """
    trainings = core.trainings
    if not trainings.made or core.slept:
        return None
    if not trainings.all:
        passes = sum(root.forwards.get((True, True), 0) for root in core.roots.alive() if root.parameters)
        return (-1, {"forwards": passes, "steps": 0}) if passes >= _FEWEST else None
    last = trainings.all[-1]
    passes = trainings.now - max(one.last_step for one in trainings.all)
    if passes < _FEWEST or last.counted_by != "optimizer.step":
        return None
    return last.number, {"forwards": passes, "steps": last.steps}

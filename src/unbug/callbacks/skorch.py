"""`NeuralNet(…, callbacks=[UnbugCallback()])` for skorch. Its history is logged as origin `skorch`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unbug.callbacks.options import needs
from unbug.session import FrameworkRun

if TYPE_CHECKING:
    from unbug.session import Session

try:
    from skorch.callbacks import Callback
except ImportError:
    raise needs("skorch", "skorch") from None

__all__ = ["UnbugCallback"]


class UnbugCallback(Callback):  # type: ignore[misc]
    """Records `fit` and `partial_fit`: begins a run, or joins the one that is open, names module and
    optimizer, and logs each epoch's numbers.

    In a cross-validation or a search each fit is a run of its own; inside of `with unbug.run():` each is a
    training of that one. Args are those of `unbug.run`.
    """

    def __init__(
        self,
        *,
        dir: str | os.PathLike[str] | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        budget: float | str | None = None,
        every: int | None = None,
        disk: int | str | None = None,
        quiet: bool | None = None,
        strict: bool | None = None,
    ) -> None:
        # scikit-learn clones by reading these back, each under its own name
        self.dir, self.name, self.tags, self.budget = dir, name, tags, budget
        self.every, self.disk, self.quiet, self.strict = every, disk, quiet, strict

    def initialize(self) -> UnbugCallback:
        """Called by skorch before anything else."""
        options = {name: getattr(self, name) for name in _OPTIONS}
        self.run_ = FrameworkRun("skorch", options)
        return self

    @property
    def run(self) -> Session | None:
        """The run while it is open, to log to."""
        made: FrameworkRun | None = getattr(self, "run_", None)
        return None if made is None else made.session

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **others: Any) -> None:  # noqa: N803
        """A fit begins."""
        self.run_.begin()
        self.run_.watch(net.module_, getattr(net, "optimizer_", None), name="module")

    def on_epoch_end(self, net: Any, **others: Any) -> None:
        """An epoch has ended: its row of the history is whole but for callbacks behind this one."""
        row = net.history[-1]
        numbers = {
            name: value
            for name, value in row.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and not name.endswith(_COUNTS)
        }
        if numbers:
            self.run_.log(numbers, row.get("epoch"))
        self.run_.mark("epoch", epoch=row.get("epoch"), of=net.max_epochs)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **others: Any) -> None:  # noqa: N803
        """A fit has ended, or was interrupted."""
        self.run_.end()


_COUNTS = ("epoch", "_batch_count")
_OPTIONS = ("dir", "name", "tags", "budget", "every", "disk", "quiet", "strict")

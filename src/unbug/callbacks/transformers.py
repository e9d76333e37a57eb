"""`Trainer(callbacks=[UnbugCallback()])` for Transformers.

What Trainer logs is taken in with or without the callback; it does not log it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from unbug.callbacks.options import Options, needs
from unbug.session import FrameworkRun

if TYPE_CHECKING:
    from unbug.session import Session

try:
    from transformers import TrainerCallback
except ImportError:
    raise needs("Transformers", "transformers") from None

__all__ = ["UnbugCallback"]


class UnbugCallback(TrainerCallback):  # type: ignore[misc]
    """Records `Trainer.train`: begins a run, or joins the one that is open, and names model and optimizer.

    A run that it began ends with the training. To have a later `evaluate` in it, put both inside of
    `with unbug.run():`, which the callback joins.

    Args:
        options: As of `unbug.run`.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self._run = FrameworkRun("transformers", options)

    @property
    def run(self) -> Session | None:
        """The run while it is open, to log to."""
        return self._run.session

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **others: Any
    ) -> None:
        """Training begins."""
        self._run.begin(rank=args.process_index)
        if model is not None:
            self._run.watch(model, getattr(optimizer, "optimizer", optimizer))  # Accelerate wraps it

    def on_epoch_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """An epoch has ended."""
        self._run.mark("epoch", epoch=round(state.epoch or 0), of=state.num_train_epochs)

    def on_evaluate(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """An evaluation has ended."""
        self._run.mark("evaluation", name="evaluation", state="end")

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Training has ended."""
        self._run.end()

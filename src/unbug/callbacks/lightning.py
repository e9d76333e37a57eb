"""`Trainer(callbacks=[UnbugCallback()])` for Lightning, under its name and under `pytorch_lightning`.

The metrics that Lightning logs are taken in with or without the callback; it does not log them again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Unpack

from unbug.callbacks.options import Options, needs
from unbug.session import FrameworkRun

if TYPE_CHECKING:
    from unbug.session import Session

try:
    if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
        from pytorch_lightning.callbacks import Callback
    else:
        from lightning.pytorch.callbacks import Callback  # type: ignore[no-redef,unused-ignore]
except ImportError:
    try:
        from pytorch_lightning.callbacks import Callback
    except ImportError:
        raise needs("Lightning", "lightning") from None

__all__ = ["UnbugCallback"]


class UnbugCallback(Callback):  # type: ignore[misc]
    """Records `fit`, `validate`, `test` and `predict`: begins a run, or joins the one that is open, and names
    the model.

    Args:
        options: As of `unbug.run`.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self._run = FrameworkRun("lightning", options)

    @property
    def run(self) -> Session | None:
        """The run while it is open, to log to."""
        return self._run.session

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """A stage begins."""
        self._run.begin(rank=trainer.global_rank)
        self._run.watch(pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """An epoch has ended."""
        self._run.mark("epoch", epoch=trainer.current_epoch, of=trainer.max_epochs)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """A validation begins; the trial that Lightning makes first is none."""
        self._evaluation(trainer, "validation", "begin")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """A validation has ended."""
        self._evaluation(trainer, "validation", "end")

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """A test begins."""
        self._evaluation(trainer, "test", "begin")

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """A test has ended."""
        self._evaluation(trainer, "test", "end")

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """A stage has ended."""
        self._run.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """The program failed, or was interrupted."""
        self._run.end(exception)

    def _evaluation(self, trainer: Any, name: str, state: str) -> None:
        if not trainer.sanity_checking:
            self._run.mark("evaluation", name=name, state=state)

"""`UnbugHandler(model, optimizer).attach(trainer, validation=evaluator)` for Ignite.

Metrics of the engines are logged as origin `ignite`, those of evaluators under their names:
`validation/loss`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from unbug.callbacks.options import Options, needs
from unbug.session import FrameworkRun

if TYPE_CHECKING:
    import torch

    from unbug.session import Session

try:
    from ignite.engine import Events
except ImportError:
    raise needs("Ignite", "pytorch-ignite") from None

__all__ = ["UnbugHandler"]


class UnbugHandler:
    """Begins a run when the trainer starts, or joins the one that is open; ends it when that completes.

    An exception passes it untouched: the run then ends with the program.

    Args:
        model, optimizer: To be named in findings; nothing else depends on them.
        options: As of `unbug.run`.
    """

    def __init__(
        self,
        model: torch.nn.Module | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._model, self._optimizer = model, optimizer
        self._run = FrameworkRun("ignite", options)

    @property
    def run(self) -> Session | None:
        """The run while it is open, to log to."""
        return self._run.session

    def attach(self, trainer: Any, **evaluators: Any) -> None:
        """Listen to a trainer, and to evaluators by the names that their metrics are to have."""
        trainer.add_event_handler(Events.STARTED, self._started)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)
        trainer.add_event_handler(Events.COMPLETED, self._completed)
        for name, evaluator in evaluators.items():
            evaluator.add_event_handler(Events.STARTED, self._evaluation, name, "begin")
            evaluator.add_event_handler(Events.COMPLETED, self._evaluated, name, trainer)

    def _started(self, engine: Any) -> None:
        import ignite.distributed as idist

        self._run.begin(rank=idist.get_rank())
        if self._model is not None:
            self._run.watch(self._model, self._optimizer)

    def _epoch_completed(self, engine: Any) -> None:
        if engine.state.metrics:
            self._run.log(dict(engine.state.metrics), engine.state.iteration)
        self._run.mark("epoch", epoch=engine.state.epoch, of=engine.state.max_epochs)

    def _evaluation(self, engine: Any, name: str, state: str) -> None:
        self._run.mark("evaluation", name=name, state=state)

    def _evaluated(self, engine: Any, name: str, trainer: Any) -> None:
        values = {f"{name}/{metric}": value for metric, value in engine.state.metrics.items()}
        if values:
            self._run.log(values, getattr(trainer.state, "iteration", None))
        self._evaluation(engine, name, "end")

    def _completed(self, engine: Any) -> None:
        self._run.end()

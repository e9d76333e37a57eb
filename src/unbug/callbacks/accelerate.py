"""`Accelerator(log_with=[UnbugTracker()])` for Accelerate, begun by `accelerator.init_trackers(NAME)`.

What is given to `accelerator.log` is taken in with or without the tracker; it does not log it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from unbug.callbacks.options import Options, needs
from unbug.session import FrameworkRun

if TYPE_CHECKING:
    from unbug.session import Session

try:
    from accelerate.tracking import GeneralTracker
except ImportError:
    raise needs("Accelerate", "accelerate") from None

__all__ = ["UnbugTracker"]


class UnbugTracker(GeneralTracker):  # type: ignore[misc]
    """Begins a run when Accelerate begins to track, or joins the one that is open; ends it with
    `accelerator.end_training()`.

    Args:
        options: As of `unbug.run`.
    """

    name = "unbug"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__()
        self._run = FrameworkRun("accelerate", options)

    @property
    def tracker(self) -> Session | None:
        """The run while it is open: `accelerator.get_tracker("unbug")` gives it, to log to and to `watch`."""
        return self._run.session

    def start(self) -> None:
        """Tracking begins."""
        self._run.begin()

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """The program's configuration; of a run that was open already it is known."""
        if self._run.began:
            self._run.settings(values)

    def log(self, values: dict[str, Any], step: int | None = None, **options: Any) -> None:
        """Nothing: `Accelerator.log` itself is listened to."""

    def finish(self) -> None:
        """Tracking ends."""
        self._run.end()

"""Schedulers of the learning rate that the program steps: the `scheduler` event."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbug.hooks import user_frame

if TYPE_CHECKING:
    from unbug.hooks import Frame
    from unbug.record.core import Core

__all__ = ["Schedulers"]

_TOLD_AT = (1, 3, 10, 100)
_MOST, _MOST_ITEMS = 32, 20
_LEFT_OUT = ("optimizer", "last_epoch", "verbose")


@dataclass(slots=True, eq=False)
class _Seen:
    """One scheduler: how often it was stepped, and how often while the optimizer it drives was not in use."""

    ref: weakref.ref[Any]
    class_name: str
    options: dict[str, Any]
    frame: Frame | None
    training: int
    count: int = 0
    stray: int = 0


class Schedulers:
    """Those that the program steps while the recorder is awake."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._seen: dict[int, _Seen] = {}

    def stepped(self, scheduler: Any) -> None:
        """The program stepped one."""
        current = self._core.current
        if current is None:
            return
        seen = self._seen.get(id(scheduler))
        if seen is None or seen.ref() is not scheduler:
            if len(self._seen) >= _MOST:
                return
            kind = type(scheduler).__name__
            number = current.training.number
            seen = _Seen(weakref.ref(scheduler), kind, _options(scheduler), user_frame(), number)
            self._seen[id(scheduler)] = seen
        seen.count += 1
        seen.stray += self._is_stray(getattr(scheduler, "optimizer", None))
        if seen.count in _TOLD_AT:
            self._tell(seen)

    def _is_stray(self, driven: Any) -> bool:
        """Whether the optimizer that a scheduler drives was replaced, or never stepped while another does."""
        current = self._core.current
        assert current is not None
        training = current.training
        primary = training.primary
        if driven is None or primary is None or driven is primary.ref():
            return False
        for state in training.optimizers:
            if state.ref() is driven:
                return state.last_step <= primary.created_at
        return any(state.ref() is driven for state in self._core.trainings.waiting())

    def _tell(self, seen: _Seen, **more: Any) -> None:
        frame = seen.frame
        steps = self._core.trainings.all[seen.training].steps
        self._core.event(
            "scheduler",
            {
                "class": seen.class_name,
                "options": seen.options,
                "count": seen.count,
                "stray": seen.stray,
                "file": frame.file if frame is not None else "",
                "line": frame.line if frame is not None else 0,
                **more,
            },
            training=seen.training,
            step=max(steps - 1, 0),
        )

    def close(self) -> None:
        """Tell how often each was stepped."""
        for seen in self._seen.values():
            self._tell(seen, final=True)
        self._seen.clear()


def _options(scheduler: Any) -> dict[str, Any]:
    """What it was set to: numbers, texts, and short lists of numbers."""
    found: dict[str, Any] = {}
    for name, value in list(vars(scheduler).items()):
        if name.startswith("_") or name in _LEFT_OUT:
            continue
        if isinstance(value, bool | int | float | str) or value is None:
            found[name] = value
        elif isinstance(value, list | tuple) and all(isinstance(one, int | float) for one in value):
            found[name] = list(value[:_MOST_ITEMS])
        elif name == "milestones" and hasattr(value, "elements"):  # a Counter
            found[name] = sorted(value.elements())[:_MOST_ITEMS]
    return found

"""The one recording of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from unbug.session.children import ChildRecording
    from unbug.session.recording import Recording

    Anyone: TypeAlias = Recording | ChildRecording

__all__ = ["begin", "is_of_command", "recording"]

_open: list[Anyone] = []
_command: list[bool] = []


def begin(one: Anyone, *, of_command: bool = False) -> None:
    """This one is recorded from now on."""
    _open[:], _command[:] = [one], [of_command]


def recording() -> Anyone | None:
    """The one that is open, or None."""
    return next((one for one in _open if not one.closed), None)


def is_of_command() -> bool:
    """Whether the command `unbug run` began it."""
    return any(_command)

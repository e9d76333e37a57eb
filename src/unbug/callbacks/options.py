"""What a callback is given: the options of `unbug.run`, for a run that it begins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypedDict

__all__ = ["Options", "needs"]


class Options(TypedDict, total=False):
    """See `unbug.run`. Where a run is open already, the callback joins it, and these do not matter."""

    dir: str | os.PathLike[str] | None
    name: str | None
    tags: Sequence[str]
    budget: float | str | None
    every: int | None
    disk: int | str | None
    quiet: bool | None
    strict: bool | None
    resume: str | os.PathLike[str] | None


def needs(framework: str, package: str) -> ImportError:
    """The framework is not installed."""
    return ImportError(
        f"unbug's callback for {framework} needs {framework}, which is not installed here: "
        f"`pip install {package}`; to record without a callback, run the program with `unbug run`"
    )

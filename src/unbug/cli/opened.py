"""A run, open for a command; what could not be read of it is said at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.cli.style import clip

if TYPE_CHECKING:
    from unbug.store import RunReader

__all__ = ["opened"]

_MOST = 3


@contextmanager
def opened(path: Path) -> Iterator[RunReader]:
    """Open a run to read. A damaged one is read as far as it can be, and the rest is said on stderr.

    Raises:
        NotARunError, NewerFormatError: it cannot be opened.
    """
    from unbug.store import open_reader

    reader = open_reader(path)
    try:
        yield reader
        faults = reader.faults
    finally:
        reader.close()
    for fault in faults[:_MOST]:
        print(clip(f"unbug: part of {path} cannot be read: {fault}", 1000), file=sys.stderr)
    if len(faults) > _MOST:
        print(f"unbug: and {len(faults) - _MOST} more parts", file=sys.stderr)

"""What is given up when the disk takes nothing, and the account of it."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unbug.store.contract import GroupKind

if TYPE_CHECKING:
    from unbug.store.rows import Queued

__all__ = ["Losses", "shed"]


class Losses:
    """Counts of what one writer could not keep."""

    def __init__(self) -> None:
        self.malformed = self.events = 0
        self.detail_shed = self.rows_shed = self.rows_full = self.rows_left = 0
        self.bytes_left = 0
        self._failures: dict[str, int] = {}

    def disk(self, error: OSError) -> None:
        """Count a failure of the disk."""
        reason = {errno.ENOSPC: "the disk is full", errno.EROFS: "the file system is read-only"}.get(
            error.errno or 0, error.strerror or type(error).__name__
        )
        self._failures[reason] = self._failures.get(reason, 0) + 1

    def in_words(self, *, waiting: bool) -> tuple[str, ...]:
        """One sentence for each kind of loss; empty if there was none."""
        said = [f"writing failed {count} times: {reason}" for reason, count in self._failures.items()]
        for count, what in (
            (self.detail_shed, "rows of detail were given up, since the disk took nothing"),
            (self.rows_shed, "rows of scalars were given up, since the disk took nothing"),
            (self.rows_full, "rows were dropped, since the queue was full"),
            (self.rows_left, "rows were still waiting for the disk at the end"),
            (self.bytes_left, "bytes of rows were still waiting for the disk at the end"),
            (self.events, "events were given up"),
            (self.malformed, "rows or events were left out: not numbers of the declared series"),
        ):
            if count:
                said.append(f"{count} {what}")
        if waiting:
            said.append("some rows are waiting for the disk")
        return tuple(said)


def shed(
    queue: list[Queued],
    events: list[tuple[Any, ...]],
    kinds: Sequence[GroupKind],
    losses: Losses,
    *,
    rows: int,
) -> None:
    """Shorten the queue to `rows` rows: the oldest detail goes first, scalars last. Others may append
    meanwhile."""
    have = len(queue)
    if have > rows:
        batch, excess = queue[:have], have - rows
        kept = []
        for row in batch:
            scalar = not 0 <= row[0] < len(kinds) or kinds[row[0]] == "scalar"
            if excess and not scalar:
                excess -= 1
                losses.detail_shed += 1
            else:
                kept.append(row)
        losses.rows_shed += excess
        queue[:have] = kept[excess:]
    if len(events) > rows // 4:
        excess = len(events) - rows // 4
        del events[:excess]
        losses.events += excess

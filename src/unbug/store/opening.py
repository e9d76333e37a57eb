"""Open a run for writing: who the process is among the run's, and which attempt it belongs to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from unbug.store.attempts import begin_attempt
from unbug.store.identity import process_identity
from unbug.store.livefiles import ROLL_BYTES, ROLL_FLUSHES
from unbug.store.manifest import read_manifest
from unbug.store.writer import RunWriter

__all__ = ["open_writer"]


def open_writer(
    path: Path,
    *,
    rank: int = 0,
    attempt: int = 0,
    node: str = "",
    role: str = "",
    first: bool = True,
    disk_bytes: int = 200_000_000,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    wall_ns: Callable[[], int] = time.time_ns,
    entropy: Callable[[int], bytes] = os.urandom,
    roll_bytes: int = ROLL_BYTES,
    roll_flushes: int = ROLL_FLUSHES,
) -> RunWriter:
    """Open a run folder for writing by this process. Every call makes a writer of its own, with files of its
    own; these are made with the first row or event, so a process that has nothing to say leaves none.

    Args:
        rank, attempt, node, role: Who this is among the run's processes. An attempt after the first goes on
            with a run that ended: see `next_attempt`.
        first: Whether this writer keeps the run's status file. The first one of a further attempt sets the
            status back to running; if several processes claim that, one is heard.
        disk_bytes: Disk budget of the run; a fifth of it is for detail, which is thinned beyond.
        roll_bytes, roll_flushes: When a live log is closed and may be turned into segments.
    Raises:
        NotARunError: there is no run.
        UsageError: a later attempt has begun.
    """
    read_manifest(path)
    started_ns: int | None = None
    if first and attempt:
        first, started_ns = begin_attempt(path, attempt, wall_ns=wall_ns)
    who = process_identity()
    header = {
        "rank": rank,
        "attempt": attempt,
        "node": node,
        "role": role,
        "wall_ns": wall_ns(),
        "anchor_ns": clock_ns(),
        **who,
    }
    writer_id = f"r{rank:05d}-a{attempt:03d}-{who['pid']}-{entropy(4).hex()}"
    return RunWriter(
        path,
        writer_id,
        header,
        first=first,
        started_ns=started_ns,
        disk_bytes=disk_bytes,
        clock_ns=clock_ns,
        roll_bytes=roll_bytes,
        roll_flushes=roll_flushes,
    )

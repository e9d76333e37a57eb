"""Whether a run that says it is running still is."""

from __future__ import annotations

import socket
from dataclasses import replace

from unbug.store.identity import boot_id, start_ticks
from unbug.types import RunState, Status

__all__ = ["corrected"]

SILENT_NS = 60_000_000_000
"""A status is replaced every few seconds; after a minute of silence on another host the run counts as
lost."""


def corrected(status: Status, *, now_ns: int) -> Status:
    """The status as it must be: `running` becomes `killed` where the process is gone, `lost` where nobody can
    know."""
    if status.state is not RunState.RUNNING:
        return status
    if status.host != socket.gethostname():
        if now_ns - status.updated_ns <= SILENT_NS:
            return status
        silent_s = (now_ns - status.updated_ns) // 1_000_000_000
        return replace(
            status,
            state=RunState.LOST,
            message=f"no sign of life from {status.host or 'its host'} for {silent_s} s",
        )
    if status.boot_id and status.boot_id != boot_id():
        return replace(status, state=RunState.KILLED, message="the machine was started anew while it ran")
    ticks = start_ticks(status.pid)
    if ticks is None or (status.started_ticks and ticks and ticks != status.started_ticks):
        return replace(status, state=RunState.KILLED, message=f"process {status.pid} ended without a word")
    return status

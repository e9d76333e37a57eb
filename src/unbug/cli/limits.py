"""A ceiling on the memory of a command, so that a query cannot take the machine's."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

__all__ = ["limit_memory"]


def limit_memory(more_bytes: int) -> None:
    """Let this process take so much beyond what it has; allocating more fails. Linux only: nothing else keeps
    such a limit."""
    with suppress(ImportError, OSError, ValueError, StopIteration):
        import resource

        lines = Path("/proc/self/status").read_text().splitlines()
        have_kb = next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = have_kb * 1024 + more_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))

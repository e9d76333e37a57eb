"""Ids of runs, and who the process is that writes one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["boot_id", "new_id", "process_identity", "start_ticks"]


def new_id(now_ns: int, entropy: Callable[[int], bytes] = os.urandom) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, the rest random; sorts by time of creation."""
    noise = int.from_bytes(entropy(10), "big")
    value = ((now_ns // 1_000_000) & (1 << 48) - 1) << 80
    value |= 7 << 76 | (noise >> 62 & 0xFFF) << 64 | 2 << 62 | noise & (1 << 62) - 1
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When a process of this host began, in clock ticks since boot; None if there is none (any more).

    0 where the system does not tell, so that pids alone decide.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
        import psutil

        return 0 if psutil.pid_exists(pid) else None
    except OSError:
        return None
    fields = stat[stat.rfind(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):  # Ended, though its parent has not asked yet.
        return None
    return int(fields[19])


def process_identity(pid: int | None = None) -> Mapping[str, Any]:
    """`pid`, `host`, `boot_id` and `started_ticks` of this process, as `Status` has them, or of another one
    of this host."""
    pid = os.getpid() if pid is None else pid
    return {
        "pid": pid,
        "host": socket.gethostname(),
        "boot_id": boot_id(),
        "started_ticks": start_ticks(pid) or 0,
    }

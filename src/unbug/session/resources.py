"""What the process takes of the machine, every few seconds."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.session.gpu import Gpus
from unbug.session.memory import MemoryTrend
from unbug.types import Place, Series

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbug.store import Writer

__all__ = ["Resources"]

_RESIDENT, _FREE = "/proc/self/statm", "/proc/meminfo"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_PLACE = Place(path="process", kind="process")
_SAMPLED = "every 5 s"
_SERIES = tuple(
    Series(name=name, place=_PLACE, unit=unit, sampled=_SAMPLED)
    for name, unit in (
        ("process.cpu_share", "cores"),
        ("process.rss_bytes", "bytes"),
        ("host.memory_free_bytes", "bytes"),
        ("disk.free_bytes", "bytes"),
    )
)


class Resources:
    """Samples into one group of series. CPU is in cores: 2.0 means that two were busy all the time."""

    def __init__(self, writer: Writer, folder: Path) -> None:
        self._writer, self._folder = writer, folder
        self._memory = _by_kernel if Path(_RESIDENT).exists() and Path(_FREE).exists() else _by_psutil
        self._group = writer.group(_SERIES)
        self._last = (time.monotonic(), time.process_time())
        self._free: deque[float] = deque(maxlen=4)
        self._gpus = Gpus(writer)
        self._children: dict[int, float] = {}
        self._children_group: int | None = None
        self._trend = MemoryTrend(self._resident, self._tell)

    def least_free_share(self) -> float:
        """What was free of the machine's memory at the worst of the last samples; 1 if unknown."""
        if not self._free or not hasattr(os, "sysconf"):
            return 1.0
        return min(self._free) / (os.sysconf("SC_PHYS_PAGES") * _PAGE)

    def sample(self, position: Callable[[], tuple[int, int, int, int]]) -> None:
        """Write one row.

        Args:
            position: Training, step, micro and phase at this moment.
        """
        now, cpu_s = time.monotonic(), time.process_time()
        elapsed = max(now - self._last[0], 1e-3)
        resident, available = self._memory()
        self._free.append(available)
        values = [(cpu_s - self._last[1]) / elapsed, resident, available, float(_free_bytes(self._folder))]
        self._last = (now, cpu_s)
        self._gpus.sample(position)
        self._sample_children(elapsed, position)
        training, step, micro, phase = position()
        self._writer.row(
            self._group,
            values,
            t_ns=time.monotonic_ns(),
            training=training,
            step=step,
            micro=micro,
            phase=phase,
        )

    def follow_memory(self, position: Callable[[], tuple[int, int, int, int]]) -> None:
        """Take a sample of the memory for its trend; more often than rows are written, and cheaper."""
        self._trend.look(position())

    def _resident(self) -> float:
        if self._memory is _by_psutil:
            return _by_psutil()[0]
        with open(_RESIDENT, "rb") as file:  # noqa: PTH123
            return float(int(file.read().split()[1]) * _PAGE)

    def _tell(self, fields: dict[str, object], training: int, step: int) -> None:
        self._writer.event("memory", fields, t_ns=time.monotonic_ns(), training=training, step=step)

    def _sample_children(self, elapsed: float, position: Callable[[], tuple[int, int, int, int]]) -> None:
        """What the program's child processes take, mostly workers of data loaders; nothing without any."""
        before, self._children = self._children, {pid: _cpu_s(pid) for pid in _child_pids()}
        both = self._children.keys() & before.keys()
        if not both:
            return
        if self._children_group is None:
            series = [
                Series(name=name, place=_PLACE, unit=unit, sampled=_SAMPLED)
                for name, unit in (("process.children", ""), ("process.children_cpu_share", "cores"))
            ]
            self._children_group = self._writer.group(series)
        spent = sum(max(self._children[pid] - before[pid], 0.0) for pid in both)
        training, step, micro, phase = position()
        self._writer.row(
            self._children_group,
            [float(len(self._children)), spent / elapsed],
            t_ns=time.monotonic_ns(),
            training=training,
            step=step,
            micro=micro,
            phase=phase,
        )


def _child_pids() -> list[int]:
    """Of the processes that `multiprocessing` has started here and not ended; nothing is asked of them."""
    module = sys.modules.get("multiprocessing.process")
    children = tuple(getattr(module, "_children", ()))
    return [pid for child in children if isinstance(pid := getattr(child, "_popen", None) and child.pid, int)]


def _cpu_s(pid: int) -> float:
    """CPU time of a process; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            parts = file.read().rpartition(b")")[2].split()
        return (int(parts[11]) + int(parts[12])) / float(os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


def _by_kernel() -> tuple[float, float]:
    """Bytes of this process in memory, and bytes that are free, as Linux says."""
    with open(_RESIDENT, "rb") as file:  # noqa: PTH123 - in the background thread, so as short as can be
        resident = int(file.read().split()[1]) * _PAGE
    with open(_FREE, "rb") as file:  # noqa: PTH123
        free = file.read()
    found = free.find(b"MemAvailable:")
    available = int(free[found + 13 : free.index(b"kB", found)]) * 1024 if found >= 0 else math.nan
    return float(resident), float(available)


def _by_psutil() -> tuple[float, float]:
    """The same elsewhere. Loaded here, in the background thread, so that beginning a run does not wait."""
    import psutil

    return float(psutil.Process().memory_info().rss), float(psutil.virtual_memory().available)


def _free_bytes(folder: Path) -> float:
    try:
        status = os.statvfs(folder)
    except (OSError, AttributeError):  # gone, or a system that has no such call
        return math.nan
    return status.f_bavail * status.f_frsize

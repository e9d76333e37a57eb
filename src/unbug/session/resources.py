"""What the process takes of the machine, every few seconds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.types import Place, Series

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbug.store import Writer

__all__ = ["Resources"]

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
        import psutil

        self._writer, self._folder = writer, folder
        self._process, self._memory = psutil.Process(), psutil.virtual_memory
        self._group = writer.group(_SERIES)
        self._last = (time.monotonic(), self._cpu_s())

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def sample(self, position: Callable[[], tuple[int, int, int, int]]) -> None:
        """Write one row.

        Args:
            position: Training, step, micro and phase at this moment.
        """
        now, cpu_s = time.monotonic(), self._cpu_s()
        elapsed = max(now - self._last[0], 1e-3)
        values = [
            (cpu_s - self._last[1]) / elapsed,
            float(self._process.memory_info().rss),
            float(self._memory().available),
            float(_free_bytes(self._folder)),
        ]
        self._last = (now, cpu_s)
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


def _free_bytes(folder: Path) -> float:
    try:
        status = os.statvfs(folder)
    except OSError:
        return float("nan")
    return status.f_bavail * status.f_frsize

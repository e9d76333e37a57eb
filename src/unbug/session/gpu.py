"""What the process takes of NVIDIA devices: torch's own account of memory, and what the driver says.

Nothing waits for a device, none is initialised, and no library is loaded: torch has loaded NVML's (`pynvml`)
if it is there. Silent where torch has not begun to use a device.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from unbug.types import Place, Series

if TYPE_CHECKING:
    from unbug.store import Writer

__all__ = ["Gpus"]

_PLACE = Place(path="process", kind="process")
_BY_TORCH = {
    "gpu.allocated_bytes": "allocated_bytes.all.current",
    "gpu.peak_allocated_bytes": "allocated_bytes.all.peak",
    "gpu.reserved_bytes": "reserved_bytes.all.current",
    "gpu.allocation_retries": "num_alloc_retries",
}
_BY_DRIVER = (
    ("gpu.busy_share", "fraction", lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100),
    ("gpu.memory_used_bytes", "bytes", lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used),
    ("gpu.power_w", "W", lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000),
    (
        "gpu.temperature_c",
        "°C",
        lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
    ),
)


class Gpus:
    """Samples each device that torch uses here; the number of the device is the series' statistic."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._groups: dict[tuple[int, bool], int] = {}
        self._handles: dict[int, Any] = {}
        self._driver: Any = None
        self._asked = False

    def sample(self, position: Callable[[], tuple[int, int, int, int]]) -> None:
        """Write a row for each device in use."""
        torch: Any = sys.modules.get("torch")
        cuda = getattr(torch, "cuda", None)
        if cuda is None or not hasattr(cuda, "is_initialized") or not cuda.is_initialized():
            return
        for index in range(cuda.device_count()):
            stats = cuda.memory_stats(index)
            if not stats.get("reserved_bytes.all.current"):
                continue
            values = [float(stats.get(name, math.nan)) for name in _BY_TORCH.values()]
            more = self._by_driver(cuda, index)
            training, step, micro, phase = position()
            self._writer.row(
                self._group(index, with_driver=bool(more)),
                values + more,
                t_ns=time.monotonic_ns(),
                training=training,
                step=step,
                micro=micro,
                phase=phase,
            )

    def _by_driver(self, cuda: Any, index: int) -> list[float]:
        """Numbers of `_BY_DRIVER`, NaN where a device has none; empty where there is no library."""
        if not self._asked:
            self._asked = True
            self._driver = _initialised()
        if self._driver is None:
            return []
        if index not in self._handles:
            self._handles[index] = _handle(self._driver, cuda, index)
        handle = self._handles[index]
        return [] if handle is None else [_number(ask, self._driver, handle) for _, _, ask in _BY_DRIVER]

    def _group(self, index: int, *, with_driver: bool) -> int:
        group = self._groups.get((index, with_driver))
        if group is None:
            named = [(name, "" if name.endswith("retries") else "bytes") for name in _BY_TORCH]
            named += [(name, unit) for name, unit, _ in _BY_DRIVER] if with_driver else []
            series = [
                Series(name=name, place=_PLACE, statistic=f"gpu {index}", unit=unit, sampled="every 5 s")
                for name, unit in named
            ]
            group = self._groups[index, with_driver] = self._writer.group(series)
        return group


def _initialised() -> Any:
    """NVML's library, ready to be asked; None where there is none, or no driver."""
    driver = sys.modules.get("pynvml")
    try:
        if driver is not None:
            driver.nvmlInit()
    except Exception:  # its own kinds of error, for any reason: no driver, no permission, another version
        return None
    return driver


def _handle(driver: Any, cuda: Any, index: int) -> Any:
    """The driver's own handle of a device, which counts them otherwise where some are hidden."""
    try:
        return driver.nvmlDeviceGetHandleByUUID(f"GPU-{cuda.get_device_properties(index).uuid}")
    except Exception:  # an old torch without identities, a part of a device
        return None


def _number(ask: Callable[[Any, Any], float], driver: Any, handle: Any) -> float:
    try:
        return float(ask(driver, handle))
    except Exception:  # not supported by this device
        return math.nan

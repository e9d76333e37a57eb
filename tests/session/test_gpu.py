"""Devices: silent without one; with torch's and NVML's documented calls answered as on a machine with two.

No device is at hand where these tests run: the calls are those of torch's and NVIDIA's documentation.
"""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from unbug.session.gpu import Gpus

HERE = (0, 7, 0, 2)


class Rows:
    def __init__(self):
        self.groups, self.rows = [], []

    def group(self, series):
        self.groups.append(series)
        return len(self.groups) - 1

    def row(self, group, values, **where):
        series = self.groups[group]
        assert len(series) == len(values) and (where["training"], where["step"]) == HERE[:2]
        self.rows.append(
            {(one.name, one.statistic): value for one, value in zip(series, values, strict=True)}
        )


@pytest.fixture
def two_devices(monkeypatch):
    stats = {
        0: {},
        1: {
            "allocated_bytes.all.current": 100,
            "allocated_bytes.all.peak": 150,
            "reserved_bytes.all.current": 200,
            "num_alloc_retries": 2,
        },
    }
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda index: stats[index])
    properties = lambda index: SimpleNamespace(uuid=f"11112222-{index}")  # noqa: E731
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)


def sample():
    rows = Rows()
    gpus = Gpus(rows)
    for _ in range(2):
        gpus.sample(lambda: HERE)
    return rows


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is tested is a machine without a device")
def test_silent_where_no_device_is_used():
    assert sample().groups == []
    assert not torch.cuda.is_initialized()


def test_torchs_account_alone_without_the_library(two_devices, monkeypatch):
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    rows = sample()
    assert len(rows.rows) == 2 and len(rows.groups) == 1
    assert rows.rows[0] == {
        ("gpu.allocated_bytes", "gpu 1"): 100.0,
        ("gpu.peak_allocated_bytes", "gpu 1"): 150.0,
        ("gpu.reserved_bytes", "gpu 1"): 200.0,
        ("gpu.allocation_retries", "gpu 1"): 2.0,
    }


class Nvml(SimpleNamespace):
    NVML_TEMPERATURE_GPU = 0

    def nvmlInit(self):
        self.inits = getattr(self, "inits", 0) + 1

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def nvmlDeviceGetUtilizationRates(self, handle):
        assert handle == "GPU-11112222-1"
        return SimpleNamespace(gpu=37, memory=5)

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=1000, free=400, used=600)

    def nvmlDeviceGetPowerUsage(self, handle):
        raise RuntimeError("Not Supported")

    def nvmlDeviceGetTemperature(self, handle, sensor):
        return 61


def test_the_drivers_numbers_and_what_a_device_does_not_support(two_devices, monkeypatch):
    library = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", library)
    rows = sample()
    found = {name: value for (name, _), value in rows.rows[1].items()}
    assert found["gpu.busy_share"] == 0.37 and found["gpu.memory_used_bytes"] == 600
    assert math.isnan(found["gpu.power_w"]) and found["gpu.temperature_c"] == 61
    assert library.inits == 1


def test_a_library_without_a_driver_is_as_none(two_devices, monkeypatch):
    class Dead(Nvml):
        def nvmlInit(self):
            raise OSError("no driver")

    monkeypatch.setitem(sys.modules, "pynvml", Dead())
    assert len(sample().rows[0]) == 4

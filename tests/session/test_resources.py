"""What is sampled of the machine agrees with an independent account."""

from __future__ import annotations

import multiprocessing
import time

import psutil
import pytest

from unbug.session import resources
from unbug.session.resources import Resources
from unbug.store import create_run, open_reader, open_writer


@pytest.mark.parametrize("how", ["_by_kernel", "_by_psutil"])
def test_samples_agree_with_psutil(how, tmp_path, monkeypatch):
    if how == "_by_psutil":
        monkeypatch.setattr(resources, "_RESIDENT", str(tmp_path / "none"))
    path, _ = create_run(tmp_path, name="run")
    writer = open_writer(path)
    sampler = Resources(writer, path)
    assert sampler._memory is getattr(resources, how)
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    sampler.sample(lambda: (0, 3, 0, 2))
    writer.close()
    reader = open_reader(path)
    found = {}
    for series in reader.series():
        points = reader.read(series)
        assert points.step.tolist() == [3]
        found[series.name] = points.values[0]
    reader.close()
    assert 0.1 < found["process.cpu_share"] < 3
    assert found["process.rss_bytes"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert found["host.memory_free_bytes"] == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    assert found["disk.free_bytes"] == pytest.approx(psutil.disk_usage(str(path)).free, rel=0.2)


def _burn(ready, end):
    ready.set()
    while not end.is_set():
        pass


def test_processes_of_the_program_are_counted_with_what_they_take(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    path, _ = create_run(tmp_path, name="run")
    writer = open_writer(path)
    sampler = Resources(writer, path)
    sampler.sample(lambda: (0, 3, 0, 2))
    child = context.Process(target=_burn, args=(ready, end))
    child.start()
    try:
        assert ready.wait(60)
        sampler.sample(lambda: (0, 4, 0, 2))
        before, began = psutil.Process(child.pid).cpu_times(), time.monotonic()
        time.sleep(0.6)
        sampler.sample(lambda: (0, 5, 0, 2))
        after, took = psutil.Process(child.pid).cpu_times(), time.monotonic() - began
    finally:
        end.set()
        child.join()
    sampler.sample(lambda: (0, 6, 0, 2))
    writer.close()
    reader = open_reader(path)
    found = {series.name: reader.read(series) for series in reader.series()}
    reader.close()
    assert found["process.children"].step.tolist() == [5], "nothing is written without children"
    assert found["process.children"].values.tolist() == [1.0]
    want = (after.user + after.system - before.user - before.system) / took
    assert found["process.children_cpu_share"].values[0] == pytest.approx(want, abs=0.15)
    assert want > 0.1

"""What one look of `record.eyes` and `session.memory` costs: `python -m bench.eyes`.

In a loop, with warm caches; inside a training step, whose caches are others', take two to four times as much.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from unbug.record.inputs import Features, feature_sums
from unbug.record.moduletime import ModuleTimes
from unbug.record.pairs import GradientPairs, Sample
from unbug.record.reach import Reach
from unbug.record.rows_seen import RowsSeen, row_hashes
from unbug.record.terms import Sum, terms_of
from unbug.session.memory import MemoryTrend
from unbug.session.resources import _by_kernel
from unbug.types import Place


def main() -> None:
    """Print median and 90th percentile of each, in microseconds."""
    torch.set_num_threads(1)
    net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    deep = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, batch_first=True), 12)
    report("features, 64 x 64", features(torch.randn(64, 64)))
    report("features, 1024 x 256", features(torch.randn(1024, 256)))
    report("rows, 64 x 784", rows(torch.randn(4096, 784), 64))
    report("rows, 256 x 3 x 224 x 224 (sampled)", rows(torch.zeros(256, 3, 224, 224), 256))
    report("gradient pair, MLP (both steps)", pair(net, torch.randn(64, 784)))
    report("gradient pair, 12 encoder layers", pair(deep, torch.randn(2, 8, 64)))
    out = net(torch.randn(64, 784))
    loss = F.cross_entropy(out, torch.zeros(64, dtype=torch.long)) + 0.1 * out.pow(2).mean() + out.mean()
    report("terms of a sum of three", lambda: Sum(terms_of(loss) or [], {}))
    report("reach, MLP", lambda: Reach().walk((loss,)))
    long = deep(torch.randn(2, 8, 64)).sum()
    report("reach, 12 encoder layers", lambda: Reach().walk((long,)))
    places = [Place(path=f"layers.{index}", kind="module", parent="layers") for index in range(100)]
    report("module times, 100 modules (without rows)", lambda: times(places))
    step = iter(range(10**9))
    trend = MemoryTrend(lambda: _by_kernel()[0], lambda *event: None)
    report("memory (background, twice a second)", lambda: trend.look((0, next(step), 0, 2)))


def features(batch: torch.Tensor) -> Callable[[], None]:
    """One batch, merged."""
    known = Features(tuple(batch.shape[1:]))

    def look() -> None:
        found = feature_sums(batch)
        assert found is not None
        known.merge(found[1], found[2].tolist())

    return look


def rows(data: torch.Tensor, size: int) -> Callable[[], None]:
    """One batch after another, hashed and remembered."""
    seen = RowsSeen()
    stream = seen.stream(None, grad=True, slept=0)
    batches = iter(data.split(size) * 10_000)

    def look() -> None:
        hashes = row_hashes(next(batches))
        assert hashes is not None and stream is not None
        seen.batch(stream, hashes)

    return look


def pair(net: nn.Module, inputs: torch.Tensor) -> Callable[[], None]:
    """Gradient and weights at one step, gradient at the next, products, row."""
    net(inputs).sum().backward()
    pairs = GradientPairs(Sample(list(net.parameters())))

    def look() -> None:
        take = pairs.sample.take
        pairs.begins(0, take(lambda one: one.grad), take(lambda one: one))
        pairs.made(take(lambda one: one))
        products = pairs.products(take(lambda one: one.grad))
        assert products is not None
        pairs.values(products.tolist(), 64)

    return look


def times(places: list[Place]) -> None:
    """One forward pass."""
    found = ModuleTimes()
    found.begins()
    for place in places:
        found.output(place, time.perf_counter_ns())


def report(name: str, look: Callable[[], object]) -> None:
    """Measure one look for up to a second."""
    taken = []
    until = time.perf_counter() + 1.0
    while time.perf_counter() < until and len(taken) < 2000:
        start = time.perf_counter_ns()
        look()
        taken.append((time.perf_counter_ns() - start) / 1000)
    print(f"{name:44}{statistics.median(taken):9.1f} us{sorted(taken)[int(0.9 * len(taken))]:9.1f} us")


if __name__ == "__main__":
    main()

"""How large a run gets: real summaries of a ResNet-18, fed through the writer for 10^4 and 10^6 recorded
steps.

    python bench/size.py [--steps 10000] [--long 1000000]

A ResNet-18 is trained for a few steps; the statistics of all its weights, gradients, updates and activations
are computed at each. These rows are then written again and again, each time with fresh noise of a thousandth
(else the files would shrink by the repetition), together with ten scalars a step. 10^4 steps are written in
full; for 10^6 only four of the groups are, since the bar is on disk and what the others would add is thinned
to the same share.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bars import at_most

from unbug.store import create_run, open_reader, open_writer
from unbug.types import STORED_STATISTICS, Place, Series

RESULTS = Path(__file__).parent / "results"
REAL_STEPS = 12
SHORT_MB, LONG_MB = 50, 200


def statistics(tensor: Any) -> list[float]:
    """The stored statistics of a tensor, as the recorder has them."""
    data = tensor.detach().double().flatten().numpy()
    mean = float(data.mean())
    return [
        float(data.size),
        mean,
        float(((data - mean) ** 2).sum()),
        float(data.min()),
        float(data.max()),
        float((data == 0).sum()),
        0.0,
        0.0,
        float("nan"),
    ]


def real_summaries() -> tuple[list[tuple[str, str]], np.ndarray]:
    """`(quantity, place)` of each group, and statistics `(steps, groups, 9)`, of a ResNet-18 in training."""
    import torch
    from models import ResNet18

    torch.manual_seed(0)
    net = ResNet18()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    seen: dict[tuple[str, str], list[float]] = {}
    for path, module in net.named_modules():
        if not list(module.children()):

            def keep(_module: Any, _args: Any, output: Any, path: str = path) -> None:
                seen["activation", path] = statistics(output)

            module.register_forward_hook(keep)
    steps = []
    for _ in range(REAL_STEPS):
        loss = torch.nn.functional.cross_entropy(net(torch.randn(4, 3, 32, 32)), torch.randint(0, 10, (4,)))
        optimizer.zero_grad()
        loss.backward()
        before = {path: one.detach().clone() for path, one in net.named_parameters()}
        optimizer.step()
        for path, one in net.named_parameters():
            seen["weight", path] = statistics(one)
            seen["grad", path] = statistics(one.grad)
            seen["update", path] = statistics(one - before[path])
        steps.append(list(seen.values()))
    return list(seen), np.array(steps)


def replay(folder: Path, names: list[tuple[str, str]], real: np.ndarray, steps: int) -> dict[str, float]:
    """Write `steps` recorded steps; what came of it."""
    path, _ = create_run(folder, name="size")
    now = [0]
    writer = open_writer(path, clock_ns=lambda: now[0])
    groups = []
    for quantity, where in names:
        place = Place(path=where, kind="parameter", training=0)
        series = [Series(name=f"{quantity}.{statistic}", place=place) for statistic in STORED_STATISTICS]
        groups.append(writer.group(series, kind="detail"))
    scalars = writer.group([Series(name=f"s{at}", place=Place(path="loop", kind="loop")) for at in range(10)])
    noise = np.random.default_rng(0)
    batch = max(1, 1000 // len(groups))
    peak, start = 0, time.perf_counter()
    for first in range(0, steps, batch):
        some = np.arange(first, min(first + batch, steps))
        values = real[some % len(real)].copy()
        values[..., 1:3] *= 1 + 1e-3 * noise.normal(size=(*values.shape[:2], 2))
        values[..., 3:5] = (values[..., 3:5] * (1 + 1e-3 * noise.normal(size=(*values.shape[:2], 2)))).astype(
            np.float32
        )
        ten = noise.normal(size=(len(some), 10)).tolist()
        for step, rows, scalar in zip(some.tolist(), values.tolist(), ten, strict=True):
            t_ns = step * 1_000_000_000 + step % 977
            writer.row(scalars, scalar, t_ns=t_ns, training=0, step=step, phase=0)
            for group, row in zip(groups, rows, strict=True):
                writer.row(group, row, t_ns=t_ns, training=0, step=step, phase=0)
        now[0] = t_ns
        writer.flush()
        writer.maintain(budget_s=0.2)
        if first // batch % 100 == 0:
            peak = max(peak, _size(path))
    written_s = time.perf_counter() - start
    writer.maintain(budget_s=30)
    writer.close()
    reader = open_reader(path)
    ten_all = reader.read(reader.find(name="s0")[0])
    assert len(ten_all.step) == steps, "scalars are never thinned"
    quantity, where = names[0]
    kept = reader.read(reader.find(name=f"{quantity}.mean", place=where)[0]).step
    begun = time.perf_counter()
    for series in reader.series():
        reader.read(series)
    read_s = time.perf_counter() - begun
    return {
        "steps": steps,
        "groups": len(groups),
        "mb": _size(path) / 1e6,
        "peak_mb": peak / 1e6,
        "kept_steps": len(kept),
        "files": len(list(writer.folder.iterdir())),
        "write_s": written_s,
        "read_all_s": read_s,
    }


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--long", type=int, default=1_000_000)
    given = parser.parse_args()
    names, real = real_summaries()
    pick = np.linspace(0, len(names) - 1, 4).astype(int).tolist()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        found.append(replay(Path(folder), names, real, given.steps))
        found.append(replay(Path(folder), [names[at] for at in pick], real[:, pick], given.long))
    for one in found:
        print({name: round(value, 1) for name, value in one.items()})
    for one, bar in zip(found, (SHORT_MB, LONG_MB), strict=True):
        what = f"size of {one['steps']:,} recorded steps, {one['groups']} groups and ten scalars"
        note = f"{one['kept_steps']} steps of detail kept, at most {one['peak_mb']:.0f} MB meanwhile"
        at_most(what, one["mb"], bar, unit="MB", note=note)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "size.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

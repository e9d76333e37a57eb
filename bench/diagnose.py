"""How long a diagnosis takes: of a run of 100,000 steps with 200 layers, and of a wide one.

    python bench/diagnose.py [--steps 100000] [--layers 200] [--keep FOLDER]

Bar: <= 3 s of processor time for all rules on the first, once they are loaded. The run is written through the
store as the recorder does: what is cheap at every step, statistics of weights, gradients, updates and outputs
at the looks that a budget pays for. Besides, what loading the rules takes, and the rules that take longest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bars import at_most

from unbug.store import create_run, open_reader, open_writer
from unbug.types import STORED_STATISTICS, Phase, Place, Series, Training

DIAGNOSE_S, LOAD_S = 3.0, 1.0
LOOKS = 400
CHEAP = (
    ("loss.value", "loss"),
    ("step.time_s", "loop"),
    ("step.wait_s", "data"),
    ("grad.global_norm", "optimizer"),
)


class FakeClock:
    """A monotonic clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def write(path: Path, *, steps: int, layers: int, looks: int) -> None:
    """A healthy training: a loss that falls, weights that move a little, gradients that stay."""
    import numpy as np

    rng, clock = np.random.default_rng(0), FakeClock()
    writer = open_writer(path, clock_ns=clock)
    training = Training(number=0, steps=steps, optimizers=("Adam",), parameters=layers * 4096)
    writer.event("training", _fields(training), t_ns=0, training=0, step=0)
    writer.event("loop_order", {"order": "ZFBS", "file": "train.py", "line": 9}, t_ns=1, training=0, step=0)
    call = {"function": "cross_entropy", "file": "train.py", "line": 7, "calls": steps, "classes": 10}
    writer.event("loss_call", call | {"input_min": -4.0, "input_max": 5.0}, t_ns=1, training=0, step=0)
    weights = [
        Place(path=f"layers.{n}.weight", kind="parameter", training=0, shape=(64, 64), order=2 * n)
        for n in range(layers)
    ]
    outputs = [
        Place(
            path=f"layers.{n}",
            kind="module",
            training=0,
            order=2 * n + 1,
            class_name="torch.nn.modules.linear.Linear",
        )
        for n in range(layers)
    ]
    cheap = writer.group(
        [Series(name=name, place=Place(path=path, kind=path, training=0)) for name, path in CHEAP]
    )
    kinds = [
        ("weight", weights, 0.05),
        ("grad", weights, 1e-3),
        ("update", weights, 1e-5),
        ("activation", outputs, 1.0),
    ]
    groups = [
        (writer.group([Series(name=f"{kind}.{s}", place=place) for s in STORED_STATISTICS]), scale)
        for kind, places, scale in kinds
        for place in places
    ]
    ratios = [writer.group([Series(name="update.ratio", place=place)]) for place in weights]
    every = max(steps // looks, 1)
    for step in range(steps):
        clock.now = step * 10**7
        loss = 0.1 + 2.2 / (1 + step / 200) + 0.02 * float(rng.normal())
        at = {"t_ns": clock.now, "training": 0, "step": step, "phase": int(Phase.TRAIN)}
        writer.row(cheap, (loss, 0.01, 0.001, 1.0 + 0.1 * float(rng.normal())), **at)
        if step < 20 or step % every == 0:
            noise = 1 + 0.05 * rng.normal(size=len(groups))
            for (group, scale), factor in zip(groups, noise.tolist(), strict=True):
                size = scale * factor
                writer.row(
                    group, (4096.0, 0.0, 4096 * size**2, -3 * size, 3 * size, 0.0, 0.0, 0.0, 0.0), **at
                )
            for group in ratios:
                writer.row(group, (1e-3,), **at)
        if step % 5000 == 4999:
            writer.flush()
            writer.maintain()
    writer.close(deadline_s=60.0)


def _fields(training: Training) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(training) | {"ended": True}


def measure(path: Path, *, slowest: int = 8) -> float:
    """Processor seconds of a diagnosis; prints what it found and which rules took longest."""
    from unbug.detect import diagnose
    from unbug.detect.limited import Patience

    spent: dict[str, float] = {}
    ask = Patience.ask

    def timed(self, rule, call):
        began = time.process_time()
        try:
            return ask(self, rule, call)
        finally:
            spent[f"{rule.code} {rule.name}"] = (
                spent.get(f"{rule.code} {rule.name}", 0.0) + time.process_time() - began
            )

    Patience.ask = timed
    try:
        began = time.process_time()
        reader = open_reader(path)
        found = diagnose(reader)
        total = time.process_time() - began
    finally:
        Patience.ask = ask
    faults = [(fault.rule, fault.error) for fault in found.faults]
    print(f"  {total:.2f} s; found {[one.rule for one in found.findings]}; left out {faults}")
    for name, seconds in sorted(spent.items(), key=lambda pair: -pair[1])[:slowest]:
        print(f"    {seconds:6.3f} s  {name}")
    return total


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument(
        "--keep", type=Path, help="folder of the runs; those that are there are not written again"
    )
    options = parser.parse_args(arguments)
    began = time.process_time()
    from unbug.detect import rules

    count = len(rules())
    loading = time.process_time() - began
    with tempfile.TemporaryDirectory(prefix="unbug-bench-") as temporary:
        folder = options.keep or Path(temporary)
        long = _made(folder, "long", steps=options.steps, layers=options.layers, looks=LOOKS)
        print(f"{options.steps:,} steps, {options.layers} layers:")
        what = f"diagnosis of {options.steps:,} steps with {options.layers} layers"
        at_most(what, measure(long), DIAGNOSE_S, unit="s", note=f"{count} rules, processor time")
        wide = _made(folder, "wide", steps=40, layers=2_500, looks=20)
        print("90,000 series of statistics, 2,500 layers, 40 steps:")
        measure(wide)
    at_most("loading the rules", loading, LOAD_S, unit="s", note=f"{count} rules, processor time")
    return 0


def _made(folder: Path, name: str, **size: int) -> Path:
    path = folder / name
    if not path.exists():
        path, _ = create_run(folder, name=name)
        write(path, **size)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

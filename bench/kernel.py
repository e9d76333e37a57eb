"""What looking at weights and gradients costs, side by side with TensorBoard's and W&B's histograms.

    python bench/kernel.py [--rounds 15]

The kernel is that of the wheel: one is built, unpacked, and imported by a fresh process on one core. A
round takes all stored statistics and the exact exponent histogram of every weight and gradient, packed as
stored. TensorBoard: `add_histogram` of the same tensors; W&B: what `watch(log="all")` does with each of them,
committed once. Processor time is stated, of all threads of the process, so that a busy machine says the same;
W&B's service, a process of its own, is not charged. Then the same on one tensor of many distributions.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bars import at_least, at_most

REPO = Path(__file__).parent.parent
LIMITS_MS = {"mlp": 1.0, "resnet": 18.0, "transformer": 20.0}
STEPS = {"mlp": 20, "resnet": 2, "transformer": 2}
TENSORBOARD, WANDB = 50.0, 18.0
SLOWEST = 89.4 / LIMITS_MS["resnet"]  # the MB of ResNet-18 in its time
ELEMENTS = 2_000_000


def build_wheel(folder: Path) -> Path:
    """Where the unpacked wheel of this source lies."""
    options = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q", "-w", str(folder))
    environment = {**os.environ, "UNBUG_KERNEL": "require"}
    subprocess.run([sys.executable, "-m", "pip", "wheel", str(REPO), *options], check=True, env=environment)
    site = folder / "site"
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(site)
    return site


def milliseconds(look: Callable[[], None], rounds: int) -> list[float]:
    """Processor time of each round."""
    look()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        look()
        taken.append((time.process_time() - began) * 1e3)
    return taken


class Peers:
    """TensorBoard and W&B, both writing into a folder; W&B offline."""

    def __init__(self, folder: Path) -> None:
        os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(folder)}
        import wandb
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))
        self.run = wandb.init(project="bench", dir=str(folder), settings=wandb.Settings(console="off"))
        self.step = 0

    def tensorboard(self, tensors: Sequence) -> None:
        self.step += 1
        for number, tensor in enumerate(tensors):
            self.writer.add_histogram(str(number), tensor, self.step)
        self.writer.flush()

    def wandb(self, tensors: Sequence) -> None:
        for number, tensor in enumerate(tensors):
            self.run._torch.log_tensor_stats(tensor, str(number))  # what its hooks call
        self.run.log({})

    def close(self) -> None:
        self.writer.close()
        self.run.finish()


def measure(site: Path, folder: Path, rounds: int) -> None:
    """Everything, in a process of its own."""
    import torch

    import unbug
    from unbug.numerics import Scratch, kernel_state
    from unbug.record.tensors import squares_of, summaries_of, summary_of

    if site not in Path(unbug.__file__).parents:
        raise SystemExit(f"{unbug.__file__} is not of the wheel")
    torch.set_num_threads(1)
    scratch = Scratch()
    peers = Peers(folder)
    instructions = kernel_state()[0]
    print(f"instructions: {instructions}", flush=True)

    def compare(tensors: Sequence, times: int) -> tuple[list[float], float, float]:
        """Ours, and how many times as long the others take."""

        def look() -> None:
            for tensor in tensors:
                summary_of(tensor, scratch)

        ours = milliseconds(look, times)
        base = statistics.median(ours)
        # Theirs in turn, and ours once more: the machine may have changed.
        board = statistics.median(milliseconds(lambda: peers.tensorboard(tensors), 3))
        watch = statistics.median(milliseconds(lambda: peers.wandb(tensors), 3))
        base = max(base, statistics.median(milliseconds(look, times)))
        return ours, board / base, watch / base

    from models import MODELS

    for name, limit in LIMITS_MS.items():
        tensors = tensors_of(MODELS[name](), STEPS[name])
        size = sum(tensor.nbytes for tensor in tensors)
        ours, board, watch = compare(tensors, rounds)
        copy = min(milliseconds(lambda tensors=tensors: [tensor.clone() for tensor in tensors], 5))
        note = f"median of {rounds}, least {min(ours):.2f}; {len(tensors)} tensors, {size / 1e6:.1f} MB"
        note += f"; copying them takes {copy:.2f} ms; {instructions}"
        at_most(
            f"kernel, weights and gradients of {name}", statistics.median(ours), limit, unit="ms", note=note
        )
        at_least(f"kernel, {name}: TensorBoard add_histogram", board, TENSORBOARD, unit="x as long")
        at_least(f"kernel, {name}: wandb.watch(log='all')", watch, WANDB, unit="x as long")

    worst: dict[str, tuple[float, str]] = {}
    rates = []
    for name, values in distributions(ELEMENTS).items():
        ours, board, watch = compare([values], rounds)
        took = statistics.median(ours)
        read = statistics.median(milliseconds(lambda values=values: squares_of(values, scratch), rounds))
        rate = values.nbytes / took / 1e6
        print(f"{name:22} {rate:5.1f} GB/s  TensorBoard {board:5.0f}x  wandb {watch:5.0f}x", flush=True)
        rates.append((rate, name))
        for peer, times in (("TensorBoard", board), ("W&B", watch)):
            note = f"least of all, on {name}; reading the values and no more: {times * took / read:.0f} x"
            worst[peer] = min(worst.get(peer, (times, note)), (times, note))
    slowest, fastest = min(rates), max(rates)
    note = f"on {slowest[1]}; the fastest is {fastest[1]}, {fastest[0]:.1f} GB/s"
    at_least("kernel, any distribution: rate", slowest[0], SLOWEST, unit="GB/s", note=note)
    for peer, limit in (("TensorBoard", TENSORBOARD), ("W&B", WANDB)):
        at_least(
            f"kernel, any distribution: {peer}", worst[peer][0], limit, unit="x as long", note=worst[peer][1]
        )

    many = [torch.randn(64) for _ in range(10_000)]
    each = milliseconds(lambda: [summary_of(tensor, scratch) for tensor in many], 5)
    batch = milliseconds(lambda: summaries_of(many, scratch), 5)
    note = f"10,000 tensors of 64; {min(batch) / 10:.2f} us each in one call, without exponents"
    at_most("kernel, a small tensor", statistics.median(each) / 10, 3.0, unit="us", note=note)
    peers.close()


def tensors_of(step: Callable, steps: int) -> list:
    """Weights and gradients of a model after some steps."""
    import torch

    for _ in range(steps):
        loss = step()
    seen: dict[int, torch.Tensor] = {}
    todo, known = [loss.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is None or node in known:
            continue
        known.add(node)
        if hasattr(node, "variable"):
            seen[id(node.variable)] = node.variable
        todo += [parent for parent, _ in node.next_functions]
    weights = [weight.detach() for weight in seen.values()]
    return weights + [weight.grad for weight in seen.values() if weight.grad is not None]


def distributions(size: int) -> dict:
    """Tensors that are easy or hard for one way of counting or the other; all finite, as the peers need."""
    import torch

    random = torch.Generator().manual_seed(0)
    normal = torch.randn(size, generator=random)
    chance = torch.rand(size, generator=random)
    return {
        "normal": normal,
        "weights": normal * 0.02,
        "half zeros": normal.relu(),
        "1 % not zero": torch.where(chance < 0.01, normal, 0),
        "heavy tail": normal**5,
        "log-normal": torch.exp(4 * normal),
        "an outlier in 1000": torch.where(chance < 0.001, 1e20, normal),
        "constant": torch.full((size,), 0.1),
        "large mean": normal + 1e5,
        "subnormal": normal * 1e-41,
        "every exponent": torch.exp2(chance * 250 - 125),
    }


def main() -> None:
    """Build, then measure on the last core."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--measure", nargs=2, type=Path, metavar=("SITE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure, options.rounds)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        site = build_wheel(folder)
        command = [
            sys.executable,
            __file__,
            "--rounds",
            str(options.rounds),
            "--measure",
            str(site),
            str(folder),
        ]
        if hasattr(os, "sched_getaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "UNBUG_KERNEL": "on"}
        subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()

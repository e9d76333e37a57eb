"""The trainings that unbug is measured on where there is a CUDA device: `build(NAME)` gives a `step()`.

Unlike those of `models.py` they are of the sizes that one trains on such a device, and differ in what a
device's programs differ in: precision, loss scaling, kind of optimizer, compiler, graphs, streams, loaders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from models import Language, ResNet18  # type: ignore[import-not-found]
from torch import nn

__all__ = ["KINDS", "Kind", "Training", "build"]

BATCHES = 4


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a training is made.

    Args:
        model: `mlp`, `resnet`, `small` (a transformer, 12 million parameters) or `gpt` (124 million).
        precision: `fp32`, `bf16` (autocast) or `fp16` (autocast, and the loss is scaled).
        form: `plain`; `compiled`; `forward graph` (`make_graphed_callables`); `whole graph` (the step is
            captured, then replayed); `streams` (every other step on a second stream); `loader` (batches come
            from a DataLoader, pinned, copied without waiting).
        waits: Whether the program itself waits for the device in each step.
    """

    model: str
    precision: str = "fp32"
    optimizer: str = "fused"
    form: str = "plain"
    waits: bool = False


KINDS = {
    "mlp": Kind(model="mlp"),
    "mlp foreach": Kind(model="mlp", optimizer="foreach"),
    "mlp loader": Kind(model="mlp", form="loader"),
    "mlp streams": Kind(model="mlp", form="streams"),
    "mlp forward graph": Kind(model="mlp", form="forward graph"),
    "mlp whole graph": Kind(model="mlp", form="whole graph"),
    "resnet fp16": Kind(model="resnet", precision="fp16", optimizer="sgd", waits=True),
    "resnet bf16": Kind(model="resnet", precision="bf16", optimizer="sgd"),
    "small": Kind(model="small", optimizer="foreach"),
    "small fp16": Kind(model="small", precision="fp16", waits=True),
    "small compiled": Kind(model="small", precision="bf16", form="compiled"),
    "gpt": Kind(model="gpt", precision="bf16"),
}

_SIZES = {"small": (8, 128, 4096, 384, 6, 6), "gpt": (16, 512, 50304, 768, 12, 12)}
"""Examples, length, words, width, depth, heads."""


@dataclass(frozen=True, eq=False)
class Training:
    """`step()` makes a step and gives its loss, on the device."""

    step: Callable[[], torch.Tensor]
    net: nn.Module


def build(name: str, *, seed: int = 0) -> Training:
    """Make the training of a name of `KINDS`."""
    kind = KINDS[name]
    torch.manual_seed(seed)
    with torch.device("cuda"):
        net, batches = _net(kind.model)
    optimizer = _optimizer(kind.optimizer, net)
    called: Any = net
    if kind.form == "compiled":
        called = torch.compile(net)
    elif kind.form == "forward graph":
        called = torch.cuda.make_graphed_callables(net, (batches[0][0].clone(),))
    scaler = torch.amp.GradScaler("cuda") if kind.precision == "fp16" else None
    half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(kind.precision)

    def make(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=half, enabled=half is not None):
            answer = called(x)
            loss = F.cross_entropy(answer.flatten(0, -2), y.flatten())
        if scaler is None:
            loss.backward()
            if kind.model in _SIZES:
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            return loss
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    if kind.form == "whole graph":
        return Training(_captured(net, optimizer, batches), net)
    source = _loaded(batches) if kind.form == "loader" else _in_turn(batches)
    if kind.form == "streams":
        return Training(_two_streams(make, source), net)
    return Training(lambda: make(*next(source)), net)


def _net(model: str) -> tuple[nn.Module, list[tuple[torch.Tensor, torch.Tensor]]]:
    if model == "mlp":
        net: nn.Module = nn.Sequential(
            nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10)
        )
        return net, [(torch.randn(1024, 784), torch.randint(0, 10, (1024,))) for _ in range(BATCHES)]
    if model == "resnet":
        shape = (512, 3, 32, 32)
        return ResNet18(), [(torch.randn(shape), torch.randint(0, 10, (512,))) for _ in range(BATCHES)]
    examples, length, words, width, depth, heads = _SIZES[model]
    net = Language(words=words, length=length, width=width, depth=depth, heads=heads)
    texts = [torch.randint(0, words, (examples, length + 1)) for _ in range(BATCHES)]
    return net, [(text[:, :-1].contiguous(), text[:, 1:].contiguous()) for text in texts]


def _optimizer(kind: str, net: nn.Module) -> torch.optim.Optimizer:
    if kind == "sgd":
        return torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    return torch.optim.AdamW(net.parameters(), lr=3e-4, fused=kind == "fused", foreach=kind == "foreach")


def _in_turn(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    while True:
        yield from batches


def _loaded(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    x, y = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, batch_size=len(batches[0][0]), pin_memory=True)
    while True:
        for one, other in loader:
            yield one.to("cuda", non_blocking=True), other.to("cuda", non_blocking=True)


def _two_streams(
    make: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    source: Iterator[tuple[torch.Tensor, torch.Tensor]],
) -> Callable[[], torch.Tensor]:
    side, made = torch.cuda.Stream(), 0

    def step() -> torch.Tensor:
        nonlocal made
        made += 1
        if made % 2:
            return make(*next(source))
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            loss = make(*next(source))
        torch.cuda.current_stream().wait_stream(side)
        return loss

    return step


def _captured(
    net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[tuple[torch.Tensor, torch.Tensor]]
) -> Callable[[], torch.Tensor]:
    """As in torch's notes on graphs: some steps on a side stream, one captured, then replays."""
    for group in optimizer.param_groups:
        group["capturable"] = True
    x, y = (part.clone() for part in batches[0])

    def make() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    graph, made, kept = torch.cuda.CUDAGraph(), 0, torch.zeros((), device="cuda")

    def step() -> torch.Tensor:
        nonlocal made, kept
        made += 1
        if made <= 5:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                kept = make()
            torch.cuda.current_stream().wait_stream(side)
            return kept
        if made == 6:
            with torch.cuda.graph(graph):
                kept = make()
        one, other = batches[made % len(batches)]
        x.copy_(one)
        y.copy_(other)
        graph.replay()
        return kept

    return step

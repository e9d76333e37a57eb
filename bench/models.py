"""The trainings that costs are measured on, each as a function that returns a `step()` closure.

Data are made up front, so that a step is forward, loss, backward and optimizer. On one core a bare
step takes about 7 ms (MLP), 1.1 s (ResNet-18) and 0.85 s (transformer).
The last three are large in one way each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["MODELS", "Step", "billion", "deep", "mlp", "resnet", "transformer", "wide"]

Step = Callable[[], torch.Tensor]
BATCHES = 8


def mlp(*, seed: int = 0, batch: int = 128) -> Step:
    """784-512-512-10, cross-entropy, Adam."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    batches = [(torch.randn(batch, 784), torch.randint(0, 10, (batch,))) for _ in range(BATCHES)]
    return _classify(net, optimizer, batches)


def resnet(*, seed: int = 0, batch: int = 32) -> Step:
    """ResNet-18 as for 32x32 images (3x3 stem, no pooling), cross-entropy, SGD with momentum."""
    torch.manual_seed(seed)
    net = ResNet18()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    batches = [(torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))) for _ in range(BATCHES)]
    return _classify(net, optimizer, batches)


def transformer(*, seed: int = 0, batch: int = 8, length: int = 128, words: int = 4096) -> Step:
    """Six causal layers of width 384, tied embeddings, next-word cross-entropy, AdamW, clipping by norm."""
    torch.manual_seed(seed)
    net = Language(words=words, length=length)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-4)
    batches = [torch.randint(0, words, (batch, length + 1)) for _ in range(BATCHES)]
    turn = 0

    def step() -> torch.Tensor:
        nonlocal turn
        tokens = batches[turn % BATCHES]
        turn += 1
        optimizer.zero_grad()
        loss = F.cross_entropy(net(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss

    return step


def _classify(
    net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[tuple[torch.Tensor, torch.Tensor]]
) -> Step:
    turn = 0

    def step() -> torch.Tensor:
        nonlocal turn
        x, y = batches[turn % BATCHES]
        turn += 1
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return self.relu(y)


class ResNet18(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        )
        layers, inputs = [], 64
        for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers.append(nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)))
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.stem(x)).mean((2, 3)))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        examples, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(examples, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(examples, length, width))
        return x + self.mlp(self.norm2(x))


class Language(nn.Module):
    def __init__(self, *, words: int, length: int, width: int = 384, depth: int = 6, heads: int = 6) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.words.weight
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.words(tokens) + self.places.weight[: tokens.shape[1]]
        return self.head(self.norm(self.layers(x)))


def wide(*, count: int = 10_000, size: int = 64, batch: int = 32) -> Step:
    """10,000 parameters of 64 elements, mean squared error, SGD."""
    torch.manual_seed(0)
    pieces = nn.ParameterList(nn.Parameter(torch.randn(size) / size) for _ in range(count))
    net = Pieces(pieces)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    x, y = torch.randn(batch, size), torch.randn(batch, count)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def deep(*, depth: int = 200, width: int = 64, batch: int = 4, length: int = 32, words: int = 256) -> Step:
    """200 causal layers of width 64, next-word cross-entropy, AdamW."""
    torch.manual_seed(0)
    net = Language(words=words, length=length, width=width, depth=depth, heads=4)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-4)
    batches = [torch.randint(0, words, (batch, length + 1)) for _ in range(BATCHES)]
    examples = [(tokens[:, :-1], tokens[:, 1:].flatten()) for tokens in batches]
    return _classify(nn.Sequential(net, nn.Flatten(0, 1)), optimizer, examples)


def billion(*, tables: int = 8, rows: int = 2_000_000, width: int = 64, batch: int = 1024) -> Step:
    """1.02 billion elements in embeddings with sparse gradients, cross-entropy, SGD."""
    torch.manual_seed(0)
    net = Tables([torch.from_numpy(np.zeros((rows, width), np.float32)) for _ in range(tables)], classes=16)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    examples = [
        (torch.randint(0, rows, (batch, tables)), torch.randint(0, 16, (batch,))) for _ in range(BATCHES)
    ]
    return _classify(net, optimizer, examples)


class Pieces(nn.Module):
    def __init__(self, pieces: nn.ParameterList) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ torch.stack(list(self.pieces)).T


class Tables(nn.Module):
    def __init__(self, weights: list[torch.Tensor], *, classes: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(*one.shape, _weight=one, sparse=True) for one in weights)
        self.head = nn.Sequential(nn.Linear(weights[0].shape[1], 2048), nn.ReLU(), nn.Linear(2048, classes))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(
            torch.stack([table(one) for table, one in zip(self.tables, ids.T, strict=True)]).sum(0)
        )


MODELS: dict[str, Callable[[], Step]] = {
    "mlp": mlp,
    "resnet": resnet,
    "transformer": transformer,
    "wide": wide,
    "deep": deep,
    "billion": billion,
}

"""Programs whose evaluation or one of whose optimizers goes wrong, and healthy ones that look alike."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tests.detect.programs_healthy import blobs


def _net() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 4))


def _classify(model: nn.Module, *, evaluating: bool, epochs: int = 3) -> float:
    x, y = blobs()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(epochs):
        model.train()
        for part in torch.randperm(len(x) - 64).split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
        if evaluating:
            model.eval()
        with torch.no_grad():
            right = (model(x[-64:]).argmax(1) == y[-64:]).float().mean()
    return float(right)


def accuracy_in_training_mode() -> None:
    _classify(_net(), evaluating=False)


def accuracy_in_evaluation_mode() -> None:
    _classify(_net(), evaluating=True)


def accuracy_of_a_model_without_modes() -> None:
    _classify(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.0), nn.Linear(16, 4)), evaluating=False)


def _compete(*, clear: str = "dg", step: str = "dg", steps: int = 40) -> None:
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    judge = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    makes = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.99))
    judges = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.99))
    one, none = torch.ones(32, 1), torch.zeros(32, 1)
    for _ in range(steps):
        real = torch.randn(32, 2) * 0.3 + torch.tensor([1.0, -1.0])
        fake = generator(torch.randn(32, 4))
        if "d" in clear:
            judges.zero_grad()
        bce = F.binary_cross_entropy_with_logits
        (bce(judge(real), one) + bce(judge(fake.detach()), none)).backward()
        if "d" in step:
            judges.step()
        if "g" in clear:
            makes.zero_grad()
        bce(judge(fake), one).backward()
        if "g" in step:
            makes.step()


def judge_is_never_cleared() -> None:
    _compete(clear="g")


def generator_is_never_stepped() -> None:
    _compete(step="d")


def generator_and_judge() -> None:
    _compete()


def cut_inside_a_closure() -> None:
    """As Lightning trains: forward and backward run inside the step."""
    x, y = blobs()
    encoder, head = nn.Sequential(nn.Linear(8, 16), nn.ReLU()), nn.Linear(16, 4)
    model = nn.ModuleDict({"encoder": encoder, "head": head})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = model

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return head(encoder(rows).detach())

    net = Net()
    for part in torch.randint(0, len(x), (12, 32)):

        def closure(part: torch.Tensor = part) -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[part]), y[part])
            loss.backward()
            return loss

        optimizer.step(closure)


SICK = {
    cut_inside_a_closure: "M103",
    accuracy_in_training_mode: "T140",
    judge_is_never_cleared: "T101",
    generator_is_never_stepped: "T141",
}
HEALTHY = (accuracy_in_evaluation_mode, accuracy_of_a_model_without_modes, generator_and_judge)

"""Programs whose loop, optimizer or numbers go wrong, and healthy ones that look alike."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from tests.detect.programs_healthy import blobs, mlp


def batches(count: int, size: int = 32) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    x, y = blobs()
    for part in torch.randint(0, len(x), (count, size)):
        yield x[part], y[part]


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    count: int = 120,
    *,
    clip: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> None:
    for x, y in batches(count):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        clip()
        optimizer.step()
        after()


def momentum_of_almost_one() -> None:
    model, true = nn.Linear(8, 1), torch.randn(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.999)
    for _ in range(150):
        x = torch.randn(64, 8)
        optimizer.zero_grad()
        F.mse_loss(model(x), x @ true).backward()
        optimizer.step()


def decay_eats_the_weights() -> None:
    model = mlp(8, 32, 4)
    train(model, torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=60.0), 80)


def rate_a_thousand_times_too_low() -> None:
    model = mlp(8, 32, 4)
    train(model, torch.optim.SGD(model.parameters(), lr=1e-5), 80)


def cosine_of_epochs_in_every_batch() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    train(model, optimizer, after=lr_scheduler.CosineAnnealingLR(optimizer, T_max=8).step)


def warm_up_as_long_as_ten_trainings() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / 10_000)
    train(model, optimizer, 80, after=schedule.step)


def one_cycle_never_stepped() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=80)
    train(model, optimizer, 80)


def scheduler_of_the_old_optimizer() -> None:
    model = mlp(8, 32, 4)
    schedule = lr_scheduler.StepLR(torch.optim.SGD(model.parameters(), lr=0.1), 30)
    train(model, torch.optim.SGD(model.parameters(), lr=0.1), 80, after=schedule.step)


def new_adam_each_epoch() -> None:
    model = mlp(8, 32, 4)
    for _ in range(6):
        train(model, torch.optim.Adam(model.parameters(), lr=1e-2), 10)


def target_network_stays() -> None:
    online = mlp(8, 32, 4)
    target = copy.deepcopy(online)
    optimizer = torch.optim.Adam(online.parameters(), lr=1e-3)
    for x, _ in batches(80):
        with torch.no_grad():
            wanted = x[:, :1] + 0.9 * target(x).amax(1, keepdim=True)
        optimizer.zero_grad()
        F.smooth_l1_loss(online(x).gather(1, torch.zeros(len(x), 1, dtype=torch.long)), wanted).backward()
        optimizer.step()


def step_once_an_epoch() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(4):
        for x, y in batches(20):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
        optimizer.step()


def clipped_after_the_step() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    train(model, optimizer, 20, after=lambda: nn.utils.clip_grad_norm_(model.parameters(), 1.0))


def clipped_to_signs() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    train(model, optimizer, 30, clip=lambda: nn.utils.clip_grad_value_(model.parameters(), 1e-7))


def nan_made_zero() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches(30):
        optimizer.zero_grad()
        out = model(x)
        (F.cross_entropy(out, y) + (out * 0).square().sum().sqrt()).backward()
        for parameter in model.parameters():
            parameter.grad.nan_to_num_()
        optimizer.step()


def weights_in_sixteen_bits() -> None:
    model = mlp(8, 32, 4).bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    for x, y in batches(40):
        optimizer.zero_grad()
        F.cross_entropy(model(x.bfloat16()).float(), y).backward()
        optimizer.step()


SICK = {
    momentum_of_almost_one: "O103",
    decay_eats_the_weights: "O104",
    rate_a_thousand_times_too_low: "O105",
    cosine_of_epochs_in_every_batch: "O106",
    warm_up_as_long_as_ten_trainings: "O107",
    one_cycle_never_stepped: "O108",
    scheduler_of_the_old_optimizer: "O109",
    new_adam_each_epoch: "O110",
    target_network_stays: "T106",
    step_once_an_epoch: "T107",
    clipped_after_the_step: "G105",
    clipped_to_signs: "G106",
    nan_made_zero: "N104",
    weights_in_sixteen_bits: "N106",
}
"""Program -> the rule that names it first."""


def momentum_of_99_and_a_low_rate() -> None:
    model = mlp(8, 32, 4)
    train(model, torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.99), 200)


def restarts() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    train(model, optimizer, after=lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 20).step)


def one_cycle() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    train(model, optimizer, after=lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=120).step)


def phases_with_their_own_optimizers() -> None:
    model = mlp(8, 32, 4)
    train(model, torch.optim.Adam(model[-1].parameters(), lr=1e-2), 40)
    train(model, torch.optim.Adam(model.parameters(), lr=1e-3), 40)
    train(model, torch.optim.Adam(model.parameters(), lr=1e-4), 40)


def frozen_reference_of_a_trained_model() -> None:
    model = mlp(8, 32, 4)
    train(model, torch.optim.Adam(model.parameters(), lr=1e-2), 40)
    reference = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, y in batches(60):
        with torch.no_grad():
            before = reference(x).log_softmax(1)
        optimizer.zero_grad()
        now = model(x).log_softmax(1)
        (F.nll_loss(now, y) + F.kl_div(now, before, log_target=True, reduction="batchmean")).backward()
        optimizer.step()


def free_adversarial_training() -> None:
    """Its inner loop clears gradients that no step uses."""
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in batches(40):
        moved = x.clone().requires_grad_()
        for _ in range(7):
            model.zero_grad()
            F.cross_entropy(model(moved), y).backward()
            moved = (moved + 0.01 * moved.grad.sign()).detach().requires_grad_()
        optimizer.zero_grad()
        F.cross_entropy(model(moved), y).backward()
        optimizer.step()


def weights_in_sixteen_bits_that_move() -> None:
    model = mlp(8, 32, 4).bfloat16()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for x, y in batches(60):
        optimizer.zero_grad()
        F.cross_entropy(model(x.bfloat16()).float(), y).backward()
        optimizer.step()


HEALTHY = (
    momentum_of_99_and_a_low_rate,
    restarts,
    one_cycle,
    phases_with_their_own_optimizers,
    frozen_reference_of_a_trained_model,
    free_adversarial_training,
    weights_in_sixteen_bits_that_move,
)

"""Healthy training programs of many kinds. No rule may raise an alert on any of them."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F


def blobs(n: int = 256, classes: int = 4, width: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Points around one centre for each class, in mixed order."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n,), generator=g)
    centres = 2.0 * torch.randn(classes, width, generator=g)
    return centres[y] + 0.7 * torch.randn(n, width, generator=g), y


def mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def classify(model, optimizer, *, epochs=12, after=None, loss=F.cross_entropy, data=None, clip=None) -> None:
    x, y = data or blobs()
    for epoch in range(epochs):
        model.train()
        for part in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            value = loss(model(x[part]), y[part])
            value.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
        if after is not None:
            after(epoch)


def plain_without_validation() -> None:
    model = mlp(8, 32, 4)
    classify(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))


def three_steps() -> None:
    model = mlp(8, 16, 4)
    optimizer = torch.optim.Adam(model.parameters())
    x, y = blobs()
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def gan() -> None:
    generator, judge = mlp(4, 32, 2), mlp(2, 32, 1)
    of_generator = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    of_judge = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.999))
    bce = F.binary_cross_entropy_with_logits
    for _ in range(80):
        real = torch.randn(64, 2) * 0.3 + 1
        fake = generator(torch.randn(64, 4))
        of_judge.zero_grad()
        (bce(judge(real), torch.ones(64, 1)) + bce(judge(fake.detach()), torch.zeros(64, 1))).backward()
        of_judge.step()
        of_generator.zero_grad()
        bce(judge(fake), torch.ones(64, 1)).backward()
        of_generator.step()


def least_squares_gan_with_batch_norm() -> None:
    generator = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
    judge = mlp(2, 32, 1)
    of_generator = torch.optim.RMSprop(generator.parameters(), lr=1e-3)
    of_judge = torch.optim.RMSprop(judge.parameters(), lr=1e-3)
    for _ in range(60):
        with torch.no_grad():
            fake = generator(torch.randn(64, 4))
        of_judge.zero_grad()
        real = torch.randn(64, 2) * 0.3 + 1
        (F.mse_loss(judge(real), torch.ones(64, 1)) + F.mse_loss(judge(fake), torch.zeros(64, 1))).backward()
        of_judge.step()
        of_generator.zero_grad()
        F.mse_loss(judge(generator(torch.randn(64, 4))), torch.ones(64, 1)).backward()
        of_generator.step()


def policy_gradient() -> None:
    policy = mlp(4, 32, 2)
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    for _ in range(60):
        states = torch.randn(32, 4)
        choice = torch.distributions.Categorical(logits=policy(states))
        action = choice.sample()
        reward = ((states[:, 0] > 0).long() == action).float()
        loss = -(choice.log_prob(action) * (reward - reward.mean())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def q_learning() -> None:
    """The loss rises as the values grow: no measure of progress."""
    online, target = mlp(4, 32, 2), mlp(4, 32, 2)
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=2e-3)
    for step in range(120):
        state, following = torch.randn(64, 4), torch.randn(64, 4)
        with torch.no_grad():
            online(state[:1]).argmax()
            wanted = 1 + state[:, 0].clamp(0) + 0.98 * target(following).max(1).values
        value = online(state).gather(1, torch.randint(0, 2, (64, 1))).squeeze(1)
        optimizer.zero_grad()
        F.smooth_l1_loss(value, wanted).backward()
        nn.utils.clip_grad_norm_(online.parameters(), 10.0)
        optimizer.step()
        if step % 10 == 0:
            target.load_state_dict(online.state_dict())


def warm_up_and_cosine() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)

    def rate(step: int) -> float:
        return step / 20 if step < 20 else 0.5 * (1 + math.cos(math.pi * min(1.0, (step - 20) / 80)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    x, y = blobs()
    for _ in range(13):
        for part in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
            schedule.step()


def plateau_of_noise() -> None:
    """Half of the variance is noise: the loss falls at once, then stays."""
    x = torch.randn(512, 6)
    y = x[:, 0] + torch.randn(512)
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
    for _ in range(20):
        for part in torch.randperm(512).split(64):
            optimizer.zero_grad()
            F.mse_loss(model(x[part]).squeeze(1), y[part]).backward()
            optimizer.step()
        with torch.no_grad():
            schedule.step(F.mse_loss(model(x).squeeze(1), y))


def k_fold() -> None:
    for fold in range(3):
        torch.manual_seed(fold)
        model = mlp(8, 16, 4)
        classify(model, torch.optim.Adam(model.parameters(), lr=1e-2), epochs=6, data=blobs(seed=fold))


def frozen_backbone() -> None:
    backbone, head = mlp(8, 32, 32), nn.Linear(32, 4)
    x, _ = blobs()
    before = nn.Sequential(backbone, nn.ReLU(), nn.Linear(32, 2))
    classify(before, torch.optim.Adam(before.parameters(), lr=1e-2), data=(x, (x.sum(1) > 0).long()))
    backbone.requires_grad_(False)
    model = nn.Sequential(backbone, nn.ReLU(), head)
    classify(model, torch.optim.Adam(head.parameters(), lr=1e-2))


def head_only_over_a_backbone_that_is_not_frozen() -> None:
    backbone, head = mlp(8, 32, 32), nn.Linear(32, 4)
    for one in backbone.parameters():
        nn.init.normal_(one, std=0.4)  # as weights that were learned are
    model = nn.Sequential(backbone, nn.ReLU(), head)
    classify(model, torch.optim.Adam(head.parameters(), lr=1e-2))


def sparse_embedding() -> None:
    words = torch.randint(0, 2000, (256, 12))
    y = (words[:, 0] % 4).long()
    words[:, 1:4] = (y * 5)[:, None] + torch.arange(3)
    table, out = nn.EmbeddingBag(2000, 16, sparse=True), nn.Linear(16, 4)
    first, second = (
        torch.optim.SparseAdam(table.parameters(), lr=0.02),
        torch.optim.Adam(out.parameters(), lr=0.02),
    )
    for _ in range(8):
        for part in torch.randperm(256).split(32):
            first.zero_grad()
            second.zero_grad()
            F.cross_entropy(out(table(words[part])), y[part]).backward()
            first.step()
            second.step()


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.mix = nn.GRU(16, 16, batch_first=True)
        self.out = nn.Linear(16, 20, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.mix(self.embed(x))[0])


def tied_weights_with_label_smoothing() -> None:
    model = Tied()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    start = torch.randint(0, 20, (128, 1))
    text = (start + torch.arange(9)) % 20
    for _ in range(60):
        rows = text[torch.randint(0, 128, (32,))]
        loss = F.cross_entropy(
            model(rows[:, :-1]).reshape(-1, 20), rows[:, 1:].reshape(-1), label_smoothing=0.2
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def dropout_and_batch_norm_with_evaluation() -> None:
    model = nn.Sequential(nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 4))
    x, y = blobs(seed=3)

    def evaluate(epoch: int) -> None:
        model.eval()
        with torch.no_grad():
            F.cross_entropy(model(x[:64]), y[:64])

    classify(model, torch.optim.Adam(model.parameters(), lr=5e-3), after=evaluate, data=(x, y))


def monte_carlo_dropout() -> None:
    model = nn.Sequential(nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 4))
    x, y = blobs()

    def evaluate(epoch: int) -> None:
        model.eval()
        model[3].train()
        with torch.no_grad():
            F.cross_entropy(torch.stack([model(x[:64]) for _ in range(3)]).mean(0), y[:64])

    classify(model, torch.optim.Adam(model.parameters(), lr=5e-3), after=evaluate)


def mean_teacher() -> None:
    student, teacher = (
        nn.Sequential(nn.Linear(8, 32), nn.Dropout(0.2), nn.ReLU(), nn.Linear(32, 4)) for _ in "ab"
    )
    optimizer = torch.optim.Adam(student.parameters(), lr=5e-3)
    x, y = blobs()
    for _ in range(12):
        for part in torch.randperm(len(x)).split(32):
            with torch.no_grad():
                soft = teacher(x[part]).softmax(1)
            out = student(x[part])
            loss = F.cross_entropy(out, y[part]) + 0.1 * F.mse_loss(out.softmax(1), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for mine, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
                    mine.lerp_(theirs, 0.05)


class Adapted(nn.Module):
    """A frozen layer with a low-rank addition whose second part starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(8, 32).requires_grad_(False)
        nn.init.normal_(self.base.weight, std=0.4)  # as weights that were learned are
        self.down, self.up = nn.Linear(8, 2, bias=False), nn.Linear(2, 32, bias=False)
        nn.init.zeros_(self.up.weight)
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.base(x) + self.up(self.down(x))))


def low_rank_adaptation() -> None:
    model = Adapted()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    classify(model, torch.optim.AdamW(trained, lr=1e-2))


def accumulation_with_clipping() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = blobs()
    for _ in range(15):
        for part in torch.randperm(len(x)).split(32):
            for micro in part.split(8):
                (F.cross_entropy(model(x[micro]), y[micro]) / 4).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()


def lbfgs() -> None:
    x, y = blobs()
    model = nn.Linear(8, 4)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(40):
        optimizer.step(closure)


def loss_scaling() -> None:
    """The scale is far too high at first: GradScaler skips those steps, as it should."""
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    x, y = blobs()
    for _ in range(12):
        for part in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x[part]), y[part])).backward()
            scaler.step(optimizer)
            scaler.update()


def fine_tuning_what_is_good_already() -> None:
    model = mlp(8, 32, 4)
    classify(model, torch.optim.Adam(model.parameters(), lr=1e-2), epochs=15)
    classify(model, torch.optim.SGD(model.parameters(), lr=1e-4), epochs=6)


def autoencoder_with_sigmoid_output() -> None:
    x = torch.rand(256, 16)
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 16), nn.Sigmoid())
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(12):
        for part in torch.randperm(256).split(32):
            optimizer.zero_grad()
            F.binary_cross_entropy(model(x[part]), x[part].round()).backward()
            optimizer.step()


def confident_tanh_output() -> None:
    """Targets of -1 and 1: the output saturates, as it should."""
    x, y = blobs(classes=2)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1), nn.Tanh())
    classify(
        model,
        torch.optim.Adam(model.parameters(), lr=2e-2),
        loss=lambda out, label: F.mse_loss(out.squeeze(1), 2.0 * label - 1),
        data=(x, y),
    )


class Distilled(nn.Module):
    """Hides its teacher in a list so that it is not saved, and keeps its last input for a saliency map."""

    def __init__(self) -> None:
        super().__init__()
        self.student = mlp(8, 32, 4)
        self.teacher = [mlp(8, 32, 4)]
        self.seen: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x.clone().requires_grad_()
        with torch.no_grad():
            soft = self.teacher[0](x)
        return self.student(self.seen) + 0.1 * soft


def hidden_teacher_and_kept_inputs() -> None:
    model = Distilled()
    classify(model, torch.optim.Adam(model.parameters(), lr=1e-2))


def outputs_that_are_kept_without_history() -> None:
    model = mlp(8, 512, 512)
    kept = []
    x, _ = blobs(512)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(60):
        out = model(x)
        loss = F.mse_loss(out, torch.zeros_like(out))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kept.append(out.detach())


PROGRAMS = (
    plain_without_validation,
    three_steps,
    gan,
    least_squares_gan_with_batch_norm,
    policy_gradient,
    q_learning,
    warm_up_and_cosine,
    plateau_of_noise,
    k_fold,
    frozen_backbone,
    head_only_over_a_backbone_that_is_not_frozen,
    sparse_embedding,
    tied_weights_with_label_smoothing,
    dropout_and_batch_norm_with_evaluation,
    monte_carlo_dropout,
    mean_teacher,
    low_rank_adaptation,
    accumulation_with_clipping,
    lbfgs,
    loss_scaling,
    fine_tuning_what_is_good_already,
    autoencoder_with_sigmoid_output,
    confident_tanh_output,
    hidden_teacher_and_kept_inputs,
    outputs_that_are_kept_without_history,
)

"""Training programs with one fault each, written apart from the corpus, and the rule that must name it
first."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tests.detect.programs_healthy import blobs, classify, mlp


def forgotten_zero_grad() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = blobs()
    for part in torch.randint(0, len(x), (40, 32)):
        F.cross_entropy(model(x[part]), y[part]).backward()
        optimizer.step()


def cleared_too_early() -> None:
    model = mlp(8, 32, 4)
    optimizer = torch.optim.Adam(model.parameters())
    x, y = blobs()
    for part in torch.randint(0, len(x), (40, 32)):
        F.cross_entropy(model(x[part]), y[part]).backward()
        model.zero_grad()
        optimizer.step()


def probabilities_for_cross_entropy() -> None:
    model = nn.Sequential(mlp(8, 32, 4), nn.Softmax(dim=1))
    classify(model, torch.optim.Adam(model.parameters(), lr=1e-2))


def sigmoid_twice() -> None:
    x = torch.randn(256, 8)
    y = (x[:, :3] > 0).float()
    model = nn.Sequential(mlp(8, 32, 3), nn.Sigmoid())
    classify(
        model,
        torch.optim.Adam(model.parameters(), lr=1e-2),
        loss=F.binary_cross_entropy_with_logits,
        data=(x, y),
    )


def column_against_row() -> None:
    x = torch.randn(256, 8)
    model = mlp(8, 16, 1)
    classify(
        model,
        torch.optim.Adam(model.parameters(), lr=1e-2),
        loss=lambda out, y: (lambda a, b: F.l1_loss(a, b))(out, y),
        data=(x, x[:, 0]),
    )


def square_root_of_zero() -> None:
    """The value is finite, its derivative is not."""
    model = mlp(8, 16, 1)
    with torch.no_grad():
        model[-1].weight.zero_()
        model[-1].bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, _ = blobs()
    for part in torch.randint(0, len(x), (10, 32)):
        optimizer.zero_grad()
        model(x[part]).square().sum().sqrt().backward()
        optimizer.step()


def missing_values_in_the_data() -> None:
    x, y = blobs()
    x[37, 3] = float("nan")
    model = mlp(8, 16, 4)
    classify(model, torch.optim.Adam(model.parameters()), epochs=2, data=(x, y))


def far_too_high_learning_rate() -> None:
    model = mlp(8, 64, 64, 4)
    classify(model, torch.optim.SGD(model.parameters(), lr=30.0), epochs=8)


def far_too_low_learning_rate() -> None:
    model = mlp(8, 64, 4)
    classify(model, torch.optim.SGD(model.parameters(), lr=1e-6), epochs=15)


def second_layer_forgotten() -> None:
    first, second = nn.Linear(8, 32), nn.Linear(32, 4)
    model = nn.Sequential(first, nn.ReLU(), second)
    classify(model, torch.optim.SGD(first.parameters(), lr=0.1))


def cut_by_numpy() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = nn.Linear(8, 16), nn.Linear(16, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.from_numpy(self.encoder(x).detach().numpy()))

    model = Cut()
    classify(model, torch.optim.SGD(model.parameters(), lr=0.1))


def all_weights_one() -> None:
    model = mlp(8, 32, 32, 4)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 1.0)
    classify(model, torch.optim.SGD(model.parameters(), lr=1e-3), epochs=5)


def validation_forgets_to_switch_back() -> None:
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x, y = blobs()
    model.train()
    for epoch in range(10):
        for part in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
        if epoch == 0:
            model.eval()


def evaluation_in_training_mode() -> None:
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 4))
    x, y = blobs()

    def evaluate(epoch: int) -> None:
        with torch.no_grad():
            F.cross_entropy(model(x[:64]), y[:64])

    classify(model, torch.optim.Adam(model.parameters(), lr=1e-2), after=evaluate)


def sorted_by_class() -> None:
    x, y = blobs(n=512)
    order = y.argsort()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x[order], y[order]), batch_size=32)
    model = mlp(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(4):
        for inputs, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()


def units_born_dead() -> None:
    model = mlp(8, 32, 32, 4)
    nn.init.constant_(model[2].bias, -50.0)
    classify(model, torch.optim.SGD(model.parameters(), lr=0.05))


def twelve_sigmoids() -> None:
    layers: list[nn.Module] = []
    for _ in range(8):
        layers += [nn.Linear(8, 8), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(8, 4))
    classify(model, torch.optim.SGD(model.parameters(), lr=0.05))


def clipped_to_nothing() -> None:
    model = mlp(8, 32, 4)
    classify(model, torch.optim.SGD(model.parameters(), lr=0.1), clip=1e-4)


def unscaled_inputs() -> None:
    x, y = blobs()
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 4))
    classify(model, torch.optim.SGD(model.parameters(), lr=0.05), data=(x * 500, y))


def unscaled_targets() -> None:
    x = torch.randn(256, 8)
    model = mlp(8, 32, 1)
    classify(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        loss=lambda out, y: F.mse_loss(out.squeeze(1), y),
        data=(x, 40_000 + 9_000 * x[:, 0]),
        epochs=2,
    )


class Stacked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(8, 32), nn.Linear(32, 4)
        self.middle = {str(n): nn.Linear(32, 32) for n in range(3)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.into(x))
        for layer in self.middle.values():
            h = torch.relu(layer(h))
        return self.out(h)


def layers_in_a_plain_dict() -> None:
    model = Stacked()
    classify(model, torch.optim.Adam(model.parameters(), lr=1e-2))


def sum_of_all_losses() -> None:
    model = mlp(8, 256, 256, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = blobs(2048)
    total = torch.zeros(())
    for _ in range(60):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        optimizer.step()
        total = total + loss


PROGRAMS = {
    forgotten_zero_grad: "T101",
    cleared_too_early: "T102",
    probabilities_for_cross_entropy: "L101",
    sigmoid_twice: "L102",
    column_against_row: "L103",
    square_root_of_zero: "N102",
    missing_values_in_the_data: "D108",
    far_too_high_learning_rate: "O101",
    far_too_low_learning_rate: "O105",
    second_layer_forgotten: "M101",
    layers_in_a_plain_dict: "M105",
    sum_of_all_losses: "R104",
    cut_by_numpy: "M103",
    all_weights_one: "M104",
    validation_forgets_to_switch_back: "T105",
    evaluation_in_training_mode: "T104",
    sorted_by_class: "D101",
    units_born_dead: "A101",
    twelve_sigmoids: "G103",
    clipped_to_nothing: "G104",
    unscaled_inputs: "D106",
    unscaled_targets: "G102",
}

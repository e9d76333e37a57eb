"""What is told of layers and of the wiring of a graph, against models whose wiring is known."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unbug.record.lines import loss_line
from unbug.record.targetfacts import target_facts
from unbug.record.wirednet import mixes


def train(net, loss_of, steps=4):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(net)
        loss.backward()
        optimizer.step()


def wired(record, net, loss_of):
    with record(every=1) as writer:
        train(net, loss_of)
    return writer.told("wiring")[0]


X = torch.randn(16, 6)


def test_linear_layers_in_a_row_are_paired_and_others_are_not(record):
    layers = nn.Linear(6, 12), nn.Dropout(0.2), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 8)
    net = nn.Sequential(*layers, nn.LayerNorm(8), nn.Linear(8, 3))
    found = wired(record, net, lambda model: model(X).square().mean())
    assert [(one["first"], one["second"]) for one in found["linear_pairs"]] == [("0", "2")]
    assert found["linear_pairs"][0]["through"] == ["Dropout"]
    assert found["weighted"] == 4 and found["batch"] == 16 and found["whole"]


def test_convolutions_behind_batchnorm_are_paired(record):
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1)
    )
    found = wired(record, net, lambda model: model(torch.randn(4, 1, 9, 9)).square().mean())
    assert [(one["first"], one["second"], one["through"]) for one in found["linear_pairs"]] == [
        ("0", "2", ["BatchNorm"])
    ]


def test_a_residual_or_a_second_use_is_no_pair(record):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x):
            h = self.a(x)
            return self.c(h + self.b(h))

    assert wired(record, Net(), lambda model: model(X).square().mean())["linear_pairs"] == []


def test_attention_leaves_no_trace_of_a_fault(record):
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)
    found = wired(record, net, lambda model: model(torch.randn(5, 7, 8)).square().mean())
    for name in ("linear_pairs", "softmaxes", "views", "squashed_twice", "norms", "reused", "spread_out"):
        assert found[name] == [], name
    assert {one["rate"] for one in found["drops"]} == {0.1}


class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.dim = dim

    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(1, 2) / 8**0.5
        return torch.softmax(scores, dim=self.dim) @ self.v(x)


def test_a_softmax_over_queries_is_told_with_what_is_summed(record):
    data = torch.randn(4, 5, 8)
    found = wired(record, Attention(1), lambda model: model(data).square().mean())["softmaxes"]
    assert [(one["dim"], one["summed"]) for one in found] == [(1, 2)]
    assert found[0]["line"] > Attention.__init__.__code__.co_firstlineno
    assert wired(record, Attention(2), lambda model: model(data).square().mean())["softmaxes"] == []


def test_a_softmax_over_the_batch_is_told(record):
    labels = torch.randint(0, 3, (16,))
    found = wired(record, nn.Linear(6, 3), lambda model: F.nll_loss(F.log_softmax(model(X), 0), labels))
    assert found["softmaxes"][0]["over_batch"]
    found = wired(record, nn.Linear(6, 3), lambda model: F.cross_entropy(model(X), labels))
    assert found["softmaxes"] == []


def test_two_sigmoids_are_told_and_one_is_not(record):
    goal = torch.rand(16, 3)
    twice = lambda model: F.mse_loss(torch.sigmoid(torch.sigmoid(model(X)).view(-1, 3)), goal)  # noqa: E731
    found = wired(record, nn.Linear(6, 3), twice)["squashed_twice"]
    assert [(one["outer"], one["inner"], one["in_loss"]) for one in found] == [("Sigmoid", "Sigmoid", True)]
    once = wired(record, nn.Linear(6, 3), lambda model: F.mse_loss(torch.sigmoid(model(X)), goal))
    assert once["squashed_twice"] == []


def test_hand_written_losses_are_read(record):
    goal = torch.randn(16)
    found = wired(record, nn.Linear(6, 1), lambda model: ((model(X) - goal) ** 2).mean() / 4)
    assert found["spread_out"] == [
        {"place": found["spread_out"][0]["place"], "op": "Sub", "given": [16, 1], "made": [16, 16]}
    ]
    assert found["root"]["factor"] == 0.25 and found["root"]["reduction"] == "mean"
    assert found["root"]["elements"] == 256
    found = wired(record, nn.Linear(6, 1), lambda model: (goal - torch.relu(model(X)).squeeze(1)).abs().sum())
    assert found["spread_out"] == [] and found["root"]["reduction"] == "sum"
    residual = found["residuals"][0]
    assert residual["target_min"] == pytest.approx(float(goal.min()), abs=1e-5)
    assert residual["outside"] == pytest.approx(float((goal < -0.01).float().mean()))
    labels = torch.tensor([0.0, 1.0] * 8)
    found = wired(record, nn.Linear(6, 1), lambda model: (1 - labels * model(X)[:, 0]).clamp(min=0).mean())
    assert found["hinges"][0]["labels"] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ((8, 5, 9), (8, 9, 5), "swap"),
        ((8, 5, 9), (5, 8, 9), "swap"),
        ((5, 8, 6), (8, 30), "cut"),
        ((25, 16, 4, 4), (16, 400), "cut"),
        ((8, 5, 6), (40, 6), ""),
        ((40, 6), (8, 5, 6), ""),
        ((8, 12, 4), (8, 3, 16), ""),
        ((8, 4, 10, 11), (8, 4, 11, 10), ""),
        ((5, 16, 2), (40, 4), ""),
        ((1, 5, 6), (5, 6, 1), ""),
    ],
)
def test_views_that_mix_dimensions(before, after, kind):
    assert mixes(before, after) == kind


def test_the_batch_that_was_second_becomes_first():
    assert mixes((64, 8, 16), (8, 1024), 8) == "cut"
    assert mixes((64, 8, 16), (8, 1024), 64) == ""


def test_layers_weights_and_twins(record):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(11, 6)
            self.blocks = nn.Sequential(*[nn.Linear(6, 6)] * 3)
            self.drop = nn.Dropout(0.3)
            self.head = nn.Linear(6, 11, bias=False)
            self.head.weight.data.copy_(self.emb.weight.data)
            for one in self.blocks.parameters():
                one.requires_grad_(False)

        def forward(self, x):
            return self.head(self.drop(self.blocks(self.emb(x))))

    with record(every=1) as writer:
        train(Net(), lambda model: F.cross_entropy(model(torch.arange(11)), torch.arange(11)))
    told = writer.told("layers")
    assert len(told) == 1
    assert {"place": "drop", "class": "Dropout", "training": True, "p": 0.3} in told[0]["layers"]
    assert told[0]["repeated"][0]["names"] == ["0", "1", "2"] and told[0]["repeated"][0]["sequential"]
    assert [one["equal"] for one in told[0]["twins"]] == [True]
    weights = {one["place"]: one for one in told[0]["weights"]}
    assert weights["blocks.0.weight"]["fan_in"] == 6 and not weights["blocks.0.weight"]["requires_grad"]
    assert weights["head.weight"]["trained"]


def test_layers_are_told_where_a_closure_steps(record):
    with record(every=1) as writer:
        net = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

        def closure():
            optimizer.zero_grad()
            loss = net(X).square().mean()
            loss.backward()
            return loss

        for _ in range(4):
            optimizer.step(closure)
    assert len(writer.told("layers")) == 1 and writer.told("layers")[0]["weights"]
    assert writer.told("wiring")


def test_nothing_of_the_graph_is_kept(record):
    kept = []

    def loss_of(model):
        hidden = model(X)
        kept.append(weakref.ref(hidden))
        return hidden.square().mean()

    with record(every=1):
        gc.collect()
        gc.disable()
        try:
            train(nn.Linear(6, 3), loss_of)
            assert [one() for one in kept] == [None] * 4
        finally:
            gc.enable()


def facts(target, function="mse_loss", op=""):
    return target_facts(function, op, torch.as_tensor(target))


def test_targets_are_known_for_what_they_are():
    assert facts([0.0, 1.0, 1.0])["target_bits"] and facts([-1.0, 1.0])["target_signs"]
    assert facts([0.0, 1.0, 2.0] * 4)["target_indices"]
    assert not facts([0.0] * 20 + [1.0] * 4 + [2.0] * 4)["target_indices"], "counts are not equally common"
    assert not facts([0.5, 1.0])["target_integral"]
    assert facts(torch.eye(4))["target_one_hot"] and not facts(torch.eye(2))["target_one_hot"]
    assert not facts([[1.0, 1.0, 0.0]])["target_rows_sum_to_one"]
    assert facts([-1.0, 0.5, 2.0, 0.1], op="Sigmoid")["target_outside"] == 0.5
    assert facts([-1.0, 0.5, 2.0, 0.1], op="Relu")["target_outside"] == 0.25


def test_padding_is_known_by_where_its_runs_end():
    lengths = torch.randint(3, 11, (32,), generator=torch.Generator().manual_seed(0))
    rows = torch.randint(1, 30, (32, 12))
    rows[torch.arange(12)[None] >= lengths[:, None]] = 0
    for target in (rows, rows.reshape(-1), rows.flip(1).reshape(-1)):
        found = facts(target, "cross_entropy")
        assert found["target_padded"] and found["pad_value"] == 0
        assert found["pad_share"] == pytest.approx(float((rows == 0).float().mean()))
    rare = (torch.rand(400, generator=torch.Generator().manual_seed(1)) < 0.1).long()
    assert not facts(rare, "cross_entropy")["target_padded"], "one class is just more common"
    assert not facts(torch.randint(0, 9, (32, 12)), "cross_entropy")["target_padded"]


def test_the_line_of_a_loss_is_the_assignment(tmp_path):
    from unbug.hooks import Frame

    file = tmp_path / "t.py"
    file.write_text("def f():\n    loss = g(x)\n    y = 1\n    (loss / 2).backward()\n    h().backward()\n")
    assert loss_line(Frame(str(file), 4, "f")) == (str(file), 2)
    assert loss_line(Frame(str(file), 5, "f")) == (str(file), 5)
    assert loss_line(None) is None

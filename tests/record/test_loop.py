"""Scalars of every step, the loop's grammar, and gradients that are added to what was used."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def model():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def loss_of(net, examples=4):
    return F.mse_loss(net(torch.randn(examples, 6)), torch.randn(examples, 3))


def test_scalars_of_a_plain_loop(record):
    with record() as writer:
        net = model()
        optimizer = torch.optim.SGD(
            [{"params": net[0].parameters(), "lr": 0.5}, {"params": net[3].parameters()}], lr=0.1
        )
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = loss_of(net)
            loss.backward()
            losses.append(loss.item())
            optimizer.step()
            scheduler.step()
    assert writer.values("loss.value") == losses
    assert writer.values("optimizer.lr", statistic="group 0") == [0.5, 0.25, 0.125, 0.0625]
    assert writer.values("optimizer.lr", statistic="group 1") == [0.1, 0.05, 0.025, 0.0125]
    assert writer.values("step.batch_size") == [4.0] * 4
    assert writer.values("step.micro_steps") == [1.0] * 4
    assert writer.values("step.skipped") == writer.values("loss.nonfinite") == [0.0] * 4
    assert len(writer.values("step.time_s")) == 3 and all(time > 0 for time in writer.values("step.time_s"))
    assert writer.read("step.wait_s") == []
    assert writer.orders() == {"ZFBSL": 4}


def test_accumulation_sums_what_the_step_optimises(record):
    with record() as writer:
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        sums = []
        for _ in range(5):
            total = 0.0
            for _ in range(3):
                loss = loss_of(net) / 3
                loss.backward()
                total += loss.item()
            sums.append(total)
            optimizer.step()
            optimizer.zero_grad()
    assert writer.values("loss.value") == pytest.approx(sums, rel=1e-6)
    assert writer.values("step.micro_steps") == [3.0] * 5
    assert writer.values("step.batch_size") == [12.0] * 5
    assert not any(writer.values("loop.stale_gradient"))
    assert writer.orders() == {"(FB)+S": 1, "Z(FB)+S": 4} or sum(writer.orders().values()) >= 5


def test_waiting_for_data_is_told(record):
    with record() as writer:
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        data = torch.utils.data.TensorDataset(torch.randn(12, 6), torch.randn(12, 3))
        for x, y in torch.utils.data.DataLoader(data, batch_size=4):
            optimizer.zero_grad()
            F.mse_loss(net(x), y).backward()
            optimizer.step()
    assert len(writer.values("step.wait_s")) == 3 and all(
        0 < wait < 5 for wait in writer.values("step.wait_s")
    )
    batch = writer.told("batch")[0]
    assert batch["source"] == "loader"
    assert [one["shape"] for one in batch["tensors"]] == [[4, 6], [4, 3]]
    assert (
        len({print_ for told in writer.told("batch") for print_ in told["tensors"][0]["fingerprints"]}) == 12
    )


def test_a_closure_counts_its_first_loss(record):
    with record() as writer:
        net = nn.Linear(6, 3)
        optimizer = torch.optim.LBFGS(net.parameters(), max_iter=4)
        x, y = torch.randn(8, 6), torch.randn(8, 3)
        returned = []
        for _ in range(3):

            def closure():
                optimizer.zero_grad()
                loss = F.mse_loss(net(x), y)
                loss.backward()
                return loss

            returned.append(optimizer.step(closure).item())
    assert writer.steps() == {0: 3}
    assert writer.values("loss.value") == returned
    assert all(micro > 1 for micro in writer.values("step.micro_steps"))
    assert writer.values("step.batch_size") == [8.0] * 3
    assert not any(writer.values("loop.stale_gradient"))
    assert set(writer.orders()) == {"S[(ZFB)+]"}
    assert len(writer.values("grad.mean", "weight")) == 3 and len(writer.values("update.mean", "weight")) >= 2


def test_the_loss_is_unscaled_and_skipped_steps_are_steps(record):
    with record() as writer:
        net = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
        losses = []
        for step in range(6):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss_of(net)
            scaler.scale(loss).backward()
            losses.append(loss.item())
            if step == 3:
                net.weight.grad[0, 0] = math.inf
            scaler.step(optimizer)
            scaler.update()
    assert writer.steps() == {0: 6}
    assert writer.values("loss.value") == pytest.approx(losses, rel=1e-6)
    assert writer.values("step.skipped") == [0, 0, 0, 1, 0, 0]
    precision = writer.told("precision")
    assert any(one.get("dtype") == "bfloat16" and one["autocast"] for one in precision)
    assert any(one.get("scaler") for one in precision)


def test_skipped_from_the_first_step_on(record):
    with record() as writer:
        net = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        for step in range(3):
            optimizer.zero_grad()
            scaler.scale(loss_of(net)).backward()
            if step == 0:
                net.weight.grad[0, 0] = math.nan
            scaler.step(optimizer)
            scaler.update()
    assert writer.values("step.skipped") == [1, 0, 0]


def test_a_loss_that_is_not_finite_is_flagged(record):
    with record() as writer:
        net = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for step in range(3):
            optimizer.zero_grad()
            (loss_of(net) * (math.nan if step == 2 else 1.0)).backward()
            optimizer.step()
    assert writer.values("loss.nonfinite") == [0, 0, 1]
    assert math.isnan(writer.values("loss.value")[-1])
    assert writer.values("grad.nans", "weight") == [0, 0, 18]


def test_clipping_gives_its_norm(record):
    with record() as writer:
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        norms = []
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(net).backward()
            norms.append(nn.utils.clip_grad_norm_(net.parameters(), 0.01).item())
            optimizer.step()
    assert writer.values("grad.global_norm") == norms
    assert writer.values("clip.limit") == [0.01] * 4
    assert writer.orders() == {"ZFBCS": 4}


def test_the_norm_without_clipping_is_that_of_all_gradients(record):
    with record() as writer:
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        norms = []
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(net).backward()
            norms.append(torch.cat([one.grad.flatten() for one in net.parameters()]).double().norm().item())
            optimizer.step()
    assert writer.values("grad.global_norm") == pytest.approx(norms, rel=1e-5)


def test_modes_are_told_once_for_each_combination(record):
    with record() as writer:
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(net).backward()
            optimizer.step()
            with torch.no_grad():
                net(torch.randn(2, 6))  # forgot eval()
    told = [(one["training"], one["grad"], one["in_train_mode"]) for one in writer.told("mode")]
    assert told == [(True, True, ["2"]), (True, False, ["2"])]


class TestStaleGradient:
    def run(self, record, clear, *, optimizer_class=torch.optim.SGD, steps=5, before=False):
        with record() as writer:
            net = model()
            optimizer = optimizer_class(net.parameters(), lr=0.01)
            for _ in range(steps):
                if before:
                    clear(net, optimizer)
                loss_of(net).backward()
                optimizer.step()
                if not before:
                    clear(net, optimizer)
        return writer.values("loop.stale_gradient")

    def test_never_cleared(self, record):
        assert self.run(record, lambda net, optimizer: None) == [0, 1, 1, 1, 1]

    @pytest.mark.parametrize("before", [True, False])
    @pytest.mark.parametrize(
        "clear",
        [
            lambda net, optimizer: optimizer.zero_grad(),
            lambda net, optimizer: optimizer.zero_grad(set_to_none=False),
            lambda net, optimizer: net.zero_grad(),
            lambda net, optimizer: [setattr(one, "grad", None) for one in net.parameters()],
            lambda net, optimizer: [one.grad.zero_() for one in net.parameters() if one.grad is not None],
            lambda net, optimizer: [
                one.grad.data.zero_() for one in net.parameters() if one.grad is not None
            ],
        ],
        ids=["optimizer", "in place", "module", "by hand to None", "by hand", "through .data"],
    )
    def test_each_way_to_clear(self, record, clear, before):
        assert self.run(record, clear, before=before) == [0] * 5

    def test_cleared_every_other_step(self, record):
        count = iter(range(100))
        stale = self.run(record, lambda net, optimizer: optimizer.zero_grad() if next(count) % 2 else None)
        assert stale == [0, 1, 0, 1, 0]

    def test_cleared_between_backward_and_step_does_not_count(self, record):
        with record() as writer:
            net, other = nn.Linear(6, 3), nn.Linear(6, 6)
            optimizer, second = (torch.optim.SGD(one.parameters(), lr=0.01) for one in (net, other))
            for _ in range(4):
                optimizer.zero_grad()
                loss_of(net).backward()
                optimizer.step()
                second.zero_grad()
                F.mse_loss(net(other(torch.randn(4, 6))), torch.randn(4, 3)).backward()  # adds to net's, too
                second.step()
        assert writer.steps() == {0: 4}
        assert not any(writer.values("loop.stale_gradient"))

    def test_manual_accumulation_with_gradients_set_to_none(self, record):
        with record() as writer:
            net = model()
            optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
            for _ in range(30):
                for _ in range(2):
                    loss_of(net).backward()
                optimizer.step()
                for parameter in net.parameters():
                    parameter.grad = None
        assert not any(writer.values("loop.stale_gradient"))


def test_a_training_on_meta_tensors_does_not_disturb_the_next(record):
    def train(device, steps):
        model = nn.Linear(3, 3, device=device)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.ones(2, 3, device=device)).sum().backward()
            optimizer.step()

    with record() as writer:
        train("meta", 2)
        train("cpu", 10)
    assert [step for step, _ in writer.read("loss.value", training=1)] == list(range(10))

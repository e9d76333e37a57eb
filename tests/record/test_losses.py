"""Profiles of loss calls: what tells a wrong call from a right one, and curves of value and quality."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def profile(writer, phase="train"):
    """The last word on the only call site of a phase."""
    finals = [one for one in writer.told("loss_call") if one.get("final") and one["phase"] == phase]
    assert len(finals) == 1, finals
    return finals[0]


def train(record, call, *, steps=4, outputs=5):
    with record() as writer:
        net = nn.Linear(6, outputs)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = call(net(torch.randn(8, 6)))
            loss.backward()
            optimizer.step()
    return writer


def labels(count=8, classes=5):
    return torch.randint(0, classes, (count,))


def test_a_right_classification(record):
    writer = train(record, lambda out: F.cross_entropy(out, labels()))
    told = profile(writer)
    assert told["function"] == "cross_entropy" and told["file"] == __file__ and told["calls"] == 4
    assert told["input_shape"] == [8, 5] and told["target_shape"] == [8] and told["classes"] == 5
    assert told["reduction"] == "mean" and told["broadcast"] is None and told["target_dtype"] == "int64"
    assert told["rows_sum_to_one_share"] == 0 and told["input_in_unit_share"] < 1
    assert 0 <= told["target_min"] <= told["target_max"] <= 4
    assert told["ignored_share"] == 0 and told["ignore_index"] == -100


def test_softmax_in_front_of_cross_entropy(record):
    told = profile(train(record, lambda out: F.cross_entropy(out.softmax(1), labels())))
    assert told["rows_sum_to_one_share"] == 1 and told["input_in_unit_share"] == 1


def test_sigmoid_in_front_of_bce_with_logits(record):
    call = lambda out: F.binary_cross_entropy_with_logits(out.sigmoid(), torch.ones(8, 5))  # noqa: E731
    assert profile(train(record, call))["input_in_unit_share"] == 1


def test_probabilities_without_a_logarithm_in_front_of_nll(record):
    right = profile(train(record, lambda out: F.nll_loss(out.log_softmax(1), labels())))
    wrong = profile(train(record, lambda out: F.nll_loss(out.softmax(1), labels())))
    assert right["rows_are_log_probabilities_share"] == 1 and right["input_max"] <= 0
    assert wrong["input_in_unit_share"] == 1 and "rows_are_log_probabilities_share" not in wrong


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_shapes_that_broadcast(record):
    told = profile(train(record, lambda out: F.mse_loss(out, torch.randn(8)), outputs=1))
    assert told["broadcast"] == [8, 8]
    told = profile(train(record, lambda out: F.mse_loss(out[:, 0], torch.randn(8)), outputs=1))
    assert told["broadcast"] is None


def test_ignored_targets(record):
    target = torch.tensor([0, 1, -100, -100, 2, 3, 4, 0])
    told = profile(train(record, lambda out: F.cross_entropy(out, target)))
    assert told["ignored_share"] == 0.25 and told["target_min"] == -100


def test_accuracy_is_that_of_the_arguments(record):
    seen = []

    def call(out):
        target = labels()
        target[0] = -100
        kept = target != -100
        seen.append((out.argmax(1) == target)[kept].double().mean().item())
        return F.cross_entropy(out, target)

    assert train(record, call).values("call.accuracy") == pytest.approx(seen)


def test_binary_accuracy_for_logits_and_probabilities(record):
    target = torch.randint(0, 2, (8, 5)).float()
    seen = []

    def logits(out):
        seen.append(((out > 0) == (target > 0.5)).double().mean().item())
        return F.binary_cross_entropy_with_logits(out, target)

    def probabilities(out):
        seen.append(((out > 0) == (target > 0.5)).double().mean().item())
        return F.binary_cross_entropy(out.sigmoid(), target)

    assert train(record, logits).values("call.accuracy") == pytest.approx(seen)
    seen.clear()
    assert train(record, probabilities).values("call.accuracy") == pytest.approx(seen)


def test_class_probabilities_as_targets_and_images(record):
    soft = torch.randn(8, 5).softmax(1)
    assert len(train(record, lambda out: F.cross_entropy(out, soft)).values("call.accuracy")) == 4
    pixels = torch.randint(0, 5, (2, 2, 2))
    call = lambda out: F.cross_entropy(out.reshape(2, 2, 2, 5).permute(0, 3, 1, 2), pixels)  # noqa: E731
    writer = train(record, call)
    assert len(writer.values("call.accuracy")) == 4 and profile(writer)["classes"] == 5


def test_error_of_a_regression(record):
    seen = []

    def call(out):
        target = torch.randn(8, 5)
        seen.append((out - target).abs().mean().item())
        return F.huber_loss(out, target)

    assert train(record, call).values("call.error") == pytest.approx(seen, rel=1e-6)


def test_training_and_evaluation_are_told_apart_and_carry_the_step(record):
    with record() as writer:
        net = nn.Linear(6, 5)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        wanted = []
        for _ in range(3):
            for _ in range(2):
                optimizer.zero_grad()
                F.cross_entropy(net(torch.randn(8, 6)), labels()).backward()
                optimizer.step()
            with torch.no_grad():
                wanted.append(F.cross_entropy(net(torch.randn(20, 6)), labels(20)).item())
    evaluated = writer.read("call.value", phase=1)
    assert [step for step, _ in evaluated] == [1, 3, 5]
    assert [value for _, value in evaluated] == wanted
    assert [step for step, _ in writer.read("call.value", phase=0)] == list(range(6))
    assert profile(writer, "eval")["calls"] == 3
    assert [step for step, _ in writer.read("call.accuracy", phase=1)] == [1, 3, 5]


def test_a_program_that_only_evaluates(record):
    with record() as writer:
        net = nn.Linear(6, 5)
        with torch.inference_mode():
            for _ in range(3):
                F.cross_entropy(net(torch.randn(8, 6)), labels())
    assert len(writer.values("call.value", phase=1)) == 3
    assert len(writer.values("call.accuracy", phase=1)) == 3
    assert writer.trainings == []
    assert profile(writer, "eval")["calls"] == 3


def test_a_change_of_kind_is_told_at_once(record):
    count = iter(range(100))

    def call(out):
        return F.cross_entropy(out.softmax(1) if next(count) < 3 else out, labels())

    told = [
        (one["calls"], one.get("rows_sum_to_one_share"))
        for one in train(record, call, steps=6).told("loss_call")
    ]
    assert told[0] == (1, 1.0) and told[1] == (4, 0.75)


def test_no_reduction_still_gives_accuracy(record):
    writer = train(record, lambda out: F.cross_entropy(out, labels(), reduction="none").mean())
    assert len(writer.values("call.accuracy")) == 4 and writer.read("call.value") == []
    assert profile(writer)["reduction"] == "none"


def test_empty_and_odd_arguments_do_no_harm(record):
    with record() as writer, torch.no_grad():
        F.mse_loss(torch.empty(0), torch.empty(0))
        F.mse_loss(torch.tensor(math.nan), torch.tensor(1.0))
        F.cross_entropy(torch.randn(5), torch.tensor(1))
        F.triplet_margin_loss(torch.randn(2, 3), torch.randn(2, 3), torch.randn(2, 3))
        F.ctc_loss(torch.randn(5, 2, 4).log_softmax(2), torch.ones(2, 2, dtype=torch.long), (5, 5), (2, 2))
        F.cosine_embedding_loss(torch.randn(2, 3), torch.randn(2, 3), torch.ones(2))
    assert len({one["function"] for one in writer.told("loss_call")}) == 5


def test_rarely_when_it_costs_too_much(record):
    """After the first calls facts are taken as often as their share of the time pays for."""
    with record() as writer, torch.no_grad():
        given, target = torch.randn(64, 5000), labels(64, 5000)
        for _ in range(300):
            F.cross_entropy(given, target)
    assert len(writer.values("call.value")) == 300
    assert 20 <= profile(writer, "eval")["looked_at"] < 200


def test_a_validation_without_no_grad_is_an_evaluation(record):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with record() as writer:
        for _ in range(5):
            net.train()
            optimizer.zero_grad()
            F.cross_entropy(net(torch.randn(6, 4)), torch.randint(0, 3, (6,))).backward()
            optimizer.step()
            net.eval()
            F.cross_entropy(net(torch.randn(9, 4)), torch.randint(0, 3, (9,)))
    assert [step for step, _ in writer.read("call.value", phase=0)] == list(range(5))
    assert [step for step, _ in writer.read("call.value", phase=1)] == list(range(5))
    assert {value for _, value in writer.read("step.batch_size")} == {6.0}


def test_a_training_that_forgot_to_leave_evaluation_mode_is_a_training(record):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with record() as writer:
        for step in range(6):
            if step == 2:
                net.eval()
            optimizer.zero_grad()
            F.cross_entropy(net(torch.randn(6, 4)), torch.randint(0, 3, (6,))).backward()
            optimizer.step()
    training = [step for step, _ in writer.read("call.value", phase=0)]
    assert set(range(6)) - set(training) <= {2}, "but for the one that told"

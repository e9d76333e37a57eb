"""Terms of losses, pairs of gradients, leaves of graphs, times of modules: against what is known of them."""

import math
import time

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from unbug.record.pairs import SAMPLED_ELEMENTS, GradientPairs, Sample
from unbug.record.terms import terms_of


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    return torch.tensor(found.data / 16, dtype=torch.float32), torch.tensor(found.target)


def model():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def steps(net, optimizer, loss_of, count, batch=100):
    for step in range(count):
        rows = torch.arange(step * batch, (step + 1) * batch) % 1797
        optimizer.zero_grad()
        loss_of(net, rows).backward()
        optimizer.step()


# Terms.
def test_terms_of_a_sum_have_their_values_factors_and_lines(record, digits):
    parts = []

    def loss_of(net, rows):
        out = net(digits[0][rows])
        first = F.cross_entropy(out, digits[1][rows])
        second = F.mse_loss(out, torch.zeros_like(out))
        penalty = sum((one**2).sum() for one in net.parameters())
        parts.append((first.item(), 0.5 * second.item(), 0.001 * penalty.item()))
        return first + 0.5 * second + 0.001 * penalty

    with record(every=1) as writer:
        net = model()
        steps(net, torch.optim.SGD(net.parameters(), lr=0.1), loss_of, 6)
    told = writer.told("loss_terms")[0]
    names = [one["name"] for one in told["terms"]]
    assert names[:2] == ["cross_entropy", "mse_loss"] and len(names) == 6, "the penalty is a sum of four"
    assert [one["factor"] for one in told["terms"]] == pytest.approx([1.0, 0.5] + [0.001] * 4)
    assert told["terms"][0]["file"] == __file__ and told["terms"][1]["line"] == told["terms"][0]["line"] + 1
    for name, index in (("cross_entropy", 0), ("mse_loss", 1), ("rest", 2)):
        found = writer.values("loss.term", statistic=name)
        assert found == pytest.approx([one[index] for one in parts[1:]], rel=1e-4)
    shares = [one["share"] for one in told["terms"][:2]]
    total = sum(parts[1])
    assert shares == pytest.approx([parts[1][0] / total, parts[1][1] / total], rel=1e-4)


def test_one_term_without_a_value_is_the_rest(record, digits):
    def loss_of(net, rows):
        out = net(digits[0][rows])
        return F.cross_entropy(out, digits[1][rows]) - 0.01 * out.exp().mean()

    with record(every=1) as writer:
        net = model()
        steps(net, torch.optim.SGD(net.parameters(), lr=0.1), loss_of, 4)
    told = writer.told("loss_terms")[0]
    assert [(one["name"], one["factor"]) for one in told["terms"]] == [
        ("cross_entropy", 1.0),
        ("Mean", pytest.approx(-0.01)),
    ]
    assert told["rest"] is None and told["terms"][1]["value"] < 0
    assert sum(one["value"] for one in told["terms"]) == pytest.approx(told["total"])
    assert len(writer.values("loss.term", statistic="Mean")) == 3


def test_a_loss_that_is_no_sum_has_no_terms(record, digits):
    with record(every=1) as writer:
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        steps(net, optimizer, lambda net, rows: F.cross_entropy(net(digits[0][rows]), digits[1][rows]), 5)
    assert writer.told("loss_terms") == [] and writer.read("loss.term") == []


@pytest.mark.parametrize(
    ("make", "factors"),
    [
        (lambda a, b: a + b, [1, 1]),
        (lambda a, b: a - 2 * b, [1, -2]),
        (lambda a, b: (a + b / 4) / 2, [0.5, 0.125]),
        (lambda a, b: -(a + 3), [-1]),
        (lambda a, b: torch.stack([a, b]).mean(), [0.5, 0.5]),
        (lambda a, b: torch.stack([a, b]).sum() * 3, [3, 3]),
        (lambda a, b: sum([a, b]), [1, 1]),
        (lambda a, b: torch.add(a, b, alpha=0.25), [1, 0.25]),
        (lambda a, b: a * b, [1]),
        (lambda a, b: a / b + b, [1, 1]),
        (lambda a, b: 1 / a, [1]),
        (lambda a, b: a * torch.tensor(5.0) + b, [5, 1]),
    ],
)
def test_sums_are_taken_apart(make, factors):
    weight = torch.randn(5, requires_grad=True)
    loss = make((weight**2).mean(), weight.exp().sum())
    assert [term.factor for term in terms_of(loss)] == pytest.approx(factors)


def test_what_the_program_packs_is_not_unpacked():
    def unpack(packed):
        raise AssertionError("unpacked")

    weight = torch.randn(5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
        loss = weight.sum() * torch.tensor(0.5) + weight.exp().sum()
    assert [term.factor for term in terms_of(loss)] == [None, 1.0]


def test_a_sum_of_very_many_is_left_alone():
    weight = torch.randn(5, requires_grad=True)
    assert terms_of(sum(weight.sum() for _ in range(40))) is None
    assert terms_of(sum(weight[0] for _ in range(5000))) is None


# Pairs of gradients.
def linear(noise, examples, curvature, count, record, *, rate=0.01):
    """Loss `curvature / 2 * |w|^2 + noise * mean(x) w`: gradient, noise and curvature are known exactly."""
    draw = torch.Generator().manual_seed(4)
    with record(every=1) as writer:
        weight = nn.Parameter(torch.ones(500))
        optimizer = torch.optim.SGD([weight], lr=rate)
        module = nn.ParameterList([weight])
        for _ in range(count):
            shift = noise * torch.randn(examples, 500, generator=draw).mean(0)
            loss = curvature / 2 * (module[0] ** 2).sum() + (shift * module[0]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return writer


def test_without_noise_curvature_and_agreement_are_exact(record):
    writer = linear(0.0, 1, 3.0, 10, record)
    assert writer.values("curvature.secant") == pytest.approx([3.0] * 9, rel=1e-3)
    assert writer.values("grad.cosine") == pytest.approx([1.0] * 9, abs=1e-6)
    assert writer.values("update.alignment") == pytest.approx([1.0] * 9, abs=1e-6)
    assert [step for step, _ in writer.read("grad.signal")] == list(range(1, 10))
    assert writer.values("grad.signal")[0] == pytest.approx(9 * 500 * (1 - 0.03), rel=1e-3)


def test_noise_is_that_of_the_batch_mean(record):
    writer = linear(2.0, 16, 1.0, 60, record, rate=1e-3)
    noise = np.mean(writer.values("grad.noise"))
    assert noise == pytest.approx(4.0 / 16 * 500, rel=0.05)
    assert np.mean(writer.values("grad.signal")) == pytest.approx(
        500 * np.mean(0.999 ** np.arange(120)), rel=0.05
    )


def test_the_noise_scale_is_in_examples(record, digits):
    with record(every=1) as writer:
        net = nn.Linear(64, 10)
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-6)
        order = torch.randperm(1797, generator=torch.Generator().manual_seed(1))
        for step in range(80):
            rows = order[torch.arange(step * 50, step * 50 + 50) % 1797]
            optimizer.zero_grad()
            F.cross_entropy(net(digits[0][rows]), digits[1][rows]).backward()
            optimizer.step()
    each = []
    for row, label in zip(*digits, strict=True):
        net.zero_grad()
        F.cross_entropy(net(row[None]), label[None]).backward()
        each.append(torch.cat([one.grad.reshape(-1) for one in net.parameters()]))
    each = torch.stack(each).double()
    want = each.var(0).sum() / (each.mean(0) ** 2).sum()
    assert writer.values("grad.noise_scale")[-1] == pytest.approx(want.item(), rel=0.3)


def test_the_sample_is_bounded_fixed_and_draws_from_no_generator_of_the_program():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    parameters = [torch.zeros(size, requires_grad=True) for size in [5_000_000, *[7] * 100, 300]]
    one, two = Sample(parameters), Sample(parameters)
    assert torch.equal(torch.get_rng_state(), before[0]) and (np.random.get_state()[1] == before[1]).all()
    assert one.elements == two.elements <= SAMPLED_ELEMENTS + 32 * 8 and one.of == 5_001_000
    taken = [sample.take(lambda tensor: torch.arange(tensor.numel())) for sample in (one, two)]
    assert torch.equal(*taken)
    assert one.take(lambda tensor: None) is None
    del parameters[0]
    assert one.take(lambda tensor: tensor) is None


def test_every_layout_gives_the_same_elements():
    parameter = torch.randn(4, 3, 8, 8)
    sample = Sample([parameter])
    gradient = torch.randn(4, 3, 8, 8)
    other = gradient.to(memory_format=torch.channels_last)
    assert torch.equal(sample.take(lambda _: gradient), sample.take(lambda _: other))


def test_undefined_numbers_are_missing():
    pairs = GradientPairs(Sample([torch.ones(3)]))
    row = pairs.values([0.0] * 9, 10)
    assert math.isnan(row[0]) and math.isnan(row[3]) and math.isnan(row[5])
    assert all(math.isnan(one) for one in pairs.values([math.nan] * 9, 10)[:2])


# Leaves.
class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = model()
        self.unused = nn.Linear(3, 3)

    def forward(self, rows):
        return self.inner(rows)


def test_leaves_that_nobody_owns_and_parameters_that_are_not_reached(record, digits):
    with record() as writer:
        net = Scaled()
        temperature = torch.ones((), requires_grad=True)

        def loss_of(net, rows):
            inputs = digits[0][rows].requires_grad_()
            return F.cross_entropy(net(inputs) * temperature, digits[1][rows])

        steps(net, torch.optim.SGD(net.parameters(), lr=0.1), loss_of, 8)
    told = writer.told("reach")
    assert len(told) == 3 and told[0]["strangers"] == [], "it must last: inputs come and go"
    assert told[1]["strangers_count"] == 1 and told[1]["strangers"][0]["shape"] == []
    assert told[1]["strangers"][0]["parameter"] is False and told[1]["strangers"][0]["has_grad"]
    assert told[1]["unreached"] == ["unused.weight", "unused.bias"] and told[1]["whole"]


def test_a_graph_with_all_its_leaves_owned_says_nothing(record, digits):
    with record() as writer:
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        steps(net, optimizer, lambda net, rows: F.cross_entropy(net(digits[0][rows]), digits[1][rows]), 8)
    assert writer.told("reach") == []


def test_what_lies_behind_a_checkpoint_is_not_called_unreached(record, digits):
    from torch.utils.checkpoint import checkpoint

    with record() as writer:
        net = model()

        def loss_of(net, rows):
            inputs = digits[0][rows].requires_grad_()
            return F.cross_entropy(checkpoint(net, inputs, use_reentrant=True), digits[1][rows])

        steps(net, torch.optim.SGD(net.parameters(), lr=0.1), loss_of, 4)
    assert writer.told("reach") == []


# Times.
class Slow(nn.Module):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        out = self.linear(x)
        time.sleep(self.seconds)
        return out


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Slow(0.004), Slow(0.012)])
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        time.sleep(0.006)
        return self.head(x)


def test_times_of_modules_add_up(record):
    with record(every=1) as writer:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            start = time.perf_counter()
            out = net(torch.randn(2, 8))
            took = time.perf_counter() - start
            out.sum().backward()
            optimizer.step()
    root = next(path for path in writer.places("module.time_s") if path not in dict(net.named_modules()))
    assert writer.places("module.time_s") == {root, *(name for name, one in net.named_modules() if name)} - {
        "blocks"
    }
    whole = {path: writer.values("module.time_s", path) for path in writer.places("module.time_s")}
    own = {path: writer.values("module.own_time_s", path) for path in whole}
    assert {len(values) for values in whole.values()} == {3}
    assert min(whole["blocks.0"]) >= 0.004 and min(whole["blocks.1"]) >= 0.012
    assert min(own["head"]) >= 0.006, "what lies in front of it and belongs to no module"
    for index in range(3):
        assert sum(values[index] for values in own.values()) == pytest.approx(whole[root][index], rel=1e-6)
        assert whole["blocks.1"][index] >= whole["blocks.1.linear"][index] + 0.012
    assert 0.022 <= whole[root][-1] <= took


# All of them.
def test_results_and_generators_stay_as_they_are(record, digits):
    def run():
        torch.manual_seed(3)
        net = Scaled()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        steps(net, optimizer, loss_of, 30)
        return [one.detach().clone() for one in net.parameters()], torch.get_rng_state()

    def loss_of(net, rows):
        out = net(digits[0][rows] + 0.1 * torch.randn(len(rows), 64))
        return F.cross_entropy(out, digits[1][rows]) + 0.01 * out.pow(2).mean()

    bare = run()
    with record(every=1):
        watched = run()
    assert all(torch.equal(one, two) for one, two in zip(bare[0], watched[0], strict=True))
    assert torch.equal(bare[1], watched[1])

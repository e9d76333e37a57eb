"""What models are given and what losses are asked for: numbers agree with numpy, phases are kept apart."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from unbug.record.association import Association
from unbug.record.columns import distinct_of, scaling_of, sums_of, table_of, tokens_of
from unbug.record.credit import Credit


@pytest.fixture(scope="module")
def iris():
    found = load_iris()
    rows = torch.tensor(found.data, dtype=torch.float32)
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    return rows[order], torch.tensor(found.target)[order]


def fit(rows, labels, *, evaluate=None, epochs=2, seed=None, size=30):
    net = nn.Sequential(nn.Linear(rows.shape[1], 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(epochs):
        for start in range(0, len(rows), size):
            if seed is not None:
                torch.manual_seed(seed)
            loss = F.cross_entropy(net(rows[start : start + size]), labels[start : start + size])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if evaluate is not None:
            with torch.no_grad():
                net(evaluate)
    return net


def last(writer, kind, **which):
    return next(one for one in reversed(writer.told(kind)) if which.items() <= one.items())


def test_both_sides_are_described(record, iris):
    rows, labels = iris
    with record() as writer:
        fit(rows[:120], labels[:120], evaluate=rows[120:] * 10)
    trained, evaluated = last(writer, "given", phase="train"), last(writer, "given", phase="eval")
    assert trained["final"] and evaluated["final"] and trained["module"] == "Sequential"
    assert (trained["batches"], trained["batches_looked_at"], trained["rows_looked_at"]) == (8, 8, 240)
    np.testing.assert_allclose(trained["mean"], rows[:120].double().mean(0), rtol=1e-5)
    np.testing.assert_allclose(evaluated["std"], 10 * rows[120:].double().std(0, correction=0), rtol=1e-5)
    assert trained["by"] == "feature" and trained["shape"] == [4] and trained["storage_rows"] == 150
    assert evaluated["rows_in_training"] == 0 and evaluated["batches_not_in_training"] == 1
    assert evaluated["steps_evaluated_at"] == 2 and evaluated["passes_at_one_step"] == 1


@pytest.mark.parametrize(("first", "inside"), [(0, 30), (105, 15), (120, 0)])
def test_rows_in_common_are_counted(record, iris, first, inside):
    rows, labels = iris
    rows = rows + 1e-4 * torch.arange(150)[:, None]  # iris has two flowers twice
    with record() as writer:
        fit(rows[:120], labels[:120], evaluate=rows[first : first + 30])
    found = last(writer, "given", phase="eval")
    assert (found["rows_in_training"], found["rows_not_in_training"]) == (inside, 30 - inside)
    assert found["batches_partly_in_training"] == (0 < inside < 30)


def test_answers_of_a_classification(record, iris):
    rows, labels = iris
    with record() as writer:
        fit(rows, labels)
    found = last(writer, "answers", phase="train")
    assert found["classes"] == 3 and found["line"] > 0 and not found["weighted"]
    assert found["counts"] == (2 * torch.bincount(labels)).tolist()
    assert sum(found["wanted"]) == sum(found["said"]) == 150, "the looks since the last word but one"
    assert all(one <= other for one, other in zip(found["right"], found["wanted"], strict=True))
    assert (found["rows_again"], found["rows_otherwise"]) == (150 + 150 - len(rows.unique(dim=0)), 0)
    parts = [labels[start : start + 30].double() for start in range(0, 150, 30)]
    means = [part.mean().item() for part in parts]
    assert [mean for mean, _, _ in found["batch_means"][:5]] == pytest.approx(means, rel=1e-4)
    told = last(writer, "association")
    assert told["classes"] == 3 and told["rows"] == 300
    assert told["explained"] == pytest.approx(_between(rows.double().numpy(), labels.numpy()), rel=1e-4)


def _between(rows, labels):
    spread = ((rows - rows.mean(0)) ** 2).sum(0)
    groups = [rows[labels == one] for one in np.unique(labels)]
    return sum(len(g) * (g.mean(0) - rows.mean(0)) ** 2 for g in groups) / spread


def test_answers_of_a_regression_and_labels_that_do_not_fit(record):
    rows = torch.zeros(40, 3)
    with record() as writer:
        net = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(3):
            target = torch.randn(40) * 5 + 100
            target[0] = math.nan
            F.mse_loss(net(rows).squeeze(1), target).backward()
            optimizer.step()
    found = last(writer, "answers", phase="train")
    assert found["classes"] == 0 and found["target_nonfinite"] == 3
    assert found["target_mean"] == pytest.approx(100, abs=2) and found["target_std"] == pytest.approx(
        5, abs=1
    )
    assert found["first_output_std"] == 0 and found["rows_otherwise"] > 100
    assert last(writer, "given", phase="train")["batches_of_one_row"] == 3


def test_outputs_of_an_evaluation_are_counted(record, iris):
    rows, labels = iris
    with record() as writer:
        net = fit(rows, labels, evaluate=rows)
        with torch.no_grad():
            said = net(rows).argmax(1).bincount(minlength=3)
    assert last(writer, "outputs")["looked_at"] == 3
    assert np.all(np.array(last(writer, "outputs")["said"]) >= said.numpy())


def test_a_loader_that_gives_nothing_is_told(record, iris):
    with record() as writer:
        net = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        batches = iter(DataLoader(TensorDataset(*iris), batch_size=50))
        for _ in range(4):
            for rows, labels in batches:
                F.cross_entropy(net(rows), labels).backward()
                optimizer.step()
    assert [one["times"] for one in writer.told("exhausted")] == [1, 2]
    assert writer.told("exhausted")[-1]["gave_before"] and writer.told("exhausted")[-1]["examples"] == 150


def test_whole_epochs_are_not_barren(record, iris):
    with record() as writer:
        net = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        loader = DataLoader(TensorDataset(*iris), batch_size=50)
        for _ in range(3):
            for rows, labels in loader:
                F.cross_entropy(net(rows), labels).backward()
                optimizer.step()
    assert writer.told("exhausted") == []


@pytest.mark.parametrize(("seed", "told"), [(7, True), (None, False)])
def test_seeds_set_again_are_told(record, iris, seed, told):
    with record() as writer:
        torch.manual_seed(1)
        fit(*iris, seed=seed)
    found = writer.told("reseeded")
    assert bool(found) is told
    if told:
        assert found[-1]["generator"] == "torch" and found[-1]["seeds"] == 1 and found[-1]["steps"] >= 2
        assert found[-1]["file"] and found[-1]["line"] > 0


def test_sums_agree_with_numpy():
    table = np.random.default_rng(0).normal(3, 2, (50, 3))
    table[4, 1], table[5, 2] = np.nan, np.inf
    counts, mean, m2, low, high, nans, infs = np.array(sums_of(table)).reshape(7, 3)
    good = np.where(np.isfinite(table), table, np.nan)
    assert counts.tolist() == [50, 49, 49] and nans.tolist() == [0, 1, 0] and infs.tolist() == [0, 0, 1]
    np.testing.assert_allclose(mean, np.nanmean(good, 0))
    np.testing.assert_allclose(m2, np.nanvar(good, 0) * counts)
    np.testing.assert_allclose([low, high], [np.nanmin(good, 0), np.nanmax(good, 0)])


def test_channels_of_images_and_of_series():
    images = torch.arange(3.0)[None, :, None, None].expand(8, 3, 20, 20)
    by, shape, table = table_of(images)
    assert by == "channel" and shape == (3, 20, 20) and table.mean(0).tolist() == [0, 1, 2]
    by, _, table = table_of(torch.arange(5.0).expand(4, 100, 5))
    assert by == "channel" and table.mean(0).tolist() == [0, 1, 2, 3, 4]
    assert table_of(torch.ones(4, 3, dtype=torch.long)) is None


def test_a_batch_that_was_scaled_by_itself():
    table = np.random.default_rng(0).normal(5, 3, (40, 4))
    alone = (table - table.mean(0)) / table.std(0)
    assert scaling_of(alone, rows=40) == "standard"
    assert scaling_of((table - table.mean(0)) / table.std(0, ddof=1), rows=40) == "standard"
    assert scaling_of((table - table.min(0)) / np.ptp(table, 0), rows=40) == "unit"
    assert (
        scaling_of(table, rows=40) == scaling_of(alone[:39], rows=39) == scaling_of(alone[:3], rows=3) == ""
    )


def test_padding_is_a_run_at_the_ends():
    rows = torch.tensor([[5, 3, 2, 0, 0], [4, 2, 6, 7, 0], [3, 1, 5, 2, 8]])
    told = tokens_of(rows)
    assert (told.pop("counts") == rows.reshape(-1).bincount().numpy()).all()
    assert told == {"tokens": 15, "padding": 0, "padded": 3, "side": "right", "width": 5}
    assert tokens_of(rows.flip(1))["side"] == "left"
    assert tokens_of(torch.randint(0, 9, (50, 6)))["padded"] == 0
    assert tokens_of(torch.zeros(3, 3, dtype=torch.long)) is tokens_of(torch.randn(3, 8)) is None


def test_distinct_values():
    assert distinct_of(np.array([[0.0, 1.0], [1.0, np.nan]])) == (2, True)
    assert distinct_of(np.array([[0.5, 1.0]])) == (2, False)


def test_what_one_feature_tells_of_several_labels():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(200, 4)) + 50
    labels = np.stack([rows[:, 2] > 50, draw.random(200) > 0.5], axis=1).astype(float)
    found = Association(4, 0, 2)
    for part in (slice(0, 70), slice(70, 200)):
        found.merge(rows[part], labels[part])
    expected = [np.corrcoef(rows[:, i], labels[:, 0])[0, 1] ** 2 for i in range(4)]
    assert found.explained() == pytest.approx(expected, rel=1e-5)
    assert Association(2, 3).explained() == [None, None]


def test_credit_pays_for_few_looks_later(record):
    with record() as writer:
        core = writer.recorder._core
        core.budget.allowance_ns = 0
        credit = Credit(core, first=3)
        taken = 0
        for _ in range(200):
            if credit.due():
                taken += 1
                credit.paid(1e9)
    assert taken == 3

"""Statistics of features agree with numpy over all batches; repeated rows, orders and leaks are counted."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset, TensorDataset

from unbug.record.inputs import Features, feature_sums
from unbug.record.rows_seen import KEPT, RowsSeen, row_hashes


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    return torch.tensor(found.data, dtype=torch.float32), torch.tensor(found.target)


def train(data, *, epochs=3, evaluate=None, **options):
    loader = DataLoader(data, batch_size=100, **options)
    net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(epochs):
        for rows, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(net(rows), labels).backward()
            optimizer.step()
        if evaluate is not None:
            with torch.no_grad():
                for rows, _ in DataLoader(evaluate, batch_size=100):
                    net(rows)


def streams(writer):
    told = writer.told("sampling")
    assert told[-1]["final"] is True and told[-1]["row_sample"] == 1.0
    return told[-1]["streams"]


def test_features_of_digits_agree_with_numpy(record, digits):
    rows = digits[0].clone()
    rows[::7, 3] = math.nan
    rows[::50, 4] = math.inf
    with record(every=1) as writer:
        train(TensorDataset(rows, digits[1]), epochs=2)
    found = writer.told("input_features")[-1]
    assert found["final"] and found["features"] == 64 and found["shape"] == [64]
    # The first step of a training has no names yet.
    seen = np.concatenate([rows[100:].numpy(), rows.numpy()]).astype(np.float64)
    assert found["rows"] == len(seen) and found["batches"] == 35
    good = np.where(np.isfinite(seen), seen, np.nan)
    np.testing.assert_allclose(found["mean"], np.nanmean(good, axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["std"], np.nanstd(good, axis=0), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found["min"], np.nanmin(good, axis=0))
    np.testing.assert_allclose(found["max"], np.nanmax(good, axis=0))
    np.testing.assert_allclose(found["nan_share"], np.isnan(seen).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["inf_share"], np.isinf(seen).mean(axis=0), rtol=1e-6)
    assert found["std"][0] == 0.0, "the first pixel of every digit is empty"


def test_a_feature_that_is_never_finite_has_no_moments():
    features = Features((2,))
    _, rows, sums = feature_sums(torch.tensor([[1.0, math.nan], [3.0, math.nan]]))
    features.merge(rows, sums.tolist())
    features.merge(rows, sums.tolist())
    found = features.fields()
    assert found["mean"] == [2.0, None] and found["std"] == [1.0, None] and found["max"] == [3.0, None]
    assert found["nan_share"] == [0.0, 1.0]


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(4, 257), torch.zeros(4, 3, 32, 32), torch.ones(4, 3, dtype=torch.long), torch.zeros(0, 4)],
    ids=["wide", "images", "tokens", "empty"],
)
def test_inputs_without_features(tensor):
    assert feature_sums(tensor) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_type_merges(dtype):
    batches = [torch.randn(50, 2, 3).to(dtype) + 5 for _ in range(4)]
    features = Features((2, 3))
    for batch in batches:
        shape, rows, sums = feature_sums(batch)
        assert shape == (2, 3)
        features.merge(rows, sums.tolist())
    whole = torch.cat(batches).double().reshape(200, 6)
    assert features.fields()["mean"] == pytest.approx(whole.mean(0).tolist(), rel=1e-6)
    assert features.fields()["std"] == pytest.approx(whole.std(0, correction=0).tolist(), rel=1e-6)


def test_an_order_that_repeats_is_told_from_a_shuffled_one(record, digits):
    data = TensorDataset(*digits)
    for shuffle, share in ((False, 1.0), (True, None)):
        with record(every=1) as writer:
            train(data, shuffle=shuffle)
        (stream,) = streams(writer)
        assert stream["same_order_share"] == share
        assert stream["batches"] == stream["batches_looked_at"] == 54
        assert stream["rows_looked_at"] == 3 * 1797 and stream["distinct_rows"] == len(
            set(row_hashes_of(digits))
        )
        assert stream["epochs"] == stream["epochs_whole"] == 3 and stream["repeat_share"] == 0.0
        assert stream["distinct_batches"] == (18 if not shuffle else 53)


def row_hashes_of(digits):
    return [row.numpy().tobytes() for row in digits[0]]


def test_rows_that_come_twice_in_an_epoch_are_counted(record, digits):
    twice = [index for index in range(300) for _ in range(2)] + list(range(300, 400))
    with record(every=1) as writer:
        train(Subset(TensorDataset(*digits), twice), shuffle=True)
    (stream,) = streams(writer)
    assert stream["repeat_share"] == pytest.approx(300 / 700)
    assert stream["distinct_rows"] == 400


@pytest.mark.parametrize("leak", [0, 50, 200])
def test_rows_of_the_training_in_an_evaluation_are_counted(record, digits, leak):
    data = TensorDataset(*digits)
    with record(every=1) as writer:
        train(Subset(data, range(1000)), evaluate=Subset(data, range(1000 - leak, 1200 - leak)))
    first, second = streams(writer)
    assert (first["grad"], second["grad"]) == (True, False) and (first["data"], second["data"]) == (0, 1)
    assert first["in_training_share"] is None
    assert second["in_training_share"] == leak / 200
    assert second["epochs"] == 3 and second["repeat_share"] == 0.0


def test_slices_by_hand_are_streams_of_the_model(record, digits):
    with record(every=1) as writer:
        net = nn.Linear(64, 10)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(3):
            for start in range(0, 1000, 100):
                loss = F.cross_entropy(net(digits[0][start : start + 100]), digits[1][start : start + 100])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    (stream,) = streams(writer)
    assert stream["source"] == "model" and stream["same_order_share"] == 1.0
    assert stream["distinct_batches"] == 10 and stream["epochs"] == 0 and stream["repeat_share"] is None


def test_what_is_remembered_is_bounded_and_stays_the_same_sample():
    seen = RowsSeen()
    train, other = (seen.stream(loader, grad=grad, slept=0) for loader, grad in ((A(), True), (A(), False)))
    rows = torch.randn(200_000, 3)
    for part in rows.split(1000):
        seen.batch(train, row_hashes(part))
    for part in torch.cat([rows[:5000], torch.randn(5000, 3)]).split(1000):
        seen.batch(other, row_hashes(part))
    assert len(seen._rows) <= KEPT
    found = seen.fields()
    assert found["row_sample"] <= 1 / 4
    assert found["streams"][0]["distinct_rows"] == pytest.approx(200_000, rel=0.05)
    assert found["streams"][1]["in_training_share"] == pytest.approx(0.5, abs=0.05)


class A:
    """Stands where a loader is known by identity alone."""


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool],
)
def test_equal_rows_have_equal_hashes_and_others_do_not(dtype):
    rows = (torch.randn(500, 700) * 3).to(dtype)
    hashes = row_hashes(torch.cat([rows, rows]))
    assert (hashes[:500] == hashes[500:]).all()
    if dtype is not torch.bool:
        assert len(set(hashes.tolist())) == 500


def test_what_cannot_be_read_at_once_is_left_alone():
    assert row_hashes(torch.zeros(3, device="meta")) is None
    assert row_hashes(torch.zeros(3, 4).t()) is None
    assert row_hashes(torch.eye(3).to_sparse()) is None


def test_rows_are_left_alone_where_they_are_too_dear(record, digits):
    with record() as writer:
        train(TensorDataset(*digits), epochs=3)
        core = writer.recorder._core
        before = core.eyes._rows[0].streams[0].batches
        core.eyes._rows_ns, core.eyes._resting, core.budget.allowance_ns = 1e12, -1, 0
        core.asleep = 0
        core.eyes.batch(object(), digits[0], grad=True)
        assert core.eyes._resting == 0, "the next batches of this training are not even counted"
        core.eyes.batch(A(), digits[0], grad=True)
    assert [one["batches"] for one in streams(writer)] == [before, 1]
    assert streams(writer)[1]["batches_looked_at"] == 0

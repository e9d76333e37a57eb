"""`privacy.batches` and `privacy.media`: what is not to be kept is nowhere in the run."""

import hashlib
import json

import pytest
import torch

from unbug.privacy import BatchPolicy
from unbug.record.batches import fingerprints
from unbug.settings import resolve

GIVEN, WANTED = 3**7 + 0.125, 5**6 + 0.5
"""In every batch; the program's source holds neither number."""

PROGRAM = """
import torch, unbug
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x, y = torch.randn(32, 5), torch.randn(32, 1)
x[::4, 0], y[::4] = 3**7 + 0.125, 5**6 + 0.5
x[1] = x[0]
model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
loader = DataLoader(TensorDataset(x, y), batch_size=8)
with unbug.run() as run:
    for _ in range(30):
        for inputs, targets in loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(inputs), targets).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            nn.functional.mse_loss(model(x[:8]), y[:8])
        model.train()
    run.log({"seen": [unbug.Text("a text of the user"), unbug.Image(torch.rand(3, 4, 4))]})
"""


def recorded(place, **environment):
    place.program(PROGRAM, env=environment)
    with place.open() as view:
        scalars = view.table("scalars")
        numbers = set(scalars.column("value").to_pylist())
        columns = {}
        for event in view.events():
            columns.setdefault(event.kind, []).append(event.fields)
        text = json.dumps(columns)
        prints = [
            one for fields in columns["batch"] for tensor in fields["tensors"]
            for one in tensor.get("fingerprints", ())
        ]  # fmt: skip
        assert view.status.steps == 120
        assert not view.events("fault")
        found = any(str(value) in text or value in numbers for value in (GIVEN, WANTED))
        return {"found": found, "prints": prints, "kinds": set(columns), "batch": columns["batch"],
                "view": view.findings(), "media": len(columns.get("media", ())),
                "unseen": columns["coverage"][-1]["unseen"]}  # fmt: skip


def test_by_default_they_are_kept(place):
    told = recorded(place)
    assert told["found"]
    assert {"input_features", "batch", "media"} <= told["kinds"]
    assert len(told["prints"]) > len(set(told["prints"])) > 1
    assert told["media"] == 2


def test_off_leaves_nothing_of_a_batch(place):
    told = recorded(place, UNBUG_PRIVACY_BATCHES="off")
    assert not told["found"]
    assert not told["kinds"] & {"input_features", "given", "answers", "association", "outputs"}
    assert told["prints"] == []
    assert {name for fields in told["batch"] for tensor in fields["tensors"] for name in tensor} == {
        "name", "shape", "dtype", "device"
    }  # fmt: skip


def test_hash_keeps_hashes_under_a_key_that_is_nowhere_and_media_may_be_off(place):
    told = recorded(place, UNBUG_PRIVACY_BATCHES="hash", UNBUG_PRIVACY_MEDIA="off")
    assert not told["found"]
    assert len(told["prints"]) > len(set(told["prints"])) > 1  # equal rows are still seen to be equal
    torch.manual_seed(0)
    x = torch.randn(32, 5)
    x[::4, 0] = GIVEN
    x[1] = x[0]
    plain = {one for rows in x.split(8) for one in fingerprints(rows)}
    rehashed = {hashlib.blake2b(one.encode(), digest_size=8).hexdigest() for one in plain}
    assert not set(told["prints"]) & (plain | rehashed)
    assert told["media"] == 0
    assert not list(place.runs.glob("*/media/*"))
    assert "2 media were not kept (privacy.media = off)" in told["unseen"]


def test_each_process_has_a_key_of_its_own():
    event = {"tensors": [{"name": "x", "fingerprints": ["ab", "ab", "cd"]}]}
    one, other = (BatchPolicy("hash").event("batch", event)["tensors"][0]["fingerprints"] for _ in range(2))
    assert one[0] == one[1] != one[2]
    assert not set(one) & set(other)


@pytest.mark.parametrize("how", ["keep", "off"])
def test_the_setting_is_known(monkeypatch, how):
    monkeypatch.setenv("UNBUG_PRIVACY_MEDIA", how)
    assert resolve()["privacy.media"] == how

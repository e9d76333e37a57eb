"""Checkpoints saved, loaded and put into models are told: what did not fit, and whether they are sound."""

from __future__ import annotations

import copy
import io
import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from tests.interop.collecting import Collected
from unbug.interop.checkpoints import MOST_EVENTS

NAMES = ("one", "two", "three", "four")


def net(*sizes: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))


def told(collected: Collected, action: str, what: str = "file") -> list[dict]:
    return [one for one in collected.events("checkpoint") if (one["action"], one["what"]) == (action, what)]


def test_a_state_dict(collected, tmp_path):
    model = net(3, 4, 2)
    path = tmp_path / "model.pt"
    torch.save(model.state_dict(), path)
    (saved,) = told(collected, "saved")
    assert (saved["path"], saved["bytes"], saved["tensors"]) == (str(path), path.stat().st_size, 4)
    assert (saved["healthy"], saved["by"], saved["parts"], saved["error"]) == (True, "torch", [], None)
    assert saved["seconds"] > 0
    model.load_state_dict(torch.load(path))
    (read,) = told(collected, "loaded")
    (put,) = told(collected, "loaded", "model")
    assert (read["path"], read["healthy"]) == (str(path), None)
    assert (put["path"], put["into"], put["tensors"]) == (str(path), "Sequential", 4)
    assert (put["missing_count"], put["unexpected_count"], put["mismatched_count"]) == (0, 0, 0)


def test_a_whole_training(collected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = net(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {
        "net": model.state_dict(),
        "opt": optimizer.state_dict(),
        "epoch": 3,
        "best": torch.tensor(math.inf),
    }
    with open("last.pt", "wb") as file:
        torch.save(state, file)
    (saved,) = told(collected, "saved")
    assert (saved["path"], saved["parts"]) == (str(tmp_path / "last.pt"), ["net", "opt"])
    assert saved["healthy"] is True, "an infinite best score is no fault of the model"
    held = torch.load("last.pt")
    model.load_state_dict(held["net"])
    optimizer.load_state_dict(held["opt"])
    (put,) = told(collected, "loaded", "optimizer")
    assert (put["into"], put["path"]) == ("Adam", str(tmp_path / "last.pt"))


@pytest.mark.parametrize("how", ["prefix", "part"])
def test_the_file_is_known_though_the_state_was_made_over(collected, tmp_path, how):
    path = str(tmp_path / "wrapped.pt")
    model = net(3, 4, 2)
    torch.save({f"module.{name}": value for name, value in model.state_dict().items()}, path)
    held = {name.removeprefix("module."): value for name, value in torch.load(path).items()}
    if how == "part":
        held = {name: value for name, value in held.items() if name.startswith("0.")}
    model.load_state_dict(held, strict=False)
    (put,) = told(collected, "loaded", "model")
    assert put["path"] == path
    assert put["missing"] == ([] if how == "prefix" else ["1.weight", "1.bias"])


def test_copies_in_memory_are_of_no_file_and_few(collected, tmp_path):
    """A target network is given the weights again and again."""
    model, target = net(3, 2), net(3, 2)
    torch.save(model.state_dict(), tmp_path / "start.pt")
    model.load_state_dict(torch.load(tmp_path / "start.pt"))
    for _ in range(20):
        target.load_state_dict(model.state_dict())
        target.load_state_dict(copy.deepcopy(model.state_dict()))
    of_files = [one["path"] for one in told(collected, "loaded", "model")]
    assert of_files == [str(tmp_path / "start.pt"), None, None, None]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    has=st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)),
    gets=st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)),
    strict=st.booleans(),
)
def test_what_did_not_fit_is_what_sets_say(collected, has, gets, strict):
    """Compared with the names and shapes themselves, whether torch raises or not."""
    collected.told.clear()
    model = nn.Module()
    for name, size in has.items():
        setattr(model, name, nn.Parameter(torch.zeros(size)))
    missing, unexpected = (
        [name for name in has if name not in gets],
        [name for name in gets if name not in has],
    )
    mismatched = [name for name in gets if name in has and has[name] != gets[name]]
    wrong = bool(mismatched) or (strict and bool(missing or unexpected))
    state = {name: torch.ones(size) for name, size in gets.items()}
    if wrong:
        with pytest.raises(RuntimeError):
            model.load_state_dict(state, strict=strict)
    else:
        model.load_state_dict(state, strict=strict)
    events = told(collected, "loaded", "model")
    if not events:  # a copy in memory that fits
        assert not (missing or unexpected or mismatched)
        return
    (put,) = events
    if strict or not wrong:  # what torch does not say where it raises for another reason is not known
        assert sorted(put["missing"]) == sorted(missing)
        assert sorted(put["unexpected"]) == sorted(unexpected)
    assert sorted(one["name"] for one in put["mismatched"]) == sorted(mismatched)
    for one in put["mismatched"]:
        assert one["there"] == str(torch.Size([gets[one["name"]]]))
        assert one["wanted"] == str(torch.Size([has[one["name"]]]))
    assert (put["error"] is not None) is wrong


def _with(value: float, *, at: int = 0, kind: torch.dtype = torch.float32, size: int = 10) -> torch.Tensor:
    tensor = torch.zeros(size, dtype=kind)
    tensor[at] = value
    return tensor


SOUND = {
    "zeros": (_with(0.0), True),
    "nan": (_with(math.nan, at=9), False),
    "infinity": (_with(math.inf), False),
    "a mask": (torch.full((4, 4), -math.inf).triu(1), True),
    "half": (_with(math.nan, kind=torch.float16), False),
    "bfloat16": (_with(math.inf, kind=torch.bfloat16), False),
    "double": (_with(math.nan, kind=torch.float64), False),
    "float8": (_with(1.0, kind=torch.float32).to(torch.float8_e4m3fn), None),
    "integers": (torch.arange(3), None),
    "transposed": (_with(math.nan).reshape(2, 5).t(), False),
    "empty": (torch.zeros(0), None),
    "sparse": (torch.eye(3).to_sparse(), None),
    "far behind": (_with(math.nan, at=99_999, size=100_000), True),
    "at the edge": (_with(math.nan, at=65_535, size=100_000), False),
}


@pytest.mark.parametrize(("tensor", "wanted"), SOUND.values(), ids=SOUND.keys())
def test_sound_is_without_nan_and_infinity(collected, tmp_path, tensor, wanted):
    torch.save({"layer.weight": tensor}, tmp_path / "x.pt")
    (saved,) = told(collected, "saved")
    assert saved["healthy"] is wanted


def test_a_module_saved_whole(collected, tmp_path):
    model = net(3, 2)
    model.register_buffer("scale", torch.tensor([math.nan]))
    model.again = model  # a module may hold itself
    torch.save(model, tmp_path / "whole.pt")
    (saved,) = told(collected, "saved")
    assert (saved["tensors"], saved["healthy"]) == (3, False)


def test_what_is_no_checkpoint_is_passed_over(collected, tmp_path):
    torch.save(torch.zeros(3), tmp_path / "data.pt")
    torch.save({"images": torch.zeros(2, 3), "labels": [1, 2]}, tmp_path / "cache.pt")
    torch.save([1, "two", None], tmp_path / "list.pt")
    torch.load(tmp_path / "data.pt")
    torch.load(tmp_path / "cache.pt")
    torch.save(net(2, 1).state_dict(), io.BytesIO())
    assert collected.events("checkpoint") == []


def test_a_checkpoint_that_is_none(collected, tmp_path):
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"<html>404</html>")
    with pytest.raises(Exception) as raised:
        torch.load(bad)
    (read,) = told(collected, "loaded")
    assert read["path"] == str(bad)
    assert read["error"].startswith(type(raised.value).__name__)
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "missing.pt")
    assert told(collected, "loaded")[-1]["error"].startswith("FileNotFoundError: ")
    with pytest.raises(RuntimeError, match="Parent directory"):
        torch.save(net(1, 1).state_dict(), tmp_path / "no/such/folder.pt")
    assert told(collected, "saved")[-1]["healthy"] is None


def test_safetensors(collected, tmp_path):
    model, path = net(3, 2), tmp_path / "model.safetensors"
    save_file(model.state_dict(), path)
    model.load_state_dict(load_file(path))
    save_model(model, str(tmp_path / "again.safetensors"))
    saved, again = told(collected, "saved")
    assert (saved["path"], saved["healthy"], saved["by"]) == (str(path), True, "safetensors")
    assert (again["path"], again["healthy"]) == (str(tmp_path / "again.safetensors"), True)
    (put,) = told(collected, "loaded", "model")
    assert put["path"] == str(path)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_distributed_checkpoints(collected, tmp_path):
    import torch.distributed.checkpoint as dcp

    model = net(3, 2)
    dcp.save({"model": model.state_dict()}, checkpoint_id=tmp_path / "dcp", no_dist=True)
    dcp.load({"model": model.state_dict()}, checkpoint_id=tmp_path / "dcp", no_dist=True)
    (saved,) = told(collected, "saved")
    (read,) = told(collected, "loaded")
    assert saved["path"] == read["path"] == str(tmp_path / "dcp")
    assert (saved["parts"], saved["healthy"]) == (["model"], True)
    assert saved["bytes"] == sum(
        file.stat().st_size for file in (tmp_path / "dcp").rglob("*") if file.is_file()
    )


def test_a_program_that_saves_at_every_step_is_bounded_and_its_last_one_told(tmp_path):
    collected = Collected()
    watching = collected.watching()
    watching.install()
    state = {"a.weight": torch.zeros(1)}
    extra = 5
    for number in range(MOST_EVENTS + extra):
        torch.save(state, tmp_path / "same.pt")
        if number == MOST_EVENTS + extra - 2:
            state = {"a.weight": torch.full((1,), math.nan)}
    assert len(collected.events("checkpoint")) == MOST_EVENTS
    watching.close()
    assert [one["healthy"] for one in collected.events("checkpoint")[MOST_EVENTS:]] == [True, False]
    assert collected.faults == []


def test_saving_changes_nothing(collected, tmp_path):
    """The file is byte for byte the one that is written without us."""
    torch.manual_seed(0)
    model = net(5, 7, 3)
    torch.save(model.state_dict(), tmp_path / "same.pt")
    watched = (tmp_path / "same.pt").read_bytes()
    other = Path(tmp_path / "bare")
    other.mkdir()
    bare_of(lambda: torch.save(model.state_dict(), other / "same.pt"), collected)
    assert (other / "same.pt").read_bytes() == watched
    state = torch.random.get_rng_state()
    torch.save(model.state_dict(), tmp_path / "again.pt")
    assert torch.equal(torch.random.get_rng_state(), state)


def bare_of(call, collected):
    """Make the call, and see that nothing was told of it."""
    before = len(collected.told)
    codes = {function: function.__code__ for function in (torch.serialization.save,)}
    for function, code in codes.items():
        function.__code__ = ORIGINAL[function]
        try:
            call()
        finally:
            function.__code__ = code
    assert len(collected.told) == before


ORIGINAL = {torch.serialization.save: torch.serialization.save.__code__}

"""One process a framework: the same training without a callback, with one, and with one inside of a run."""

from __future__ import annotations

import pytest

import unbug
from tests.session.conftest import Place

COMMON = """
import logging, os, sys, tempfile, warnings
warnings.filterwarnings("ignore")
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from torch import nn
import unbug

x = torch.randn(64, 8, generator=torch.Generator().manual_seed(3))
y = (x.sum(1) > 0).long()


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))


def thrice(fit, make):
    with unbug.run(name="bare", quiet=True):
        fit(None)
    fit(make(name="callback", quiet=True, tags=["given"]))
    with unbug.run(name="joined", quiet=True):
        fit(make(name="not used"))
        assert unbug.session.FrameworkRun("x", {}).session is None
"""


@pytest.fixture
def thrice(tmp_path):
    """Views of the three runs of a program that calls `thrice(fit, make_callback)`."""
    place, views = Place(tmp_path), []

    def go(program):
        place.program(COMMON + program)
        assert sorted(path.name for path in place.runs.iterdir() if path.is_dir()) == [
            "bare",
            "callback",
            "joined",
        ]
        views.extend(unbug.open(name, dir=place.runs) for name in ("bare", "callback", "joined"))
        return views

    yield go
    for view in views:
        view.close()


def numbers(view, origin):
    """All that was logged by a framework: name -> values with the framework's own step."""
    found = {}
    for series in view.series(origin=origin):
        points = view.read(series)
        found[series.name] = list(zip(points.user_step.tolist(), points.values.tolist(), strict=True))
    return found


def losses(view):
    """The losses of every training, and how it was trained."""
    return [
        (
            one.steps,
            one.optimizers,
            one.parameters,
            view.read("loss.value", training=one.number).values.tolist(),
        )
        for one in view.trainings
    ]


def marks(view, kind):
    return [dict(event.fields) for event in view.events(kind)]


def same(views, origin, *, leaving=()):
    """The three runs hold the same training and the same numbers, each once; returns the numbers."""
    bare, callback, joined = views
    assert losses(bare) == losses(callback) == losses(joined)
    assert losses(bare)[0][0] > 0
    kept = [
        {
            name: values
            for name, values in numbers(view, origin).items()
            if not name.endswith(leaving or ("\0",))
        }
        for view in views
    ]
    assert kept[1] == kept[2]
    for view in views:
        assert view.status.state.value == "finished"
        assert not view.events("fault")
    assert (callback.run.name, callback.run.tags) == ("callback", ("given",))
    assert {one.name for one in bare.series(origin="auto")} == {
        one.name for one in callback.series(origin="auto")
    }
    return kept


__all__ = ["losses", "marks", "numbers", "same"]

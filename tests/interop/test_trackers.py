"""TensorBoard, tensorboardX, W&B, MLflow, Trackio: they write what they write bare, and unbug has it too."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.interop.written import events_of, mlflow_of, trackio_of, wandb_of

pytestmark = pytest.mark.slow
STEPS = 12


@pytest.fixture(scope="module")
def trackers(twice):
    return twice("trackers.py", "--lr", "0.05", "--api-key", "abcdefgh12345678")


def close(points):
    """As TensorBoard's files have it, in single precision."""
    return [(step, float(np.float32(value))) for step, value in points]


def test_the_program_says_the_same(trackers):
    own = [
        [line for line in said.splitlines() if not line.startswith("*")]  # Trackio's own name folders
        for said in (trackers.said, trackers.recorded_said)
    ]
    assert own[0] == own[1]
    assert any(line.startswith("refused:") for line in own[0])


@pytest.mark.parametrize("writer", ["tb", "tbx"])
def test_event_files_are_the_same(trackers, writer):
    bare, watched = (events_of(folder / writer) for folder in (trackers.bare, trackers.watched))
    assert repr(bare) == repr(watched)  # NaN is itself there
    assert bare[0]


def test_wandb_is_the_same(trackers):
    bare, watched = wandb_of(trackers.bare), wandb_of(trackers.watched)
    assert bare == watched
    assert len(bare[0]) == STEPS + 1


def test_mlflow_is_the_same(trackers):
    bare, watched = mlflow_of(trackers.bare), mlflow_of(trackers.watched)
    assert bare == watched
    assert len(bare[0]["loss"]) == STEPS


def test_trackio_is_the_same(trackers):
    bare, watched = trackio_of(trackers.bare), trackio_of(trackers.watched)
    assert bare == watched
    assert len(bare) == STEPS


def test_what_tensorboard_was_given_is_recorded(trackers):
    found = trackers.points("tensorboard")
    held, _ = events_of(trackers.watched / "tb")
    again, _ = events_of(trackers.watched / "tbx")
    both = [
        point for pair in zip(held["tb:train/loss"], again["tbx:train/loss"], strict=True) for point in pair
    ]
    assert close(found["train/loss"]) == both
    assert close(found["both/a"]) == held["both_a:both"]
    assert close(found["both/b"]) == held["both_b:both"]
    assert close(found["final"])[0][1] == held["hparams:final"][0][1]
    ((step, value),) = found["no step"]
    assert step is None
    assert math.isnan(value)
    assert set(found) == {"train/loss", "both/a", "both/b", "final", "no step"}


def test_what_wandb_was_given_is_recorded(trackers):
    found = trackers.points("wandb")
    history, _ = wandb_of(trackers.watched)
    steps = [row for row in history if "loss" in row]
    assert found["loss"] == [(row["_step"], row["loss"]) for row in steps]
    assert found["deep.er"] == [(row["_step"], row["deep.er"]) for row in steps]
    assert set(found) == {"loss", "deep.er"}


def test_what_mlflow_was_given_is_recorded(trackers):
    metrics, _, _ = mlflow_of(trackers.watched)
    assert trackers.points("mlflow") == metrics


def test_what_trackio_was_given_is_recorded(trackers):
    assert trackers.points("trackio") == {"loss": trackio_of(trackers.watched)}


def test_rows_carry_the_step_of_the_training(trackers):
    rows = [row for row in trackers.rows("wandb") if row["name"] == "loss"]
    assert [row["step"] for row in rows] == list(range(STEPS))
    assert {row["training"] for row in rows} == {0}


def test_media_are_counted(trackers):
    last = {(event["origin"], event["kind"], event["name"]): event for event in trackers.events("logged")}
    _, others = events_of(trackers.watched / "tb")
    named = {name for origin, _, name in last if origin == "tensorboard"}
    assert named == {"weights", "picture", "words"}
    assert all(any(name in tag for tag in others) for name in named)
    assert last["wandb", "text", "note"]["count"] == STEPS
    assert last["wandb", "text", "note"]["last_step"] == STEPS - 1
    assert last["wandb", "image", "picture"]["first_step"] == 100
    assert last["wandb", "histogram", "h"]["count"] == 1
    assert ("mlflow", "artifact", "notes/words.txt") in last
    _, _, artifacts = mlflow_of(trackers.watched)
    assert artifacts == {"notes/words.txt"}


def test_hyperparameters_are_recorded(trackers):
    said = {event["origin"]: event for event in trackers.events("hyperparameters")}
    assert said["argparse"]["values"] == {"lr": 0.05, "steps": STEPS, "api_key": "[redacted]"}
    assert said["argparse"]["changed"] == ["lr", "api_key"]
    assert said["argparse"]["file"].endswith("trackers.py")
    _, config = wandb_of(trackers.watched)
    assert config["password"] == "hunter2hunter2", "what W&B writes is not ours to change"
    assert said["wandb"]["values"] == {
        "lr": 0.05, "net.width": 8, "password": "[redacted]", "late": True,
    }  # fmt: skip
    _, params, _ = mlflow_of(trackers.watched)
    assert {key: str(value) for key, value in said["mlflow"]["values"].items()} == params
    assert said["tensorboard"]["values"] == {"lr": 0.05, "act": "relu"}
    assert said["trackio"]["values"] == {"lr": 0.05}


def test_nothing_failed(trackers):
    assert trackers.events("fault") == []
    (coverage,) = trackers.events("coverage")
    assert coverage["unseen"] == []


def test_no_secret_is_written(trackers):
    texts = [file.read_bytes() for file in (trackers.watched / "runs").rglob("*") if file.is_file()]
    assert not [text for text in texts if b"hunter2hunter2" in text or b"abcdefgh12345678" in text]

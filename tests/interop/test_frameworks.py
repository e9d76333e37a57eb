"""Lightning, Transformers, Accelerate, Hydra: told once, as theirs, and what they write is as bare."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.interop.written import events_of

pytestmark = pytest.mark.slow
TRAINER = (
    "--output_dir", "out", "--max_steps", "8", "--logging_steps", "2", "--save_steps", "4", "--use_cpu",
    "true", "--eval_strategy", "steps", "--eval_steps", "4", "--report_to", "tensorboard",
    "--service_token", "swordfish-swordfish", "--disable_tqdm", "true", "--per_device_train_batch_size",
    "4",
)  # fmt: skip


@pytest.fixture(scope="module")
def lightning(twice):
    return twice("lightning_fit.py", "out")


@pytest.fixture(scope="module")
def trainer(twice):
    return twice("trainer.py", *TRAINER)


@pytest.fixture(scope="module")
def accelerated(twice):
    return twice("accelerated.py", "out")


@pytest.fixture(scope="module")
def hydra(twice):
    return twice("hydra_app.py", "optimizer.lr=0.2", "hydra.run.dir=out")


def states_of(folder: Path) -> dict[str, object]:
    """Every tensor in every checkpoint below a folder, as numbers."""
    import torch
    from safetensors.torch import load_file

    found: dict[str, object] = {}

    def walk(name: str, value: object) -> None:
        if isinstance(value, torch.Tensor):
            found[name] = value.double().tolist()
        elif isinstance(value, dict):
            for key, one in value.items():
                walk(f"{name}.{key}", one)

    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if file.suffix in (".ckpt", ".pt", ".bin") and "rng" not in name and "runs" not in file.parts[-2:]:
            held = torch.load(file, weights_only=False)
            walk(name, held if isinstance(held, dict) else {})
        elif file.suffix == ".safetensors":
            walk(name, load_file(file))
    assert found
    return found


def single(points):
    return [(step, float(np.float32(value))) for step, value in points]


def checkpoints(recorded, action, what="file"):
    return [
        event for event in recorded.events("checkpoint") if (event["action"], event["what"]) == (action, what)
    ]


@pytest.mark.parametrize("name", ["lightning", "trainer", "accelerated"])
def test_checkpoints_are_the_same(name, request):
    recorded = request.getfixturevalue(name)
    bare, watched = states_of(recorded.bare / "out"), states_of(recorded.watched / "out")
    assert bare == watched


@pytest.mark.parametrize("name", ["lightning", "trainer", "accelerated", "hydra"])
def test_nothing_failed_and_all_was_seen(name, request):
    recorded = request.getfixturevalue(name)
    assert recorded.events("fault") == []
    (coverage,) = recorded.events("coverage")
    assert coverage["unseen"] == []


# Lightning.


def test_lightning_writes_what_it_writes(lightning):
    bare, watched = (events_of(folder / "out/tb") for folder in (lightning.bare, lightning.watched))
    assert bare == watched
    for name in ("metrics.csv", "hparams.yaml"):
        texts = [
            (folder / "out/csv/version_0" / name).read_text()
            for folder in (lightning.bare, lightning.watched)
        ]
        assert texts[0] == texts[1]


def test_lightnings_metrics_are_told_once(lightning):
    """Two loggers are given them; they are Lightning's, and not TensorBoard's."""
    held, _ = events_of(lightning.watched / "out/tb")
    scalars = {name.partition(":")[2]: points for name, points in held.items()}
    found = lightning.points("lightning")
    assert set(found) == {"train_loss_step", "train_loss_epoch", "val_loss"}
    for name, points in found.items():
        assert single(points) == scalars[name]
    with (lightning.watched / "out/csv/version_0/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train_loss_step"]]
    assert found["train_loss_step"] == [(float(row["step"]), float(row["train_loss_step"])) for row in rows]


def test_what_a_callback_logs_meanwhile_is_told_too(lightning):
    found = lightning.points("tensorboard")
    assert len(found["own/batch"]) == 16
    assert set(found) == {"own/batch", "hp_metric"}


def test_lightnings_hyperparameters(lightning):
    (said,) = lightning.events("hyperparameters")
    assert (said["origin"], said["name"], said["values"]) == ("lightning", "Model", {"width": 6, "lr": 0.05})


def test_lightnings_checkpoints(lightning):
    saved = checkpoints(lightning, "saved")
    folder = lightning.watched / "out/checkpoints"
    assert {event["path"] for event in saved} >= {str(file) for file in folder.iterdir()}
    assert len(saved) == 4  # the first one was deleted by Lightning
    assert {event["by"] for event in saved} == {"lightning"}
    assert all(event["healthy"] is True for event in saved)  # Lightning's own best score is infinite
    assert [event["step"] for event in saved if event["path"].endswith("last.ckpt")] == [7, 15]
    last = [event for event in saved if event["path"].endswith("last.ckpt")][-1]
    assert last["bytes"] == (folder / "last.ckpt").stat().st_size
    (model,) = checkpoints(lightning, "loaded", "model")
    assert model["path"] == str(folder / "last.ckpt")
    assert (model["missing_count"], model["unexpected_count"], model["mismatched_count"]) == (0, 0, 0)


# Transformers.


def test_trainers_logs_are_told_once(trainer):
    history = json.loads((trainer.watched / "out/checkpoint-8/trainer_state.json").read_text())["log_history"]
    found = trainer.points("transformers")
    for name in ("loss", "grad_norm", "learning_rate", "eval_loss"):
        assert found[name] == [(float(row["step"]), row[name]) for row in history if name in row]
        assert found[name]
    assert trainer.points("tensorboard") == {}


def test_trainers_history_is_the_same(trainer):
    def history(folder: Path) -> list[dict[str, float]]:
        state = json.loads((folder / "out/checkpoint-8/trainer_state.json").read_text())
        return [
            {key: one for key, one in row.items() if "runtime" not in key and "per_second" not in key}
            for row in state["log_history"]
        ]

    assert history(trainer.bare) == history(trainer.watched)


def test_transformers_hyperparameters(trainer):
    said = {event["name"]: event for event in trainer.events("hyperparameters")}
    assert set(said) == {"ModelArguments", "TrainingArguments"}
    assert said["ModelArguments"]["values"] == {"layers": 1, "heads": 2, "service_token": "[redacted]"}
    assert said["ModelArguments"]["changed"] == ["service_token"]
    values = said["TrainingArguments"]["values"]
    assert (values["max_steps"], values["learning_rate"], values["output_dir"]) == (8, 5e-05, "out")
    changed = said["TrainingArguments"]["changed"]
    assert {"output_dir", "max_steps", "logging_steps", "save_steps", "eval_steps"} <= set(changed)
    assert not {"learning_rate", "weight_decay", "seed", "adam_beta1", "max_grad_norm"} & set(changed)


def test_trainers_checkpoints_are_folders(trainer):
    saved = checkpoints(trainer, "saved")
    out = trainer.watched / "out"
    assert [event["path"] for event in saved] == [
        str(out / "checkpoint-4"), str(out / "checkpoint-8"), str(out / "final"),
    ]  # fmt: skip
    assert [event["step"] for event in saved] == [3, 7, 7]
    assert all(event["healthy"] is True for event in saved)
    whole = sum(file.stat().st_size for file in (out / "final").rglob("*") if file.is_file())
    assert saved[-1]["bytes"] == whole


def test_what_does_not_fit_a_pretrained_model(trainer):
    fits, wider = checkpoints(trainer, "loaded", "model")
    assert fits["path"] == wider["path"] == str(trainer.watched / "out/checkpoint-8")
    assert fits["missing"] == []
    assert wider["missing_count"] == len(wider["missing"]) == 12
    assert all(name.startswith("transformer.h.1.") for name in wider["missing"])
    assert {fits["into"], wider["into"]} == {"GPT2LMHeadModel"}


# Accelerate, Hydra.


def test_accelerates_trackers_are_told_once(accelerated):
    bare, watched = (events_of(folder / "out") for folder in (accelerated.bare, accelerated.watched))
    assert bare == watched
    (held,) = [points for name, points in watched[0].items() if name.endswith(":loss")]
    found = accelerated.points("accelerate")
    assert single(found["loss"]) == held
    assert [step for step, _ in found["loss"]] == [10.0 * index for index in range(8)]
    assert accelerated.points("tensorboard") == {}
    (said,) = accelerated.events("hyperparameters")
    assert (said["origin"], said["values"]) == ("accelerate", {"lr": 0.1, "layers": 2})


def test_accelerates_states(accelerated):
    (saved,) = checkpoints(accelerated, "saved")
    (loaded,) = checkpoints(accelerated, "loaded")
    assert saved["path"] == loaded["path"] == str(accelerated.watched / "out/state")
    assert (saved["step"], saved["healthy"], saved["by"]) == (7, True, "accelerate")


def test_hydras_configuration(hydra):
    said = hydra.events("hyperparameters")
    (job,) = [event for event in said if event["origin"] == "hydra"]
    assert job["values"] == {
        "model.width": 8, "model.name": "mlp", "optimizer.lr": 0.2, "optimizer.betas": "[0.9, 0.999]",
        "seed": "${model.width}", "api_key": "[redacted]",
    }  # fmt: skip
    made = [event["values"] for event in said if event["origin"] == "omegaconf"]
    assert made == [{"batch": 4}, {"batch": 4, "epochs": 2}]
    assert {event["origin"] for event in said} == {"hydra", "omegaconf"}  # Hydra's own arguments are not ours
    kept = [(folder / "out/.hydra/config.yaml").read_text() for folder in (hydra.bare, hydra.watched)]
    assert kept[0] == kept[1]

"""One training that logs to TensorBoard, tensorboardX, W&B (offline), MLflow (files) and Trackio."""

import argparse
import os
from pathlib import Path

import numpy as np
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--steps", type=int, default=12)
parser.add_argument("--api-key", default=None)
args = parser.parse_args()
here = Path.cwd()
os.environ.update(
    WANDB_MODE="offline",
    WANDB_SILENT="true",
    WANDB_DIR=str(here),
    MLFLOW_TRACKING_URI=f"file://{here}/mlruns",
    MLFLOW_ALLOW_FILE_STORE="true",
    MLFLOW_DISABLE_TELEMETRY="true",
    GIT_PYTHON_REFRESH="quiet",
    TRACKIO_DIR=str(here / "trackio"),
)

import mlflow  # noqa: E402
import tensorboardX  # noqa: E402
import trackio  # noqa: E402
import wandb  # noqa: E402
from torch.utils.tensorboard import SummaryWriter  # noqa: E402

torch.manual_seed(0)
x = torch.randn(64, 4)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
one, two = SummaryWriter("tb"), tensorboardX.SummaryWriter("tbx")
run = wandb.init(project="demo", config={"lr": args.lr, "net": {"width": 8}, "password": "hunter2hunter2"})
mlflow.start_run()
mlflow.log_params({"lr": args.lr, "width": 8})
mlflow.log_param("optimizer", "SGD")
trackio.init(project="demo", embed=False, config={"lr": args.lr})
for step in range(args.steps):
    loss = torch.nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    one.add_scalar("train/loss", loss, 10 * step)
    one.add_scalars("both", {"a": step, "b": np.float32(0.5)}, step)
    two.add_scalar("train/loss", loss.item(), global_step=10 * step)
    run.log({"loss": loss, "deep": {"er": step}, "note": "text"})
    mlflow.log_metric("loss", loss.item(), step=3 * step)
    mlflow.log_metrics({"a": step, "b": 0.25}, step=step)
    trackio.log({"loss": loss.item()}, step=step)
one.add_histogram("weights", model[0].weight, 7)
one.add_image("picture", torch.zeros(3, 4, 4), 7)
one.add_text("words", "some", 7)
one.add_scalar("no step", float("nan"))
one.add_hparams({"lr": args.lr, "act": "relu"}, {"final": loss.item()}, run_name="hparams")
run.log({"picture": wandb.Image(np.zeros((4, 4, 3), np.uint8)), "h": wandb.Histogram([1, 2])}, step=100)
run.config.update({"late": True})
mlflow.log_text("some", "notes/words.txt")
try:
    one.add_scalar("refused", [1.0, 2.0], 0)
except Exception as error:
    print("refused:", type(error).__name__)
one.close()
two.close()
wandb.finish()
mlflow.end_run()
trackio.finish()
print(f"{loss.item():.9f}")

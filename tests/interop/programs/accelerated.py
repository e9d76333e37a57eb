"""A loop with Accelerate: its trackers, its saved states."""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset


def main(folder: Path) -> None:
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=folder)
    accelerator.init_trackers("demo", config={"lr": 0.1, "layers": 2})
    x = torch.randn(64, 4)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer, data = accelerator.prepare(
        model, optimizer, DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8)
    )
    for step, (given, wanted) in enumerate(data):
        loss = torch.nn.functional.mse_loss(model(given), wanted)
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log({"loss": loss.item(), "note": "text"}, step=10 * step)
    accelerator.save_state(folder / "state")
    accelerator.load_state(folder / "state")
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

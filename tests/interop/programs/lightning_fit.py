"""A Lightning training with two loggers, hyperparameters, checkpoints, and a callback that logs by itself."""

import logging
import sys
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader, TensorDataset

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore")


class Model(pl.LightningModule):
    def __init__(self, width: int = 8, lr: float = 0.05) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))

    def training_step(self, batch, number):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, number):
        x, y = batch
        self.log("val_loss", torch.nn.functional.mse_loss(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


class Own(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        if trainer.loggers:
            trainer.loggers[0].experiment.add_scalar("own/batch", float(number), trainer.global_step)


def main(folder: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    data = TensorDataset(x, x.sum(1, keepdim=True))
    model = Model(width=6)
    trainer = pl.Trainer(
        max_epochs=2,
        log_every_n_steps=2,
        logger=[TensorBoardLogger(folder, name="tb", version=0), CSVLogger(folder, name="csv", version=0)],
        callbacks=[
            ModelCheckpoint(dirpath=folder / "checkpoints", filename="{epoch}", save_last=True),
            Own(),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(model, DataLoader(data, batch_size=8), DataLoader(data, batch_size=32))
    Model.load_from_checkpoint(folder / "checkpoints" / "last.ckpt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

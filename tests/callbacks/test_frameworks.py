"""Callbacks with the real frameworks: the records of the run without one, each once, and marks besides."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.callbacks.conftest import marks, same


@pytest.mark.slow
def test_lightning(thrice):
    views = thrice("""
import lightning
from torch.utils.data import DataLoader, TensorDataset
from unbug.callbacks.lightning import UnbugCallback

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = net()

    def training_step(self, batch, index):
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.log("val/loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

def fit(callback):
    data = DataLoader(TensorDataset(x, y), batch_size=16)
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=3, log_every_n_steps=2,
        logger=lightning.pytorch.loggers.CSVLogger(folder), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[callback] if callback else [])
    trainer.fit(Module(), data, data)
    assert callback is None or callback.run is None

with tempfile.TemporaryDirectory() as folder:
    thrice(fit, UnbugCallback)
""")
    bare, callback, _ = same(views, "lightning")
    assert bare == callback
    assert len(bare["train/loss"]) == 6 and len(bare["val/loss"]) == 3
    assert [one["epoch"] for one in marks(views[1], "epoch")] == [0, 1, 2]
    assert [(one["name"], one["state"]) for one in marks(views[1], "evaluation")] == [
        ("validation", "begin"), ("validation", "end")
    ] * 3  # fmt: skip
    assert marks(views[0], "epoch") == []


@pytest.mark.slow
def test_transformers(thrice):
    views = thrice("""
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from unbug.callbacks.transformers import UnbugCallback

rows = [{"input_ids": row, "labels": row} for row in torch.randint(0, 50, (24, 8))]
config = GPT2Config(
    vocab_size=50, n_positions=8, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=1)

def fit(callback):
    torch.manual_seed(0)
    arguments = TrainingArguments(
        output_dir=folder, num_train_epochs=2, per_device_train_batch_size=4, logging_steps=3,
        save_strategy="no", eval_strategy="epoch", report_to=[], disable_tqdm=True, use_cpu=True,
        dataloader_pin_memory=False, seed=1)
    Trainer(model=GPT2LMHeadModel(config), args=arguments, train_dataset=rows, eval_dataset=rows[:8],
            callbacks=[callback] if callback else []).train()

with tempfile.TemporaryDirectory() as folder:
    thrice(fit, UnbugCallback)
""")
    timed = ("runtime", "per_second", "flos")
    bare, callback, _ = same(views, "transformers", leaving=timed)
    assert bare == callback
    assert len(bare["loss"]) == 4 and len(bare["eval_loss"]) == 2
    assert [one["epoch"] for one in marks(views[1], "epoch")] == [1, 2]
    assert len(marks(views[1], "evaluation")) == 2


@pytest.mark.slow
def test_accelerate(thrice):
    views = thrice("""
from accelerate import Accelerator
from unbug.callbacks.accelerate import UnbugTracker

def fit(tracker):
    accelerator = Accelerator(cpu=True, log_with=[tracker] if tracker else [])
    accelerator.init_trackers("project", config={"lr": 0.1})
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer = accelerator.prepare(model, optimizer)
    if tracker:
        assert accelerator.get_tracker("unbug").tracker.name in ("callback", "joined")
    for step in range(12):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        accelerator.backward(loss)
        optimizer.step()
        accelerator.log({"train_loss": loss.item()}, step=step)
    accelerator.end_training()

thrice(fit, UnbugTracker)
""")
    bare, callback, _ = same(views, "accelerate")
    assert bare == callback
    assert len(bare["train_loss"]) == 12
    for view in views:
        told = [one["values"] for one in marks(view, "hyperparameters") if one["origin"] == "accelerate"]
        assert told == [{"lr": 0.1}]


@pytest.mark.slow
def test_skorch(thrice):
    views = thrice("""
import pickle
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from skorch import NeuralNetClassifier
from unbug.callbacks.skorch import UnbugCallback

def fit(callback):
    made = NeuralNetClassifier(net(), criterion=nn.CrossEntropyLoss, max_epochs=3, lr=0.1, batch_size=16,
                               verbose=0, callbacks=[callback] if callback else [])
    made.fit(x.numpy(), y.numpy())
    assert callback is None or pickle.loads(pickle.dumps(made)) is not None
    clone(made)

thrice(fit, UnbugCallback)
""")
    bare, callback, _ = same(views, "skorch", leaving=("dur",))
    assert bare == {}
    assert set(callback) == {"train_loss", "valid_loss", "valid_acc"}
    assert [step for step, _ in callback["valid_loss"]] == [1, 2, 3]
    assert [(one["epoch"], one["of"]) for one in marks(views[1], "epoch")] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.slow
def test_ignite(thrice):
    views = thrice("""
from ignite.engine import create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy, RunningAverage
from torch.utils.data import DataLoader, TensorDataset
from unbug.callbacks.ignite import UnbugHandler

def fit(make):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = DataLoader(TensorDataset(x, y), batch_size=16)
    trainer = create_supervised_trainer(model, optimizer, nn.CrossEntropyLoss())
    evaluator = create_supervised_evaluator(model, {"accuracy": Accuracy()})
    RunningAverage(output_transform=float).attach(trainer, "running_loss")
    handler = make and make(model, optimizer)
    if handler:
        handler.attach(trainer, validation=evaluator)
    from ignite.engine import Events
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run(data))
    trainer.run(data, max_epochs=3)

thrice(fit, lambda **options: lambda model, optimizer: UnbugHandler(model, optimizer, **options))
""")
    bare, callback, _ = same(views, "ignite")
    assert bare == {}
    assert {name: len(values) for name, values in callback.items()} == {
        "running_loss": 3,
        "validation/accuracy": 3,
    }
    assert [one["epoch"] for one in marks(views[1], "epoch")] == [1, 2, 3]
    assert [one["state"] for one in marks(views[1], "evaluation")] == ["begin", "end"] * 3


@pytest.mark.parametrize(
    ("module", "hides", "says"),
    [
        ("lightning", ("lightning", "pytorch_lightning"), "pip install lightning"),
        ("transformers", ("transformers",), "pip install transformers"),
        ("accelerate", ("accelerate",), "pip install accelerate"),
        ("skorch", ("skorch",), "pip install skorch"),
        ("ignite", ("ignite",), "pip install pytorch-ignite"),
    ],
)
def test_a_framework_that_is_missing_is_said_so(module, hides, says):
    program = (
        f"import sys\nfor name in {hides!r}: sys.modules[name] = None\n"
        f"try:\n import unbug.callbacks.{module}\nexcept ImportError as error: print(error)\n"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert says in done.stdout and "unbug run" in done.stdout
    assert done.stdout.strip().endswith("[]")


@pytest.mark.slow
def test_an_exception_in_lightning_ends_the_run(tmp_path):
    from tests.session.conftest import Place

    place = Place(tmp_path)
    done = place.program(
        """
        import warnings; warnings.filterwarnings("ignore")
        import logging, lightning, torch
        from torch.utils.data import DataLoader, TensorDataset
        from unbug.callbacks.lightning import UnbugCallback
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

        class Module(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.net = torch.nn.Linear(4, 1)
            def training_step(self, batch, index):
                if index == 3:
                    raise KeyError("user")
                return self.net(batch[0]).sum()
            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), lr=0.1)

        callback = UnbugCallback(name="fails")
        trainer = lightning.Trainer(
            accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, callbacks=[callback])
        try:
            trainer.fit(Module(), DataLoader(TensorDataset(torch.randn(64, 4)), batch_size=4))
        except KeyError:
            print("passed on", callback.run)
        """
    )
    assert done.stdout == "passed on None\n"
    with place.open("fails") as view:
        assert view.status.state.value == "failed"
        assert view.trainings[0].steps == 3

"""Hyperparameters: each set is told once, with what is not the default, and only the program's own."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from omegaconf import OmegaConf

from unbug.interop.settings import MOST_EVENTS


def test_only_what_the_program_itself_parses(collected):
    """A library that parses arguments of its own is not the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default="0.1")
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2])
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("train").add_argument("--epochs", type=int, default=3)
    parser.parse_args(["--lr", "0.2", "train", "--epochs", "5"])
    (said,) = collected.events("hyperparameters")
    assert said["values"] == {"lr": 0.2, "layers": "[1, 2]", "command": "train", "epochs": 5}
    assert said["changed"] == ["lr", "command", "epochs"]
    assert said["file"] == __file__
    library = compile(
        "def parse(parser):\n    return parser.parse_args([])\n",
        argparse.__file__ + "/site-packages/x.py",
        "exec",
    )
    names: dict = {"__name__": "library"}
    exec(library, names)
    names["parse"](parser)
    assert len(collected.events("hyperparameters")) == 1


def test_the_same_again_is_not_told_again(collected):
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    for _ in range(3):
        parser.parse_args([])
    parser.parse_args(["--lr", "1"])
    parser.parse_known_args(["--lr", "1", "--other"])
    assert [said["values"] for said in collected.events("hyperparameters")] == [{"lr": 0.1}, {"lr": 1.0}]


def test_a_parser_that_ends_the_program_tells_nothing(collected):
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--lr", type=float)
    try:
        parser.parse_args(["--lr", "much"])
    except argparse.ArgumentError:
        assert collected.events("hyperparameters") == []


def test_configurations(collected, tmp_path):
    @dataclass
    class Sizes:
        width: int = 3

    (tmp_path / "c.yaml").write_text("model: {width: 4}\n")
    OmegaConf.structured(Sizes)
    config = OmegaConf.merge(OmegaConf.load(tmp_path / "c.yaml"), OmegaConf.from_dotlist(["seed=1"]))
    OmegaConf.create([1, 2])
    config.model.width = 9
    said = [event["values"] for event in collected.events("hyperparameters")]
    assert said == [{"width": 3}, {"model.width": 4}, {"seed": 1}, {"model.width": 4, "seed": 1}]


def test_one_value_at_a_time_is_told_whole_at_the_end(tmp_path):
    from tests.interop.collecting import Collected

    collected = Collected()
    watching = collected.watching()
    for index in range(3 * MOST_EVENTS):
        watching.settings("mlflow", {f"p{index}": index}, adds=True)
    assert len(collected.events("hyperparameters")) == MOST_EVENTS
    watching.close()
    last = collected.events("hyperparameters")[-1]
    assert last["values"] == {f"p{index}": index for index in range(3 * MOST_EVENTS)}

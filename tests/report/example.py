"""A run in memory whose report shows everything: errors, warnings, notes, causes, shapes, several places."""

from __future__ import annotations

import dataclasses
from math import exp, nan, sin

from tests.detect.memory_reader import MemoryReader
from unbug.detect import Diagnosis, diagnose
from unbug.types import Event, Phase, Place, Run, RunState, Series, Status, Training

SOURCE = """import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=8.0)
for x, y in loader:
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
"""
STEPS = 120
CREATED_NS = 1_790_000_000_000_000_000


def run(name: str = "digits", **fields) -> Run:
    return Run(
        id="01994e2b-7c00-7abc-8000-0123456789ab",
        name=name,
        created_ns=CREATED_NS,
        anchor_ns=0,
        unbug_version="0.1.0",
        facts={"command": ["python", "train.py", "--lr", "8"], "hardware": {"cpu": "x86-64", "cores": 2}},
        **fields,
    )


def finished(**fields) -> Status:
    ended = CREATED_NS + 42 * 10**9
    return Status(state=RunState.FINISHED, updated_ns=ended, ended_ns=ended, exit_code=0, **fields)


def sick(**options) -> MemoryReader:
    """A program with no zero_grad, a learning rate far too high and a loss that broadcasts."""
    call = {"function": "mse_loss", "file": "train.py", "line": 7, "calls": 1, "input_shape": [32, 1]}
    call |= {
        "target_shape": [32],
        "broadcast": [32, 32],
        "target_min": -1.5,
        "target_max": 1.5,
        "reduction": "mean",
    }
    events = [
        Event(kind="source", fields={"file": "train.py", "text": SOURCE}),
        Event(kind="loop_order", training=0, step=0, fields={"order": "FBS", "file": "train.py", "line": 8}),
        Event(kind="optimizer", training=0, step=0, fields={"class": "SGD", "file": "train.py", "line": 5}),
        Event(kind="loss_call", training=0, step=0, phase=Phase.TRAIN, fields=call),
        Event(kind="coverage", fields={"budget": 0.02, "measured_cost": {"median": 1.011, "upper": 1.018}}),
        Event(kind="environment", fields={"packages": {"torch": "2.13.0"}, "git": {"commit": "c0ffee"}}),
    ]
    reader = MemoryReader(
        trainings=[Training(number=0, steps=STEPS, ended=True, optimizers=("SGD",), parameters=49)],
        events=events,
        **options,
    )
    reader.run, reader.status = run(), finished()
    place = {"training": 0}
    loss = Place(path="loss", kind="loss", **place)
    loop = Place(path="loop", kind="loop", **place)
    optimizer = Place(path="optimizer", kind="optimizer", **place)
    weight = Place(path="0.weight", kind="parameter", shape=(8, 4), order=1, parent="0", **place)
    act = Place(path="1", kind="module", class_name="torch.nn.modules.activation.ReLU", order=2, **place)
    values = [2.3, 2.2, 4.1, 30.0, 900.0] + [3.0 + sin(n) for n in range(STEPS - 45)] + [nan] * 40
    reader.add(Series(name="loss.value", place=loss), values)
    reader.add(Series(name="loop.stale_gradient", place=loop), [0.0] + [1.0] * (STEPS - 1))
    reader.add(Series(name="optimizer.lr", place=optimizer, statistic="group 0"), [8.0] * STEPS)
    reader.add(
        Series(name="update.ratio", place=weight, sampled="by budget"), [0.3, 0.5, 4.0, 6.0] + [2.0] * 30
    )
    reader.add(Series(name="weight.l2", place=weight, sampled="by budget"), [3.0] * 34)
    reader.add(
        Series(name="grad.l2", place=weight, sampled="by budget"), [9.0 * exp(-n / 9) for n in range(34)]
    )
    reader.add(
        Series(name="activation.zero_share", place=act, sampled="by budget"), [0.5, 0.7, 0.9] + [1.0] * 40
    )
    reader.add(
        Series(name="step.time_s", place=loop, unit="s"), [0.01 + 0.001 * sin(n) for n in range(STEPS)]
    )
    return reader


def healthy() -> MemoryReader:
    reader = MemoryReader(
        trainings=[Training(number=0, steps=STEPS, ended=True, optimizers=("AdamW",), parameters=1_234_567)],
        events=[],
    )
    reader.run, reader.status = run("well"), finished()
    place = Place(path="loss", kind="loss", training=0)
    reader.add(Series(name="loss.value", place=place), [2.3 * exp(-n / 30) + 0.1 for n in range(STEPS)])
    return reader


def hostile() -> MemoryReader:
    """Names that try to break out of markup and of the terminal."""
    evil = '</script><script>alert("x")</script>&\'\x1b[31m\u202e\x07 名前 𝔘'
    reader = sick()
    reader.run = dataclasses.replace(
        reader.run, name=evil, tags=(evil,), facts={"command": [evil], evil: evil}
    )
    act = Place(path=evil, kind="module", class_name="torch.nn.ReLU", order=3, training=0)
    reader.add(Series(name="activation.zero_share", place=act), [1.0] * 40)
    return reader


def diagnosed(reader: MemoryReader) -> Diagnosis:
    return diagnose(reader)

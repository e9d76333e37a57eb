"""The line that made the data is found over loops, loaders, slices, functions and generators."""

import pytest

from unbug.detect import Window
from unbug.detect.dataline import data_line, loader_line
from unbug.types import Event, Phase

PLAIN = """import torch
x = torch.randn(90, 4) * 255
x, y = x[:80], torch.zeros(90)[:80]
for step in range(9):
    part = torch.randperm(80)[:8]
    loss = F.mse_loss(model(x[part]), y[part])
"""
LOADER = """import torch
def load():
    rows = read()
    rows = rows / 255
    wanted = read()
    return DataLoader(TensorDataset(rows, wanted), batch_size=8)
train = load()
def epoch(batches):
    for a, b in batches:
        out = model(a.float())
        loss = loss_fn(out, b)
epoch(train)
"""
METHODS = """class Trainer:
    def fit(self, loader):
        for a, b in tqdm(loader):
            loss = self.loss_fn(self.model(a), b)
    @torch.no_grad()
    def check(self, a):
        return self.model(a)
raw = torch.tensor(read())
held = raw[80:] / 2
data = DataLoader(TensorDataset(raw, raw), shuffle=False)
Trainer().fit(data)
Trainer().check(held)
Trainer().check(1 - held)
"""
GENERATOR = """def endless(loader):
    while True:
        yield from loader
x = torch.rand(9, 2)
x[:, 0] = x[:, 1]
loader = DataLoader(TensorDataset(x, x))
stream = endless(loader)
for a, b in itertools.islice(stream, 3):
    loss = criterion(model(a), b)
"""


def window(text, line):
    told = {"file": "t.py", "line": line, "function": "mse_loss", "calls": 1}
    events = [
        Event(kind="source", t_ns=0, training=-1, fields={"file": "t.py", "text": text}),
        Event(kind="loss_call", t_ns=0, training=0, step=0, phase=Phase.TRAIN, fields=told),
    ]
    return Window.from_lists({}, events=events)


@pytest.mark.parametrize(
    ("text", "line", "what", "expected"),
    [
        (PLAIN, 6, "input", 2),
        (PLAIN, 6, "target", 3),
        (LOADER, 11, "input", 4),
        (LOADER, 11, "target", 5),
        (METHODS, 4, "input", 8),
        (METHODS, 4, "evaluation", 9),
        (GENERATOR, 9, "input", 5),
        ("not python (", 1, "input", None),
        ("loss = f(a, b)", 1, "input", None),
    ],
)
def test_data_are_followed_to_where_they_were_made(text, line, what, expected):
    found = data_line(window(text, line), what)
    assert (found and found.line) == expected


@pytest.mark.parametrize(
    ("text", "line", "expected"), [(LOADER, 11, 6), (METHODS, 4, 10), (GENERATOR, 9, 6), (PLAIN, 6, None)]
)
def test_the_loader_of_the_loop(text, line, expected):
    found = loader_line(window(text, line))
    assert (found and found.line) == expected


def test_without_source_there_is_no_line():
    assert data_line(Window.from_lists({}), "input") is None and loader_line(Window.from_lists({})) is None

"""The line to change, where the program has only one that can be it."""

from __future__ import annotations

import pytest

from unbug.detect.culprits import culprit
from unbug.types import Finding, Severity, Source

PROGRAM = """import torch
from torch.nn.functional import softmax, sigmoid
class Net(nn.Module):
    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)  # probabilities
for m in net.modules():
    nn.init.zeros_(m.weight)
# softmax( is not called here
def validate(net):
    with torch.no_grad():
        total = 0
        for x, y in loader:
            total += loss_fn(net(x), y)
log = torch.log_softmax(z, 1)
""".splitlines()


def line(kind, program=PROGRAM, at=None):
    source = None if at is None else Source(file="t.py", line=at)
    finding = Finding(
        rule="X", name="x", severity=Severity.ERROR, place="", message="", advice="", diagnoses=(kind,),
        source=source,
    )  # fmt: skip
    found = culprit(finding, {"t.py": program})
    return None if found is None else found.line


@pytest.mark.parametrize(
    ("kind", "at", "expected"),
    [
        ("softmax-before-ce", 13, 5),
        ("double-sigmoid", 13, None),
        ("bad-init", None, 7),
        ("train-mode-eval", 13, 10),
        ("train-mode-eval", 3, None),
        ("train-mode-eval", 99, None),
        ("train-mode-eval", None, None),
        ("lr-too-high", 13, None),
    ],
)
def test_the_only_line_that_can_be_it(kind, at, expected):
    assert line(kind, at=at) == expected


def test_of_two_such_lines_none_is_named():
    assert line("softmax-before-ce", [*PROGRAM, "y = x.softmax(-1)"]) is None

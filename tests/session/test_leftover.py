"""The interpreter's end waits for threads of unbug: one that is in C++ code then would abort the process."""

import subprocess
import sys

PROGRAM = """
import sys
import torch
import unbug
from torch import nn

parameters = nn.ParameterList([nn.Parameter(torch.randn(8)) for _ in range(1500)])
optimizer = torch.optim.SGD(parameters.parameters(), lr=1e-4)
with unbug.run(dir=sys.argv[1]):
    for _ in range(8):
        optimizer.zero_grad()
        torch.cat(list(parameters)).sum().backward()
        optimizer.step()
print("done")
"""


def test_a_diagnosis_that_is_late_does_not_abort_the_program(tmp_path):
    for turn in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / str(turn))], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "done\n"
        assert "terminate" not in done.stderr

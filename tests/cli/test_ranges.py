"""What narrower types would lose: real gradients, recorded and shown."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import torch
torch.manual_seed(0)
x, y = torch.randn(64, 8), torch.randn(64, 1) * {scale}
model = torch.nn.Linear(8, 1)
model.weight.data *= {weight}
optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
for _ in range(30):
    optimizer.zero_grad()
    ((model(x) - y) ** 2).mean().mul({factor}).backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("weight", "factor", "told"),
    [(1.0, 1.0, []), (1.0, 1e-9, ["gradients become 0 (weight)"]), (1e6, 1.0, ["weights overflow (weight)"])],
    ids=["nothing lost", "tiny gradients", "huge weights"],
)
def test_what_a_half_would_lose(tmp_path, weight, factor, told):
    program = tmp_path / "fit.py"
    program.write_text(PROGRAM.format(scale=1.0, weight=weight, factor=factor))
    unbug = [sys.executable, "-m", "unbug"]
    subprocess.run([*unbug, "run", "--quiet", "--dir", tmp_path, program], check=True)
    shown = subprocess.run(
        [*unbug, "show", "@last", "--dir", tmp_path], check=True, capture_output=True, text=True
    ).stdout
    lines = [line for line in shown.splitlines() if line.startswith("  in float16")]
    assert bool(lines) is bool(told)
    for text in told:
        assert "up to 100.0% of the " + text in lines[0]
    asked = [*unbug, "show", "@last", "--json", "--dir", tmp_path]
    seen = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    lost = seen["trainings"][0]["ranges"]["float16"]["grad"]["underflow"]
    assert lost == (1.0 if factor < 1 else 0.0)

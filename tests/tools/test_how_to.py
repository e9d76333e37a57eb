"""Blocks of the how-to pages that need nothing but a run: each does what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from unbug.cli.main import main

PAGES = Path(__file__).parent.parent.parent / "docs" / "how-to"
PROGRAM = """
import torch
torch.manual_seed(0)
model = torch.nn.Sequential()
model.add_module("head", torch.nn.Linear(4, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(5):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.randint(0, 2, (8,)))
    loss.backward()
    optimizer.step()
"""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (PAGES / page).read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which one program was recorded."""
    made = tmp_path_factory.mktemp("how-to")
    (made / "first.py").write_text(PROGRAM)
    subprocess.run(
        [sys.executable, "-m", "unbug", "run", "--quiet", "--no-probes", "--dir", "unbug-runs", "first.py"],
        cwd=made,
        check=True,
        timeout=120,
    )
    return made


@pytest.mark.parametrize("page", ["sql.md", "trackers.md"])
def test_queries(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    lines = [
        line for block in blocks(page, "") for line in block.splitlines() if line.startswith("unbug sql")
    ]
    assert len(lines) >= 3
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line


@pytest.mark.parametrize("page", ["read.md", "sql.md"])
def test_python(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for block in blocks(page, "python"):
        kept = [
            line for line in block.splitlines() if "to_pandas" not in line
        ]  # which is not installed with unbug
        exec(compile("\n".join(kept), page, "exec"), {})


def test_expressions_that_the_text_of_reading_cites(folder, monkeypatch):
    """`view.…(…)` in running text: each gives something."""
    import unbug

    monkeypatch.chdir(folder)
    text = re.sub(r"```.*?```", "", (PAGES / "read.md").read_text(encoding="utf-8"), flags=re.S)
    cited = [one for one in re.findall(r"`(view\.[^`]*\))`", text) if "…" not in one]
    assert len(cited) >= 4
    with unbug.open("@last") as view:
        for one in cited:
            found = eval(one, {"view": view})
            assert "refresh" in one or len(getattr(found, "mean", found)) > 0, one

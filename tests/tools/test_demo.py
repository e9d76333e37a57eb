"""The demo and the tutorial: the planted fault is found, first and alone; the repaired program is silent."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPO = Path(__file__).parent.parent.parent
DEMO = REPO / "examples" / "demo.py"
FAULT = "return torch.softmax(self.head(self.body(pixels)), dim=1)"
FIX = "return self.head(self.body(pixels))"


def _unbug(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "unbug", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)


def _findings(folder: Path) -> list[dict[str, object]]:
    return json.loads(_unbug("diagnose", "@last", "--json", folder=folder).stdout)["findings"]


def test_the_planted_fault_is_the_only_alert(tmp_path):
    done = _unbug("run", str(DEMO), folder=tmp_path)
    alerts = [found for found in _findings(tmp_path) if found["severity"] != "note"]
    assert [found["rule"] for found in alerts] == ["L101"]
    line = [text.strip() for text in DEMO.read_text(encoding="utf-8").splitlines()].index(FAULT)
    assert alerts[0]["source"]["line"] == line + 1
    assert "softmax-before-cross-entropy" in done.stderr
    assert "demo.py:22" in done.stderr  # as tutorial and README show it
    assert done.stdout.count("epoch") == done.stdout.count("\n") == 4
    report = _unbug("report", "@last", "-o", "report.html", folder=tmp_path).stdout.strip()
    assert "L101" in (tmp_path / report).read_text(encoding="utf-8")


def test_queries_and_snippets_of_the_documents_work(tmp_path):
    _unbug("run", "--quiet", str(DEMO), folder=tmp_path)
    queries = re.findall(r'^unbug sql @last "(select [^"…]+)"$', _text("docs/how-to/sql.md"), flags=re.M)
    assert len(queries) >= 2
    for query in queries:
        rows = json.loads(_unbug("sql", "@last", query, "--json", folder=tmp_path).stdout)
        assert rows, query
    for page in ("docs/how-to/read.md", "docs/how-to/sql.md"):
        for snippet in re.findall(r"^```python\n(.*?)^```", _text(page), flags=re.M | re.S):
            command = [sys.executable, "-W", "error", "-c", snippet]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
            assert done.stdout and done.stderr == ""


def _text(page: str) -> str:
    return (REPO / page).read_text(encoding="utf-8")


def test_the_repaired_program_has_no_alert_and_learns_more(tmp_path):
    source = DEMO.read_text(encoding="utf-8")
    assert source.splitlines()[21].strip() == FAULT  # the tutorial names the line
    repaired = tmp_path / "repaired.py"
    repaired.write_text(source.replace(FAULT, FIX), encoding="utf-8")
    done = _unbug("run", str(repaired), folder=tmp_path)
    assert [found for found in _findings(tmp_path) if found["severity"] != "note"] == []
    assert float(done.stdout.split()[-1]) > 0.96

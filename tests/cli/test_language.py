"""Findings in Chinese, from the command line."""

from __future__ import annotations

FORGETS = """
import torch
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for _ in range(5):
    model(torch.randn(4, 2)).sum().backward()
    optimizer.step()
"""


def test_option_environment_and_locale(unbug):
    unbug.write("train.py", FORGETS)
    done = unbug("run", "train.py", env={"UNBUG_LANG": "zh", "PYTHONUTF8": "1"})
    assert "缺少 zero_grad" in done.stderr
    utf8 = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
    assert "缺少 zero_grad" in unbug("diagnose", "@last", "--lang", "zh", env=utf8).stdout
    assert (
        "缺少 zero_grad"
        in unbug("diagnose", "@last", env=utf8 | {"LANG": "zh_CN.UTF-8", "LC_ALL": ""}).stdout
    )
    english = unbug("diagnose", "@last", "--lang", "en", env=utf8 | {"LANG": "zh_CN.UTF-8"}).stdout
    assert "missing-zero-grad" in english
    assert "missing-zero-grad" in unbug("diagnose", "@last", "--json", "--lang", "zh", env=utf8).stdout
    unbug("report", "@last", "-o", "zh.html", "--lang", "zh", env=utf8)
    assert "缺少 zero_grad" in (unbug.folder / "zh.html").read_text(encoding="utf-8")
    assert "one of en, zh" in unbug("diagnose", "@last", "--lang", "fr", code=2).stderr

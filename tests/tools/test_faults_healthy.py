"""The healthy programs: as many and as different as stated, in two halves, as frozen."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

HEALTHY = Path(__file__).parents[2] / "faults" / "healthy"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("healthy_generate", HEALTHY / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_there_are_two_hundred_of_sixty_templates(generate):
    made = generate.programs()
    assert len(made) >= 200
    assert len({one.name for one in made}) == len({one.text for one in made}) == len(made)
    groups = Counter((one.half, one.group) for one in made)
    assert len(groups) >= 60 and max(groups.values()) <= 4
    assert not {name for half, name in groups if half == "dev"} & {
        name for half, name in groups if half == "held"
    }


def test_they_are_as_they_were_frozen(generate):
    assert generate.changed(generate.programs()) == []


def test_a_change_is_told(generate, tmp_path, monkeypatch):
    folder = tmp_path / "dev"
    folder.mkdir()
    head = 'why = "w"\nmetric = "m"\nbar = ">= 0.5"\nLR = "1"\n[variants.a]\n[variants.b]\nLR = "2"\n'
    (folder / "x.tmpl").write_text(head + "---\nif True:\n    print(<<LR>>)\n")
    monkeypatch.setattr(generate, "HERE", tmp_path)
    monkeypatch.setattr(generate, "FROZEN", tmp_path / "frozen.toml")
    assert generate.main(["--freeze", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "x_b.py").read_text() == "if True:\n    print(2)\n"
    told = tomllib.loads((tmp_path / "out" / "manifest.toml").read_text())["case"]
    assert [(case["file"], case["healthy"], case["half"], case["group"]) for case in told] == [
        ("x_a.py", True, "dev", "x"), ("x_b.py", True, "dev", "x"),
    ]  # fmt: skip
    assert generate.main(["--check"]) == 0
    (folder / "x.tmpl").write_text((folder / "x.tmpl").read_text().replace("print", "print(0), print"))
    assert generate.main(["--check"]) == 1


def test_a_block_keeps_its_indentation_and_a_bar_has_a_side(generate):
    assert generate._filled("def f():\n    <<BODY>>\n", {"BODY": "\nif 1:\n    pass\n"}) == (
        "def f():\n    if 1:\n        pass\n"
    )
    one = generate.programs("dev")[0]
    least = generate.Program(**{**vars(one), "bar": ">= 0.9"})
    most = generate.Program(**{**vars(one), "bar": "<= 0.9"})
    assert [least.reached(v) for v in (0.9, 0.89, float("nan"))] == [True, False, False]
    assert [most.reached(v) for v in (0.9, 0.91, float("nan"))] == [True, False, False]

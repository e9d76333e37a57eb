"""The generated programs are the frozen ones, and their manifests say what the scorer needs."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CORPUS = Path(__file__).parents[2] / "faults"
VOCABULARY = {
    name
    for section in tomllib.loads((CORPUS / "vocabulary.toml").read_text(encoding="utf-8")).values()
    for name in section
}
TELLING = re.compile(
    r"\b(fault|faulty|bugs?|buggy|wrongly|mistake|broken|incorrect|leak|oops|should be|fixme)\b", re.I
)


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, CORPUS / "generated" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return _module("generate")


@pytest.fixture(scope="module", params=["dev", "held"])
def half(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def made(generate: ModuleType, half: str) -> list[Any]:
    programs: list[Any] = generate.programs(half)
    return programs


def test_a_half_is_the_frozen_one(generate: ModuleType, half: str, made: list[Any]) -> None:
    frozen = (CORPUS / "generated" / f"{half}.sha256").read_text(encoding="utf-8")
    assert generate.hashes(made, generate.manifest(half, made)) == frozen


def test_no_program_original_or_manifest_is_in_both_halves(generate: ModuleType) -> None:
    dev, held = (generate.originals(half) for half in generate.HALVES)
    assert not {one.group for one in dev} & {one.group for one in held}
    assert min(len(dev), len(held)) >= 16
    shared = [
        (one.group, other.group)
        for one in dev
        for other in held
        if len(_long_lines(one.source) & _long_lines(other.source)) > 4
    ]
    assert not shared


def _long_lines(source: str) -> set[str]:
    """Lines of a script that are no import and long enough to be a template's."""
    lines = (line.strip() for line in source.splitlines())
    return {line for line in lines if len(line) > 24 and not line.startswith(("import", "from"))}


def test_a_manifest_says_what_the_scorer_reads(generate: ModuleType, half: str, made: list[Any]) -> None:
    cases = tomllib.loads(generate.manifest(half, made))["case"]
    assert [case["file"] for case in cases] == [program.name for program in made]
    for case, program in zip(cases, made, strict=True):
        if case["healthy"]:
            assert "fault" not in case
            continue
        assert {case["fault"], *case["accept"]} <= VOCABULARY
        assert case["fault"] not in case["accept"]
        assert len(case["accept"]) <= 3
        assert case["where"]
        assert case["lines"]
        assert 1 <= min(case["lines"]) <= max(case["lines"]) <= len(program.text.splitlines())
    faulty = Counter(case["fault"] for case in cases if not case["healthy"])
    assert sum(faulty.values()) >= 160
    assert len(faulty) >= 45


def test_no_comment_name_or_file_name_tells_of_the_fault(made: list[Any]) -> None:
    for program in made:
        ast.parse(program.text)
        assert not TELLING.search(program.text), program.name
        assert re.fullmatch(r"[a-z0-9_]+_[0-9a-f]{6}\.py", program.name)


def test_an_edit_must_fit_exactly_once() -> None:
    originals = _module("originals")
    original = originals.Original(
        half="dev",
        group="g",
        metric="m",
        goal="lower",
        about="a",
        source="a = 1\nb = 1\n",
        edits=(),
    )
    edit = originals.Edit(fault="lr-too-low", options={}, changes=(("b = 1", "b = 2"),))
    assert originals.apply(original, edit) == "a = 1\nb = 2\n"
    assert originals.changed_lines("a = 1\nb = 1\n", "a = 1\nb = 2\n") == [2]
    assert originals.changed_lines("a = 1\nb = 1\n", "a = 1\n") == [1]
    for old in ("= 1", "c = 1\n"):
        edit = originals.Edit(fault="lr-too-low", options={}, changes=((old, "x"),))
        with pytest.raises(originals.OriginalError):
            originals.apply(original, edit)

"""What the corpus' scorer says of each program, joined with what the report says of when and how sure."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from tools.full.programs import Case, write_manifest
from tools.full.running import Outcome

__all__ = ["Alert", "Judged", "judge", "scorer"]

ALERT = ("error", "warning")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An error or a warning of a report."""

    rule: str
    severity: str
    classes: tuple[str, ...]
    confidence: float
    known_at: int
    begins: int
    steps: int
    explained: bool
    right: bool


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One program: what is wrong with it, and what was said of it. Ranks count from 1; None: never named."""

    name: str
    set: str
    half: str
    healthy: bool
    fault: str
    alerts: tuple[Alert, ...]
    rank: int | None
    exact: int | None
    located: bool
    has_report: bool
    diagnose_s: float


@cache
def scorer(path: Path) -> ModuleType:
    """The corpus' scorer, `faults/score.py`, as a module."""
    spec = importlib.util.spec_from_file_location("faults_score", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def judge(cases: Iterable[Case], outcomes: Mapping[str, Outcome], faults: Path) -> list[Judged]:
    """Score the outcomes that there are; a program without one is left out."""
    known = [case for case in cases if case.name in outcomes]
    with tempfile.TemporaryDirectory(prefix="unbug-score-") as temporary:
        folder = Path(temporary)
        manifest = write_manifest(known, faults, folder)
        for case in known:
            report = outcomes[case.name].report
            if report is not None:
                (folder / f"{case.name}.json").write_text(json.dumps(report), encoding="utf-8")
        rows = _rows(scorer(faults / "score.py"), folder, manifest)
    return [_judged(case, outcomes[case.name], rows[case.name]) for case in known]


def _rows(score: ModuleType, folder: Path, manifest: Path) -> dict[str, Mapping[str, Any]]:
    told = folder / "told" / "score.json"
    told.parent.mkdir()
    with redirect_stdout(StringIO()):
        score.main([str(folder), "--manifest", str(manifest), "--json", str(told), "--quiet"])
    return {row["stem"]: row for row in json.loads(told.read_text(encoding="utf-8"))["scripts"]}


def _judged(case: Case, outcome: Outcome, row: Mapping[str, Any]) -> Judged:
    want = frozenset() if case.healthy else frozenset({case.facts["fault"], *case.facts.get("accept", ())})
    report = outcome.report or {}
    return Judged(
        name=case.name, set=case.set, half=case.half, healthy=case.healthy, fault=case.facts.get("fault", ""),
        alerts=tuple(_alerts(report, want)), rank=row["rank"], exact=row["exact"], located=row["place"],
        has_report=outcome.report is not None, diagnose_s=outcome.diagnose_s,
    )  # fmt: skip


def _alerts(report: Mapping[str, Any], want: frozenset[str]) -> Iterable[Alert]:
    lengths = {one["number"]: one["steps"] for one in report.get("coverage", {}).get("trainings", ())}
    for found in report.get("findings", ()):
        if found["severity"] not in ALERT:
            continue
        classes = tuple(found.get("diagnoses", ()))
        yield Alert(
            rule=found["rule"],
            severity=found["severity"],
            classes=classes,
            confidence=float(found["confidence"]),
            known_at=found["known_at"],
            begins=found["steps"][0] if found.get("steps") else found["known_at"],
            steps=lengths.get(found["training"], 0),
            explained=bool(found.get("caused_by")),
            right=bool(want & set(classes)),
        )

"""Count how often each rule was right on the programs that serve development, for the confidence of findings.

    python tools/calibrate.py [--folder build/faults-full]

Reads what `tools/faults_full.py` keeps of the `dev` half, whatever unbug it was run with, and writes
`src/unbug/detect/calibration.json`. An alert is right if it names the fault of its program, or one that the
manifest accepts, among its classes; on a healthy program none is. The `held` half is never read: it tells
how well the confidences hold (`expected calibration error` of `tools/faults_full.py`).
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.full.programs import Case, gather
from tools.full.running import Results
from unbug import __version__
from unbug.detect import rules
from unbug.detect.calibration import STRENGTH, margin_kind
from unbug.types import Evidence, Finding, Severity

REPO = Path(__file__).resolve().parent.parent
TARGET = REPO / "src" / "unbug" / "detect" / "calibration.json"


def main(arguments: list[str]) -> int:
    """Count, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=REPO / "build" / "faults-full")
    options = parser.parse_args(arguments)
    cases = gather(REPO / "faults", options.folder / "programs", half="dev")
    results = Results(options.folder / "results")
    reports = [
        (case, outcome.report)
        for case in cases
        if (outcome := results.get(case.name)) is not None and outcome.report is not None
    ]
    if not reports:
        print(
            "no program of the dev half was run; run tools/faults_full.py --half dev first", file=sys.stderr
        )
        return 1
    stated = {rule.code: rule.confidence for rule in rules()}
    counts = counted(reports, stated, date=datetime.datetime.now(datetime.UTC).date().isoformat())
    TARGET.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    right = sum(one["right"] for one in counts["rules"].values())
    print(
        f"{len(reports)} programs, {counts['alerts']} alerts, {right} right; wrote {TARGET.relative_to(REPO)}"
    )
    return 0


def counted(
    reports: Iterable[tuple[Case, Mapping[str, Any]]], stated: Mapping[str, float], *, date: str
) -> dict[str, Any]:
    """The contents of the file.

    Args:
        reports: Each program with its findings as JSON.
        stated: Code of a rule -> confidence that its author states.
    """
    kept: dict[str, dict[str, Any]] = {}
    programs = alerts = 0
    believed = 0.0
    for case, report in reports:
        programs += 1
        want = set() if case.healthy else {case.facts["fault"], *case.facts.get("accept", ())}
        for told in report.get("findings", ()):
            if told["severity"] == "note" or told.get("state", "open") != "open":
                continue
            right = bool(want & set(told["diagnoses"]))
            entry = kept.setdefault(told["rule"], {"right": 0, "stated": 0, "margins": {}})
            margin = entry["margins"].setdefault(margin_kind(finding_of(told)), {"right": 0, "stated": 0})
            for one in (entry, margin):
                one["right"] += right
                one["stated"] += 1
            alerts += 1
            believed += stated.get(told["rule"], 0.9)
    share = sum(entry["right"] for entry in kept.values()) + STRENGTH
    return {
        "date": date,
        "version": __version__,
        "programs": programs,
        "alerts": alerts,
        "strength": STRENGTH,
        "scale": round(min(1.0, share / (believed + STRENGTH)), 4),
        "rules": dict(sorted(kept.items())),
    }


def finding_of(told: Mapping[str, Any]) -> Finding:
    """As much of a finding as its margin needs."""
    evidence = tuple(
        Evidence(
            threshold=_number(piece.get("threshold")),
            above=piece.get("above"),
            points=tuple((int(step), _number(value) or 0.0) for step, value in piece.get("points", ())),
        )
        for piece in told.get("evidence", ())
    )
    return Finding(
        rule=told["rule"], name=told["name"], severity=Severity(told["severity"]), place="", message="",
        advice="", evidence=evidence,
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

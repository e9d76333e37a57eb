"""Findings as a document for programs: the published schema `unbug.findings/1`."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

from unbug.report.story import Story, stories, story_text
from unbug.types import SCHEMA

if TYPE_CHECKING:
    from unbug.detect import Diagnosis
    from unbug.store.contract import Reader

__all__ = ["findings_json", "findings_schema"]


def findings_schema() -> dict[str, Any]:
    """The JSON schema that `findings_json` keeps to."""
    text = resources.files("unbug.report").joinpath("findings.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def findings_json(reader: Reader, diagnosis: Diagnosis) -> dict[str, Any]:
    """All that was found in a run, as JSON values; NaN and infinities are strings, as JSON has none.

    Returns:
        `{"schema", "run", "coverage", "findings", "stories"}`, findings first which should be fixed first.
    """
    run, status = diagnosis.run, diagnosis.status
    ended = status.ended_ns or status.updated_ns
    recorded = reader.events("coverage")
    document = {
        "schema": SCHEMA,
        "run": {
            "id": run.id,
            "name": run.name,
            "path": str(diagnosis.path),
            "state": status.state.value,
            "exit_code": status.exit_code,
            "created_ns": run.created_ns,
            "duration_s": max(ended - run.created_ns, 0) / 1e9 if ended else None,
            "unbug_version": run.unbug_version,
            "command": run.facts.get("command"),
            "tags": list(run.tags),
        },
        "coverage": {
            "trainings": [
                {
                    "number": training.number,
                    "steps": training.steps,
                    "optimizers": list(training.optimizers),
                    "parameters": training.parameters,
                    "ended": training.ended,
                }
                for training in diagnosis.trainings
            ],
            "rules": list(diagnosis.rules),
            "series": diagnosis.series,
            "recorded": dict(recorded[-1].fields) if recorded else {},
            "lost": list(status.lost),
            "remarks": list(diagnosis.remarks),
            "faults": [
                {"rule": fault.rule, "training": fault.training, "error": fault.error}
                for fault in diagnosis.faults
            ],
        },
        "findings": [finding.to_json() for finding in diagnosis.findings],
        "stories": [_told(story) for story in stories(diagnosis.findings)],
    }
    plain: dict[str, Any] = _plain(document)
    return plain


def _told(story: Story) -> dict[str, Any]:
    return {
        "finding": story.root.id,
        "then": [one.id for one in story.then],
        "also": [one.id for one in story.also],
        "trainings": list(story.trainings),
        "text": str(story_text(story)),
    }


def _plain(value: Any) -> Any:
    """The value with nothing in it that JSON lacks."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)

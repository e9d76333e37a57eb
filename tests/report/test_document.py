"""Findings as JSON: the published schema, and that everything is JSON."""

from __future__ import annotations

import dataclasses
import json
from math import inf, nan

import jsonschema
import pytest

from tests.golden_files import compare
from tests.report.example import diagnosed, healthy, hostile, sick
from unbug.detect import Fault, rules
from unbug.detect.engine import examine
from unbug.report import findings_json, findings_schema
from unbug.report.document import _plain

SCHEMA = jsonschema.Draft202012Validator(findings_schema())


def strict(document):
    return json.loads(json.dumps(document, allow_nan=False))


@pytest.mark.parametrize("make", [sick, healthy, hostile])
def test_keeps_to_the_schema(make):
    reader = make()
    document = strict(findings_json(reader, diagnosed(reader)))
    SCHEMA.validate(document)
    assert document["schema"] == "unbug.findings/1"


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(findings_schema())


def undescribed(schema, path=""):
    """Paths of all parts of a schema that lack a description."""
    here = [] if str(schema.get("description", "")).strip() else [path]
    parts = {f"{path}.{name}": inner for name, inner in schema.get("properties", {}).items()}
    parts |= {f"{path}[{n}]": inner for n, inner in enumerate(schema.get("prefixItems", ()))}
    if "items" in schema:
        parts[f"{path}[]"] = schema["items"]
    parts |= {f"${name}": inner for name, inner in schema.get("$defs", {}).items()}
    return here + [lacking for where, inner in parts.items() for lacking in undescribed(inner, where)]


def test_every_field_of_the_schema_is_described():
    assert undescribed(findings_schema()) == []


def test_an_undescribed_field_is_noticed():
    schema = findings_schema()
    del schema["$defs"]["evidence"]["properties"]["points"]["items"]["prefixItems"][1]["description"]
    schema["properties"]["run"]["properties"]["new"] = {"type": "string", "description": " "}
    assert undescribed(schema) == [".run.new", "$evidence.points[][1]"]


def test_the_schema_refuses_what_is_wrong():
    reader = sick()
    good = strict(findings_json(reader, diagnosed(reader)))
    for field, wrong in (
        ("severity", "fatal"),
        ("confidence", 1.5),
        ("place", None),
        ("diagnoses", ["a"] * 4),
    ):
        bad = json.loads(json.dumps(good))
        bad["findings"][0][field] = wrong
        assert not SCHEMA.is_valid(bad), field


def test_every_rules_findings_keep_to_the_schema():
    finding = {"$ref": "#/$defs/finding", "$defs": findings_schema()["$defs"]}
    validator = jsonschema.Draft202012Validator(finding)
    for rule in rules():
        for case in rule.cases:
            found, faults = examine(case.window, [rule])
            assert faults == []
            for one in found:
                data = strict(_plain(dataclasses.replace(one, fingerprint="0" * 16).to_json()))
                validator.validate(data)


def test_the_order_and_the_fields_are_those_of_the_diagnosis():
    reader = sick()
    diagnosis = diagnosed(reader)
    document = findings_json(reader, diagnosis)
    assert [f["id"] for f in document["findings"]] == [f.id for f in diagnosis.findings]
    assert document["coverage"]["trainings"][0]["steps"] == 120
    assert document["run"]["duration_s"] == 42.0


def test_what_json_lacks_is_text():
    assert _plain({"a": [nan, inf, -inf, 1.5, None, True], 3: {"b": (1,)}, "c": object}) == {
        "a": ["NaN", "Infinity", "-Infinity", 1.5, None, True],
        "3": {"b": [1]},
        "c": str(object),
    }


def test_faults_are_told():
    reader = healthy()
    diagnosis = dataclasses.replace(diagnosed(reader), faults=(Fault(rule="T101", training=0, error="x"),))
    assert findings_json(reader, diagnosis)["coverage"]["faults"] == [
        {"rule": "T101", "training": 0, "error": "x"}
    ]


def test_golden():
    reader = sick()
    document = findings_json(reader, diagnosed(reader))
    document["coverage"]["rules"] = ["…"]
    for finding in document["findings"]:
        for piece in finding["evidence"]:
            piece["points"] = piece["points"][:3]
    compare("findings.json", json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

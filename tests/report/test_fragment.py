"""Runs, findings and tables as pieces for a notebook."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pyarrow as pa
import pytest

from tests.report.example import diagnosed, sick
from tests.report.example import run as manifest
from unbug.detect import diagnose
from unbug.report import findings_fragment, html, run_fragment, table_fragment, tables_fragment
from unbug.types import Severity

HOSTILE = "<script>alert(1)</script>\u202e"
VOID = {"img", "br", "meta", "path", "circle", "line", "rect"}


class Balanced(HTMLParser):
    """Fails unless every element is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def parsed(html):
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser.seen


def pieces():
    reader = sick()
    reader.run = manifest(HOSTILE, tags=(HOSTILE,))
    diagnosis = diagnose(reader)
    table = pa.table({HOSTILE: [HOSTILE, None] * 30, "n": [1.5, float("nan")] * 30, "t": [[1, 2], None] * 30})
    return {
        "run": run_fragment(reader, diagnosis),
        "run without findings": run_fragment(reader, None),
        "findings": findings_fragment(diagnosis.findings, reader),
        "findings alone": findings_fragment(diagnosis.findings),
        "no findings": findings_fragment(()),
        "table": table_fragment(table),
        "wide": table_fragment(pa.table({str(n): [n] for n in range(40)})),
        "empty": table_fragment(pa.table({"a": pa.array([], pa.int64())})),
        "tables": tables_fragment({HOSTILE: [HOSTILE]}),
    }


@pytest.mark.parametrize(
    ("name", "html"), pieces().items(), ids=lambda value: value if len(value) < 30 else ""
)
def test_pieces_are_whole_harmless_and_may_stand_on_a_page_many_times(name, html):
    seen = parsed(html)
    tags = {tag for tag, _ in seen}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "a"}
    for _, attributes in seen:
        assert "id" not in attributes and not any(key.startswith("on") for key in attributes)
        assert not any(key in ("src", "href", "action") for key in attributes)
    assert "\u202e" not in html
    rules = re.sub(
        r"@media[^{]*\{((?:[^{}]*\{[^}]*\})*)\s*\}", r"\1", re.search(r"<style>(.*?)</style>", html, re.S)[1]
    )
    selectors = re.findall(r"([^{}]+)\{", rules)
    assert selectors and all(".unbug-card" in part for one in selectors for part in one.split(","))


def test_findings_show_what_to_do_and_the_line():
    html = pieces()["findings"]
    assert html.count("<details") >= 3 and html.count(" open") == 1
    assert "What to do: " in html and "<svg" in html and "train.py, line 7" in html


def test_a_run_without_its_findings_shows_what_was_counted():
    assert "What to do: " not in pieces()["run without findings"]


def test_a_long_table_shows_both_ends_and_its_size():
    table = table_fragment(pa.table({"n": list(range(1000))}))
    assert "1,000 rows × 1 column" in table
    assert ">0<" in table and ">999<" in table and ">500<" not in table
    assert "24 more columns" in pieces()["wide"]


def test_notes_alone_are_no_fault():
    reader = sick()
    diagnosis = diagnosed(reader)
    notes = tuple(replace(one, severity=Severity.NOTE) for one in diagnosis.findings)
    for findings, good in ((diagnosis.findings, False), (notes, True), ((), True)):
        for page in (
            findings_fragment(findings, language="en"),
            run_fragment(reader, replace(diagnosis, findings=findings), language="en"),
            html(reader, replace(diagnosis, findings=findings), language="en"),
        ):
            assert ("o fault found" in page) is good
    assert f"{len(notes)} notes" in findings_fragment(notes, language="en")


def test_chinese():
    reader = sick()
    diagnosis = diagnosed(reader)
    page = run_fragment(reader, diagnosis, language="zh")
    told = re.findall(r"<(?:b|figcaption|h3)[^>]*>(.*?)</", page) + re.findall(
        r'class="(?:state|where|badge[^"]*)">(.*?)</', page
    )
    assert len(told) > 12
    assert [one for one in told if not any("\u4e00" <= sign <= "\u9fff" for sign in one)] == []
    assert "未发现故障" in findings_fragment((), language="zh")

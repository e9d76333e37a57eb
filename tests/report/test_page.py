"""The static page: whole, self-contained, escaped, and what it says."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.golden_files import compare
from tests.report.example import diagnosed, healthy, hostile, sick
from unbug.report import html

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collects the structure, and fails on tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for key, value in attrs if key == "id"]
        self.links += [value for key, value in attrs if key == "href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def parsed(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


PAGES = {make.__name__: make for make in (sick, healthy, hostile)}


@pytest.mark.parametrize("name", PAGES)
def test_whole_and_self_contained(name):
    source = PAGES[name]()
    page = html(source, diagnosed(source))
    read = parsed(page)
    assert page.startswith("<!doctype html>")
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(read.tags)
    assert not re.search(r"https?://|url\(|@import|javascript:", page, flags=re.I)
    assert not [key for key, _ in read.attributes if key.startswith("on") or key in ("src", "style")]
    assert len(set(read.ids)) == len(read.ids)
    assert all(link.startswith("#") and link[1:] in read.ids for link in read.links)


def test_the_same_run_gives_the_same_text():
    assert html(sick(), diagnosed(sick())) == html(sick(), diagnosed(sick()))


def test_hostile_names_are_text():
    source = hostile()
    page = html(source, diagnosed(source))
    assert "<script" not in page and "\x1b" not in page and "\u202e" not in page and "\x07" not in page
    assert '</script><script>alert("x")</script>' in "".join(parsed(page).text)
    assert "名前 𝔘" in page


def test_every_finding_is_there_with_its_evidence_and_source():
    source = sick()
    diagnosis = diagnosed(source)
    page = html(source, diagnosis)
    read = parsed(page)
    text = "".join(read.text)
    assert {finding.id for finding in diagnosis.findings} <= set(read.ids)
    for finding in diagnosis.findings:
        assert finding.message[1:] in text and finding.advice[1:] in text
    assert "NaN or infinite" in text and "limit 1" in text
    assert "loss.backward()" in text, "the line of the program"
    assert "(32, 1)" in text or "32, 1" in text, "the shapes that broadcast"
    assert text.index("Caused by") > 0 and "Leads to" in text


def test_nothing_found():
    source = healthy()
    text = "".join(parsed(html(source, diagnosed(source))).text)
    assert "No fault found" in text and "rules looked at 1 series." in text


@pytest.mark.parametrize("make", [sick, healthy])
def test_all_words_around_the_findings_are_chinese(make):
    """Every name of a column, a curve, a fact, a section: none is left in English."""
    source = make()
    page = html(source, diagnosed(source), language="zh")
    assert '<html lang="zh-CN">' in page
    named = re.findall(r"<(?:h2|th|figcaption|summary)\b[^>]*>(.*?)</(?:h2|th|figcaption|summary)>", page)
    named += re.findall(r'<p class="(?:brand|verdict)">(.*?)</p>', page)
    named += re.findall(r"<dt>(.*?)</dt>", page)
    named += re.findall(r'<text class="(?:axis|marklabel|limitlabel|badlabel)"[^>]*>(.*?)</text>', page)
    assert len(named) > 15
    english = [one for one in named if not any("\u4e00" <= sign <= "\u9fff" for sign in one)]
    english = [one for one in english if one not in ("s", "git commit")]  # a unit and a name
    assert english == []


def test_golden():
    source = sick()
    page = html(source, diagnosed(source))
    body = re.sub(r"<style>.*?</style>", "<style>…</style>", page, flags=re.S)
    body = re.sub(r"\d+( rules asked</summary><p class=\"more\">)[^<]*", r"…\1…", body)
    compare("report.html", body.replace("><", ">\n<"))

"""Chinese: which language is spoken, and that every text says the same in both, with the same numbers."""

from __future__ import annotations

import ast
import copy
import pickle
import re
import tomllib
import unicodedata
from pathlib import Path

import pytest

from tests.golden_files import compare
from tests.report.example import diagnosed, healthy, sick
from unbug import detect
from unbug.detect import classes, rules
from unbug.detect.engine import examine
from unbug.errors import SettingError
from unbug.report import findings_json, html, terminal
from unbug.report.columns import columns, wrapped
from unbug.report.language import WORDS, language_of
from unbug.report.names import fact_name, facts_in_order
from unbug.types import Bilingual, chinese

CASES = [
    pytest.param(rule, case, id=f"{rule.name}: {case.label}")
    for rule in rules()
    for case in rule.cases
    if case.fires
]
UNSHOWN = {"file", "line", "phase", "MainThread"}
"""Facts that the page tells elsewhere, and the name of a thread, which is the user's."""
NUMBER = re.compile(r"(?<![A-Za-z_\d.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?%?|NaN|∞")
FILES = sorted({Path(rule.function.__code__.co_filename) for rule in rules()})


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= sign <= "\u9fff" for sign in text)


def numbers(text: str) -> list[str]:
    return sorted(NUMBER.findall(text))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.code)
def test_every_rule_has_a_chinese_name(rule):
    assert is_chinese(chinese(rule.name)) and not is_chinese(rule.name)
    assert len({chinese(one.name) for one in rules()}) == len(rules()), "two faults have one name"


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_both_languages_say_the_same_numbers(rule, case):
    found, _ = examine(case.window, [rule])
    for finding in found:
        labels = [piece.label for piece in finding.evidence if piece.label]
        for text in (finding.message, finding.advice, *labels):
            assert is_chinese(chinese(text)), f"{text!r} has no Chinese"
            assert not is_chinese(text)
            assert numbers(chinese(text)) == numbers(text)


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_every_fact_that_is_shown_has_a_name_in_both_languages(rule, case):
    """One that is missing goes into `src/unbug/report/names.toml`."""
    for finding in rule.find(case.window):
        for key in {key for piece in finding.evidence for key in piece.facts or ()} - UNSHOWN:
            name = fact_name(key)
            assert key in facts_in_order(), f"{key!r} is not in names.toml"
            assert not is_chinese(name)
            assert is_chinese(name.zh) or name.zh == name == key, f"{key!r} has no Chinese"


def test_every_fault_class_is_told_in_both_languages():
    native = tomllib.loads((Path(detect.__file__).parent / "vocabulary.zh.toml").read_text(encoding="utf-8"))
    assert list(native) == list(classes())
    assert all(is_chinese(chinese(told)) and not is_chinese(told) for told in classes().values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_both_languages_show_the_same_quantities_in_the_same_form(file):
    """Placeholders of each pair of texts, read from the source: also of those that no case reaches."""
    pairs = [
        node
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Bilingual" and len(node.args) == 2
    ]
    assert pairs
    for node in pairs:
        en, zh = (sorted(placeholders(text)) for text in node.args)
        assert en == zh, f"{file.name}:{node.lineno}"
        assert is_chinese(ast.unparse(node.args[1])) or not is_words(node.args[0]), (
            f"{file.name}:{node.lineno}"
        )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_text_of_a_finding_is_in_one_language_only(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
            for keyword in node.keywords:
                if keyword.arg in ("message", "advice"):
                    plain = [one for one in loose_texts(keyword.value) if one.strip()]
                    assert plain == [], f"{file.name}:{keyword.value.lineno}: {plain}"


def placeholders(text: ast.expr) -> list[str]:
    """What is filled in, with its format; a part that is itself bilingual counts as one in both."""
    found = [ast.unparse(node) for node in ast.walk(text) if isinstance(node, ast.FormattedValue)]
    return [one.replace(".zh}", "}") for one in found if one != "{noun}" and "'s' if" not in one]


def is_words(text: ast.expr) -> bool:
    return not (isinstance(text, ast.Constant) and text.value in ("NaN", ""))


def loose_texts(value: ast.expr) -> list[str]:
    """Strings in an expression that no `Bilingual` holds."""
    if isinstance(value, ast.Call):
        return []
    if isinstance(value, ast.Constant | ast.JoinedStr):
        return [ast.unparse(value).strip("f'\"")]
    if isinstance(value, ast.IfExp):
        return loose_texts(value.body) + loose_texts(value.orelse)
    return [
        text
        for inner in ast.iter_child_nodes(value)
        if isinstance(inner, ast.expr)
        for text in loose_texts(inner)
    ]


@pytest.mark.parametrize(
    ("wanted", "environment", "language"),
    [
        (None, {}, "en"),
        ("zh", {}, "zh"),
        ("zh_CN", {"UNBUG_LANG": "en"}, "zh"),
        ("en", {"UNBUG_LANG": "zh", "LANG": "zh_CN.UTF-8"}, "en"),
        (None, {"UNBUG_LANG": "zh-Hans"}, "zh"),
        (None, {"UNBUG_LANG": "", "LANG": "zh_CN.UTF-8"}, "zh"),
        (None, {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        (None, {"LANG": "zh_TW.Big5"}, "zh"),
        (None, {"LANG": "zha_CN"}, "en"),
        (None, {"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_which_language_is_spoken(wanted, environment, language):
    assert language_of(wanted, environment) == language


def test_a_language_that_is_not_spoken_is_told():
    with pytest.raises(SettingError, match="one of en, zh"):
        language_of("fr", {})
    with pytest.raises(SettingError, match="UNBUG_LANG"):
        language_of(None, {"UNBUG_LANG": "klingon"})


@pytest.mark.parametrize("width", [60, 100])
def test_the_terminal_in_chinese(width):
    text = terminal(diagnosed(sick()), width=width, language="zh")
    compare(f"terminal-zh-{width}.txt", text + "\n")
    assert max(columns(line) for line in text.splitlines()) <= width


def test_healthy_in_chinese():
    assert "未发现故障" in terminal(diagnosed(healthy()), language="zh")


def test_ascii_terminals_are_spoken_to_in_english():
    assert terminal(diagnosed(sick()), ascii_only=True, language="zh").isascii()


def test_the_page_in_chinese_and_numbers_of_the_english_one():
    reader = sick()
    zh, en = (html(reader, diagnosed(reader), language=language) for language in ("zh", "en"))
    assert 'lang="zh-CN"' in zh and "缺少 zero_grad" in zh and "怎么办：" in zh
    assert not is_chinese(en)


def test_the_document_for_programs_stays_english(monkeypatch):
    monkeypatch.setenv("UNBUG_LANG", "zh")
    reader = sick()
    document = findings_json(reader, diagnosed(reader))
    assert not is_chinese(str(document))
    assert type(document["findings"][0]["message"]) is str


def test_a_bilingual_text_is_a_string():
    text = Bilingual("two layers", "两层")
    assert text == "two layers" and hash(text) == hash("two layers") and f"{text}" == "two layers"
    assert (text + "; x").zh == "两层; x" and ("x: " + text).zh == "x: 两层"
    for again in (copy.deepcopy(text), copy.copy(text), pickle.loads(pickle.dumps(text))):
        assert again == text and again.zh == "两层"
    assert chinese("plain") == "plain" and Bilingual("plain").zh == "plain"


def test_lines_of_chinese_keep_to_the_width():
    text = (
        "梯度范数 3.2e+05 被裁剪到 0.001，连续 20 次：实际步长比学习率所示小 320000 倍（clip_grad_norm_）。"
    )
    for width in range(30, 90):
        lines = wrapped(text, width, indent=2)
        assert max(columns(line) for line in lines) <= width
        assert all(line.strip()[0] not in "，。：）" for line in lines), "no line begins with a closing mark"
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_columns():
    assert columns("ab") == 2 and columns("层 1") == 4 and columns("e\u0301") == 1
    assert all(
        unicodedata.east_asian_width(sign) in "WF"
        for word in WORDS.values()
        for sign in word
        if is_chinese(sign)
    )

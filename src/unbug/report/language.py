"""English and Chinese: which one the user reads, and findings and the words around them in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from unbug.errors import SettingError
from unbug.types import Finding, chinese

if TYPE_CHECKING:
    from unbug.detect import Diagnosis

__all__ = ["LANGUAGES", "WORDS", "Language", "language_of", "say", "spoken", "spoken_finding", "word"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")

WORDS = {
    "at": "位置",
    "line": "代码",
    "seen": "数据",
    "from": "起因",
    "fix": "建议",
    "then": "后果",
    "run": "运行",
    "report": "报告",
    "error": "个错误",
    "warning": "个警告",
    "note": "条提示",
    "step": "步",
    "training": "个训练",
    "no training steps seen": "没有看到训练步",
    "no fault found": "未发现故障",
    "✖ error": "✖ 错误",
    "▲ warning": "▲ 警告",
    "● note": "● 提示",
    "○ accepted": "○ 已接受",
    "= the same": "= 同一问题",
    "↳ effect": "↳ 后果",
    "Accepted: ": "已接受：",
    "The same fault as ": "与此相同：",
    "Findings": "发现的问题",
    "Findings, first the one to fix first": "发现的问题，先修的在前",
    "What to do: ": "怎么办：",
    "Caused by ": "起因：",
    "; fix that first. ": "；请先修复它。",
    "Leads to ": "导致：",
    "What was seen": "所见",
    "Places, worst first: ": "位置，最严重的在前：",
    "Diagnosis: ": "诊断：",
}
"""English words around findings, and their Chinese."""


def language_of(wanted: str | None = None, environment: Mapping[str, str] | None = None) -> Language:
    """The language to speak: the one asked for, else that of `UNBUG_LANG`, else Chinese where the locale is
    Chinese, else English.

    Args:
        wanted: `en` or `zh`, also with a region: `zh_CN`, `zh-Hans`; empty or None leaves it open.
        environment: Instead of the process's own.
    Raises:
        SettingError: unbug does not speak the one asked for.
    """
    given = os.environ if environment is None else environment
    for setting, told in (("lang", wanted), ("UNBUG_LANG", given.get("UNBUG_LANG"))):
        if told:
            for language in LANGUAGES:
                if _speaks(told, language):
                    return language
            raise SettingError(setting, told, f"one of {', '.join(LANGUAGES)}")
    locale = next((given[name] for name in _LOCALE if given.get(name)), "")
    return "zh" if _speaks(locale, "zh") else "en"


def spoken(diagnosis: Diagnosis, language: Language) -> Diagnosis:
    """The diagnosis with the texts of its findings in one language."""
    return replace(diagnosis, findings=tuple(spoken_finding(one, language) for one in diagnosis.findings))


def spoken_finding(finding: Finding, language: Language) -> Finding:
    """The finding with its texts in one language."""
    said = chinese if language == "zh" else str
    return replace(
        finding,
        name=said(finding.name),
        message=said(finding.message),
        advice=said(finding.advice),
        evidence=tuple(replace(piece, label=said(piece.label)) for piece in finding.evidence),
    )


def say(text: str, language: Language) -> str:
    """A text in one language; one that has no Chinese stays English."""
    return chinese(text) if language == "zh" else str(text)


def word(text: str, language: Language) -> str:
    """A word from around the findings; one that has no Chinese stays English."""
    return WORDS.get(text, text) if language == "zh" else text


def _speaks(told: str, language: str) -> bool:
    """Whether a name such as `zh_CN.UTF-8` is one of a language."""
    return told.replace("-", "_").partition(".")[0].partition("_")[0].lower() == language

"""A finding in a line or two, said while the program runs."""

from __future__ import annotations

from pathlib import PurePath

from unbug.report.columns import wrapped
from unbug.report.language import Language, language_of
from unbug.report.words import clean, sentence
from unbug.types import Bilingual, Finding, Severity, chinese

__all__ = ["live_line", "live_remark"]

_WORDS = {Severity.ERROR: Bilingual("error", "错误"), Severity.WARNING: Bilingual("warning", "警告")}
_COLORS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33"}
_INDENT = 7
NARROWEST, WIDEST = 50, 110


def live_line(
    finding: Finding,
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    language: str | None = None,
) -> str:
    """Head with rule, step and line; below it what was seen, indented and broken at the terminal's width.

    The step is the first one at which it holds, as at the end of the run.
    """
    chosen: Language = "en" if ascii_only else language_of(language)
    word = _WORDS.get(finding.severity, Bilingual("note", "提示"))
    since = Bilingual(f"since step {finding.steps[0]:,}", f"自第 {finding.steps[0]:,} 步")
    severity = _said(word, chosen)
    if color:
        severity = f"\x1b[{_COLORS.get(finding.severity, '36')}m{severity}\x1b[0m"
    head = [f"unbug: {severity} {finding.rule} {clean(_said(finding.name, chosen))}"]
    if finding.training >= 0:
        head.append(_said(since, chosen))
    if finding.source is not None:
        head.append(f"{PurePath(clean(finding.source.file)).name}:{finding.source.line}")
    elif finding.place:
        head.append(clean(finding.place))
    message = sentence(_said(finding.message, chosen))
    return "\n".join([("，" if chosen == "zh" else ", ").join(head), *_wrapped(message, width)])


def live_remark(
    text: Bilingual, *, width: int = 80, ascii_only: bool = False, language: str | None = None
) -> str:
    """Something else that is said while the program runs, set the same."""
    chosen: Language = "en" if ascii_only else language_of(language)
    told = f"unbug: {clean(_said(text, chosen))}"
    first, *more = wrapped(told, min(max(width, NARROWEST), WIDEST), indent=0)
    if not more:
        return first
    return "\n".join([first, *_wrapped(told[len(first) :].lstrip(), width)])


def _wrapped(text: str, width: int) -> list[str]:
    return wrapped(text, min(max(width, NARROWEST), WIDEST), indent=_INDENT)


def _said(text: str, language: Language) -> str:
    return chinese(text) if language == "zh" else str(text)

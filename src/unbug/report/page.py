"""One static page: findings as sentences with their evidence drawn, then curves, layers, coverage,
environment."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from unbug.report.excerpt import Program
from unbug.report.language import Language, language_of, say, spoken, word
from unbug.report.markup import TAGS, Markup, said, tag, text
from unbug.report.section_findings import findings_section, summary
from unbug.report.section_media import media_section
from unbug.report.section_recording import coverage_section, environment_section
from unbug.report.section_run import curves_section, layers_section
from unbug.report.states import state_told
from unbug.report.words import count, duration, moment
from unbug.types import Bilingual, RunState, Severity

if TYPE_CHECKING:
    from unbug.detect import Diagnosis
    from unbug.store.contract import Reader

__all__ = ["html"]

_NO_STEP = Bilingual("No training step was recorded", "没有记录到训练步")
_NO_FAULT = Bilingual("No fault found", "未发现故障")


def html(reader: Reader, diagnosis: Diagnosis, *, language: str | None = None) -> str:
    """The report as one HTML file: no script, nothing fetched, light and dark, printable.

    Args:
        reader: The run; read, never changed.
        diagnosis: What `detect.diagnose` said of it.
        language: Of the findings, `en` or `zh`; left out, what the environment says.
    Returns:
        The whole document. The same run and diagnosis give the same text.
    Raises:
        SettingError: unbug does not speak that language.
    """
    from unbug.detect import windows

    chosen = language_of(language)
    diagnosis = spoken(diagnosis, chosen)

    by_number = {window.training.number: window for window in windows(reader)}
    program = Program.of(reader.events("source"))
    title = f"{diagnosis.run.name} – unbug"
    body = [
        _header(reader, diagnosis, chosen),
        tag(
            "main",
            findings_section(diagnosis, by_number, program, chosen),
            *(
                curves_section(reader, window, chosen, many=len(by_number) > 1)
                for window in by_number.values()
            ),
            *(
                layers_section(window, diagnosis, chosen, many=len(by_number) > 1)
                for window in by_number.values()
            ),
            media_section(reader, chosen),
            coverage_section(reader, diagnosis, chosen),
            environment_section(reader, diagnosis, chosen),
        ),
        tag(
            "footer",
            say(Bilingual("Written by unbug ", "由 unbug "), chosen),
            diagnosis.run.unbug_version,
            say(Bilingual(" from run ", " 写出，运行编号 "), chosen),
            tag("code", diagnosis.run.id),
            say(Bilingual(".", "。"), chosen),
        ),
    ]
    style = resources.files("unbug.report").joinpath("page.css").read_text(encoding="utf-8")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:\">"
        '<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">'
        f"<title>{text(title)}</title><style>\n{style}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="{TAGS[chosen]}"><head>{head}</head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _header(reader: Reader, diagnosis: Diagnosis, language: Language) -> Markup:
    run, status = diagnosis.run, diagnosis.status
    ended = status.ended_ns or status.updated_ns
    steps = sum(training.steps for training in diagnosis.trainings)
    parameters = max((training.parameters for training in diagnosis.trainings), default=0)
    many = len(diagnosis.trainings)
    made = Bilingual(count(steps, "step"), f"{steps:,} 步")
    if many > 1:
        made += Bilingual(f" in {many} trainings", f"，{many} 次训练")
    trained = Bilingual(f"{parameters:,} parameters", f"{parameters:,} 个参数")
    optimizers = ", ".join(dict.fromkeys(o for t in diagnosis.trainings for o in t.optimizers))
    facts = {
        Bilingual("state", "状态"): state_told(status),
        Bilingual("started", "开始于"): moment(run.created_ns),
        Bilingual("took", "用时"): duration(max(ended - run.created_ns, 0) / 1e9) if ended else None,
        Bilingual("steps", "训练步"): made if steps else None,
        Bilingual("trained", "所训练的"): trained if parameters else None,
        Bilingual("optimizer", "优化器"): optimizers or None,
        Bilingual("tags", "标签"): ", ".join(run.tags) or None,
    }
    cells = [
        tag("div", tag("dt", say(name, language)), tag("dd", say(value, language)))
        for name, value in facts.items()
        if value is not None
    ]
    command = run.facts.get("command")
    if command:
        shown = " ".join(map(str, command)) if isinstance(command, list | tuple) else said(command)
        cells.append(
            tag(
                "div",
                tag("dt", say(Bilingual("command", "命令"), language)),
                tag("dd", tag("code", shown)),
                class_="wide",
            )
        )
    crash = reader.events("crash")
    told = status.message or (str(crash[-1].fields.get("error", "")) if crash else "")
    if told and status.state is not RunState.FINISHED:
        cells.append(
            tag(
                "div",
                tag("dt", say(Bilingual("how it ended", "如何结束"), language)),
                tag("dd", tag("code", told)),
                class_="wide",
            )
        )
    return tag(
        "header",
        tag("p", say(Bilingual("unbug report", "unbug 报告"), language), class_="brand"),
        tag("h1", run.name),
        tag("p", _verdict(diagnosis, language), class_="verdict"),
        tag("dl", *cells, class_="facts"),
        summary(diagnosis, language),
        class_="top",
    )


def _verdict(diagnosis: Diagnosis, language: Language) -> Markup:
    severities = [finding.severity for finding in diagnosis.findings]
    parts = []
    for severity, noun in ((Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.NOTE, "note")):
        if severity in severities:
            number = severities.count(severity)
            told = say(Bilingual(count(number, noun), f"{number} {word(noun, 'zh')}"), language)
            parts.append(tag("span", told, class_=f"badge {severity.value}"))
    if not any(training.steps for training in diagnosis.trainings) and not parts:
        return tag("span", say(_NO_STEP, language), class_="badge warning")
    if not set(severities) - {Severity.NOTE}:
        parts.insert(0, tag("span", say(_NO_FAULT, language), class_="badge good"))
    return Markup(("，" if language == "zh" else ", ").join(parts))

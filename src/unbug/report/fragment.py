"""A run or its findings as a piece of HTML for a notebook: no script, nothing fetched, no ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from unbug.report.card import card
from unbug.report.drawing import Chart, chart
from unbug.report.excerpt import Program
from unbug.report.language import Language, language_of, say, spoken, spoken_finding, word
from unbug.report.markup import Markup, tag
from unbug.report.pictures import evidence_chart, training_charts
from unbug.report.states import state_told
from unbug.report.words import count, duration, sentence, span
from unbug.types import Bilingual, RunState, Severity

if TYPE_CHECKING:
    from unbug.detect import Diagnosis, Window
    from unbug.store.contract import Reader
    from unbug.types import Finding

__all__ = ["findings_fragment", "run_fragment"]

_MARKS = {Severity.ERROR: "✖ error", Severity.WARNING: "▲ warning", Severity.NOTE: "● note"}
_PICTURES = 2
MOST_FINDINGS = 12


def run_fragment(reader: Reader, diagnosis: Diagnosis | None, *, language: str | None = None) -> str:
    """One run at a glance: state, loss, findings with their evidence.

    Args:
        diagnosis: None where it would take too long; the counts of the status are shown then.
        language: `en` or `zh`; left out, what the environment says.
    """
    chosen = language_of(language)
    diagnosis = spoken(diagnosis, chosen) if diagnosis is not None else None
    run, status, trainings = reader.run, reader.status, reader.trainings()
    ended = status.ended_ns or status.updated_ns or run.created_ns
    steps, many, most = (
        sum(one.steps for one in trainings),
        len(trainings),
        max((one.parameters for one in trainings), default=0),
    )
    made = Bilingual(count(steps, "step"), f"{steps:,} 步")
    if many > 1:
        made += Bilingual(f" in {count(many, 'training')}", f"，{many} 次训练")
    optimizers = dict.fromkeys(name for training in trainings for name in training.optimizers)
    facts = [
        say(made, chosen),
        duration(max(ended - run.created_ns, 0) / 1e9),
        ", ".join(optimizers),
        say(Bilingual(f"{most:,} parameters", f"{most:,} 个参数"), chosen) if most else "",
        ", ".join(run.tags),
    ]
    head = tag(
        "div",
        tag("span", run.name, class_="name"),
        tag("span", say(state_told(status), chosen), class_="state"),
        tag("span", *_verdict(diagnosis, status.findings, steps, chosen), class_="verdict"),
        class_="top",
    )
    windows: Mapping[int, Window] = {}
    if trainings:
        from unbug.detect import windows as cut

        live = status.state is RunState.RUNNING
        windows = {window.training.number: window for window in cut(reader, live=live)}
    parts = [
        head,
        tag("p", " · ".join(fact for fact in facts if fact), class_="facts"),
    ]
    if windows:
        drawn = [one for one in training_charts(reader, list(windows.values())[-1]) if _moves(one)][
            :_PICTURES
        ]
        figures = [
            tag("figure", tag("figcaption", say(one.title, chosen)), Markup(chart(one, chosen)))
            for one in drawn
        ]
        parts.append(tag("div", *figures, class_="pictures"))
    if diagnosis is not None:
        parts += _findings(diagnosis.findings, windows, Program.of(reader.events("source")), chosen)
    where = tag("p", word("run", chosen), " ", tag("code", str(reader.path)), class_="foot")
    return card(*parts, where)


def findings_fragment(
    findings: Iterable[Finding], reader: Reader | None = None, *, language: str | None = None
) -> str:
    """Findings, the one to fix first on top, each with its evidence, its line and what to do.

    Args:
        reader: The run, for curves around the evidence; without it the evidence's own points are drawn.
        language: `en` or `zh`; left out, what the environment says.
    """
    chosen = language_of(language)
    listed = tuple(spoken_finding(one, chosen) for one in findings)
    windows: Mapping[int, Window] = {}
    program = Program()
    if reader is not None and listed:
        from unbug.detect import windows as cut

        windows = {window.training.number: window for window in cut(reader)}
        program = Program.of(reader.events("source"))
    head = tag(
        "div",
        tag("span", word("Findings", chosen), class_="name"),
        tag("span", *_counted(listed, chosen), class_="verdict"),
        class_="top",
    )
    return card(head, *_findings(listed, windows, program, chosen))


def _verdict(
    diagnosis: Diagnosis | None, stated: Mapping[str, int], steps: int, language: Language
) -> list[Markup]:
    if diagnosis is not None and diagnosis.findings:
        return _counted(diagnosis.findings, language)
    if diagnosis is None:
        return [_badge(many, severity, language) for severity, many in stated.items() if many]
    if not steps:
        none = Bilingual("no training step yet", "尚无训练步")
        return [tag("span", say(none, language), class_="badge")]
    return _counted((), language)


def _counted(findings: tuple[Finding, ...], language: Language) -> list[Markup]:
    """How many of each; notes alone are no fault."""
    severities = [finding.severity for finding in findings]
    told = [
        _badge(severities.count(severity), severity.value, language)
        for severity in Severity
        if severity in severities
    ]
    if not set(severities) - {Severity.NOTE}:
        told.insert(0, tag("span", f"✔ {word('no fault found', language)}", class_="badge good"))
    return told


def _badge(many: int, severity: str, language: Language) -> Markup:
    told = Bilingual(count(many, severity), f"{many} {word(severity, 'zh')}")
    return tag("span", say(told, language), class_=f"badge {severity}")


def _findings(
    findings: tuple[Finding, ...], windows: Mapping[int, Window], program: Program, language: Language
) -> list[Markup]:
    names = {finding.id: f"{finding.rule} {finding.name}" for finding in findings}
    many = len({finding.training for finding in findings}) > 1
    told = [
        _finding(finding, names, windows.get(finding.training), program, language, first=at == 0, many=many)
        for at, finding in enumerate(findings[:MOST_FINDINGS])
    ]
    if len(findings) > MOST_FINDINGS:
        more = len(findings) - MOST_FINDINGS
        told.append(tag("p", say(Bilingual(f"and {more} more", f"另有 {more} 个"), language), class_="soft"))
    return told


def _finding(
    finding: Finding,
    names: Mapping[str, str],
    window: Window | None,
    program: Program,
    language: Language,
    *,
    first: bool,
    many: bool,
) -> Markup:
    where = [say(span(finding.steps), language)] if finding.training >= 0 else []
    if many:
        where.insert(0, say(Bilingual(f"training {finding.training}", f"训练 {finding.training}"), language))
    if finding.source is not None:
        file, line = finding.source.file.rpartition("/")[2], finding.source.line
        where.append(say(Bilingual(f"{file}, line {line}", f"{file} 第 {line} 行"), language))
    summary = tag(
        "summary",
        tag("span", word(_MARKS[finding.severity], language), class_="badge"),
        Markup(" "),
        tag("span", sentence(finding.message)),
        Markup(" "),
        tag("span", ("，" if language == "zh" else ", ").join(where), class_="where"),
    )
    charts = [picture for piece in finding.evidence if (picture := evidence_chart(piece, window)) is not None]
    figures = [
        tag(
            "figure", tag("figcaption", sentence(say(one.title, language))[:-1]), Markup(chart(one, language))
        )
        for one in charts[:_PICTURES]
        if any(len(line.steps) > 1 for line in one.lines)
    ]
    code = program.excerpt(finding.source, language) if finding.source is not None else None
    caused = ", ".join(names.get(one, one) for one in finding.caused_by)
    inner = tag(
        "div",
        tag("p", tag("b", word("What to do: ", language)), sentence(finding.advice)),
        tag(
            "p",
            say(Bilingual(f"Caused by {caused}; fix that first.", f"起因：{caused}；请先修复它。"), language),
            class_="soft",
        )
        if caused
        else None,
        tag("div", *figures, code, class_="pictures") if figures or code else None,
        tag(
            "p",
            f"{finding.rule} {finding.name}",
            say(
                Bilingual(f", confidence {finding.confidence:.0%}", f"，置信度 {finding.confidence:.0%}"),
                language,
            ),
            class_="soft",
        ),
        class_="inner",
    )
    style = f"finding {finding.severity.value}"
    # `open` has no value, which `tag` does not write
    opened = " open" if first and finding.severity is not Severity.NOTE else ""
    return Markup(f'<details class="{style}"{opened}>{summary}{inner}</details>')


def _moves(picture: Chart) -> bool:
    """Whether a curve tells more than one number would."""
    return any(len(set(line.values)) > 1 for line in picture.lines)

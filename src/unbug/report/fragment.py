"""A run, its findings or a table as a piece of HTML for a notebook: no script, nothing fetched, no ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from unbug.report.drawing import Chart, chart
from unbug.report.excerpt import Program
from unbug.report.markup import Markup, tag, text
from unbug.report.pictures import evidence_chart, training_charts
from unbug.report.words import clean, count, duration, number, sentence, span
from unbug.types import RunState, Severity

if TYPE_CHECKING:
    import pyarrow as pa

    from unbug.detect import Diagnosis, Window
    from unbug.store.contract import Reader
    from unbug.types import Finding

__all__ = ["cell", "findings_fragment", "run_fragment", "table_fragment", "tables_fragment"]

_MARKS = {Severity.ERROR: "✖ error", Severity.WARNING: "▲ warning", Severity.NOTE: "● note"}
_PICTURES = 2
MOST_FINDINGS, MOST_ROWS, MOST_COLUMNS = 12, 20, 16


def run_fragment(reader: Reader, diagnosis: Diagnosis | None) -> str:
    """One run at a glance: state, loss, findings with their evidence.

    Args:
        diagnosis: None where it would take too long; the counts of the status are shown then.
    """
    run, status, trainings = reader.run, reader.status, reader.trainings()
    ended = status.ended_ns or status.updated_ns or run.created_ns
    steps = count(sum(training.steps for training in trainings), "step")
    optimizers = dict.fromkeys(name for training in trainings for name in training.optimizers)
    facts = [
        steps + (f" in {count(len(trainings), 'training')}" if len(trainings) > 1 else ""),
        duration(max(ended - run.created_ns, 0) / 1e9),
        ", ".join(optimizers),
        f"{max((training.parameters for training in trainings), default=0):,} parameters",
        ", ".join(run.tags),
    ]
    state = status.state.value + (f", exit code {status.exit_code}" if status.exit_code else "")
    head = tag(
        "div",
        tag("span", run.name, class_="name"),
        tag("span", state, class_="state"),
        tag("span", *_verdict(diagnosis, status.findings, steps), class_="verdict"),
        class_="top",
    )
    windows: Mapping[int, Window] = {}
    if trainings:
        from unbug.detect import windows as cut

        live = status.state is RunState.RUNNING
        windows = {window.training.number: window for window in cut(reader, live=live)}
    parts = [
        head,
        tag("p", " · ".join(fact for fact in facts if fact and fact != "0 parameters"), class_="facts"),
    ]
    if windows:
        drawn = [one for one in training_charts(reader, list(windows.values())[-1]) if _moves(one)][
            :_PICTURES
        ]
        figures = [tag("figure", tag("figcaption", one.title), Markup(chart(one))) for one in drawn]
        parts.append(tag("div", *figures, class_="pictures"))
    if diagnosis is not None:
        parts += _findings(diagnosis.findings, windows, Program.of(reader.events("source")))
    where = tag("p", "run ", tag("code", str(reader.path)), class_="foot")
    return _card(*parts, where)


def findings_fragment(findings: Iterable[Finding], reader: Reader | None = None) -> str:
    """Findings, the one to fix first on top, each with its evidence, its line and what to do.

    Args:
        reader: The run, for curves around the evidence; without it the evidence's own points are drawn.
    """
    listed = tuple(findings)
    windows: Mapping[int, Window] = {}
    program = Program()
    if reader is not None and listed:
        from unbug.detect import windows as cut

        windows = {window.training.number: window for window in cut(reader)}
        program = Program.of(reader.events("source"))
    head = tag(
        "div",
        tag("span", "Findings", class_="name"),
        tag("span", *_counted(listed), class_="verdict"),
        class_="top",
    )
    return _card(head, *_findings(listed, windows, program))


def table_fragment(table: pa.Table) -> str:
    """The first and last rows of a table, with its size."""
    rows, names = table.num_rows, table.column_names
    shown = names[:MOST_COLUMNS]
    half = MOST_ROWS // 2
    cut = rows > MOST_ROWS
    parts = [table.slice(0, half), table.slice(rows - half)] if cut else [table]
    numeric = [
        str(table.schema.field(name).type).startswith(("int", "uint", "float", "double", "half"))
        for name in shown
    ]
    body = []
    for at, part in enumerate(parts):
        if at:
            body.append(tag("tr", *(tag("td", "…", class_=None if right else "left") for right in numeric)))
        columns = [part.column(name).to_pylist() for name in shown]
        body += [
            tag(
                "tr",
                *(
                    tag("td", cell(value), class_=None if right else "left")
                    for value, right in zip(row, numeric, strict=True)
                ),
            )
            for row in zip(*columns, strict=True)
        ]
    head = tag(
        "thead",
        tag(
            "tr",
            *(
                tag("th", name, scope="col", class_=None if right else "left")
                for name, right in zip(shown, numeric, strict=True)
            ),
        ),
    )
    left_out = f"; {len(names) - len(shown)} more columns" if len(names) > len(shown) else ""
    foot = tag("p", f"{count(rows, 'row')} × {count(len(names), 'column')}{left_out}", class_="foot")
    return _card(tag("div", tag("table", head, tag("tbody", *body)), class_="scroll"), foot)


def tables_fragment(columns: Mapping[str, Iterable[str]]) -> str:
    """The tables that a run has, with their columns."""
    rows = [
        tag("tr", tag("td", tag("code", name)), tag("td", ", ".join(of), class_="left"))
        for name, of in columns.items()
    ]
    head = tag(
        "thead", tag("tr", tag("th", "table", scope="col"), tag("th", "columns", scope="col", class_="left"))
    )
    return _card(tag("div", tag("table", head, tag("tbody", *rows)), class_="scroll"))


def _card(*parts: object) -> str:
    return f'<div class="unbug-card"><style>{_style()}</style>{"".join(map(str, parts))}</div>'


@cache
def _style() -> str:
    return resources.files("unbug.report").joinpath("fragment.css").read_text(encoding="utf-8")


def _verdict(diagnosis: Diagnosis | None, stated: Mapping[str, int], steps: str) -> list[Markup]:
    if diagnosis is not None and diagnosis.findings:
        return _counted(diagnosis.findings)
    if diagnosis is None:
        return [
            tag("span", count(many, severity), class_=f"badge {text(severity)}")
            for severity, many in stated.items()
            if many
        ]
    if steps == "0 steps":
        return [tag("span", "no training step yet", class_="badge")]
    return [tag("span", "✔ no fault found", class_="badge good")]


def _counted(findings: tuple[Finding, ...]) -> list[Markup]:
    severities = [finding.severity for finding in findings]
    told = [
        tag("span", count(severities.count(severity), severity.value), class_=f"badge {severity.value}")
        for severity in Severity
        if severity in severities
    ]
    return told or [tag("span", "✔ no fault found", class_="badge good")]


def _findings(findings: tuple[Finding, ...], windows: Mapping[int, Window], program: Program) -> list[Markup]:
    names = {finding.id: f"{finding.rule} {finding.name}" for finding in findings}
    many = len({finding.training for finding in findings}) > 1
    told = [
        _finding(finding, names, windows.get(finding.training), program, first=at == 0, many=many)
        for at, finding in enumerate(findings[:MOST_FINDINGS])
    ]
    if len(findings) > MOST_FINDINGS:
        told.append(tag("p", f"and {len(findings) - MOST_FINDINGS} more", class_="soft"))
    return told


def _finding(
    finding: Finding,
    names: Mapping[str, str],
    window: Window | None,
    program: Program,
    *,
    first: bool,
    many: bool,
) -> Markup:
    where = [span(finding.steps)] if finding.training >= 0 else []
    if many:
        where.insert(0, f"training {finding.training}")
    if finding.source is not None:
        where.append(f"{finding.source.file.rpartition('/')[2]}, line {finding.source.line}")
    summary = tag(
        "summary",
        tag("span", _MARKS[finding.severity], class_="badge"),
        Markup(" "),
        tag("span", sentence(finding.message)),
        Markup(" "),
        tag("span", ", ".join(where), class_="where"),
    )
    charts = [picture for piece in finding.evidence if (picture := evidence_chart(piece, window)) is not None]
    figures = [
        tag("figure", tag("figcaption", sentence(one.title)[:-1]), Markup(chart(one)))
        for one in charts[:_PICTURES]
        if any(len(line.steps) > 1 for line in one.lines)
    ]
    code = program.excerpt(finding.source) if finding.source is not None else None
    caused = ", ".join(names.get(one, one) for one in finding.caused_by)
    inner = tag(
        "div",
        tag("p", tag("b", "What to do: "), sentence(finding.advice)),
        tag("p", f"Caused by {caused}; fix that first.", class_="soft") if caused else None,
        tag("div", *figures, code, class_="pictures") if figures or code else None,
        tag("p", f"{finding.rule} {finding.name}, confidence {finding.confidence:.0%}", class_="soft"),
        class_="inner",
    )
    style = f"finding {finding.severity.value}"
    # `open` has no value, which `tag` does not write
    opened = " open" if first and finding.severity is not Severity.NOTE else ""
    return Markup(f'<details class="{style}"{opened}>{summary}{inner}</details>')


def _moves(picture: Chart) -> bool:
    """Whether a curve tells more than one number would."""
    return any(len(set(line.values)) > 1 for line in picture.lines)


def cell(value: Any) -> str:
    """A value of a table, cut to what a cell has room for."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return number(value)
    said = clean(str(value))
    return said if len(said) <= 80 else said[:79] + "…"

"""One static page: findings as sentences with their evidence drawn, then curves, layers, coverage,
environment."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from unbug.report.excerpt import Program
from unbug.report.language import Language, language_of, spoken
from unbug.report.markup import Markup, said, tag, text
from unbug.report.section_findings import findings_section, summary
from unbug.report.section_media import media_section
from unbug.report.section_run import coverage_section, curves_section, environment_section, layers_section
from unbug.report.words import count, duration, moment
from unbug.types import RunState, Severity

if TYPE_CHECKING:
    from unbug.detect import Diagnosis
    from unbug.store.contract import Reader

__all__ = ["html"]

_STATES = {
    RunState.RUNNING: "running",
    RunState.FINISHED: "finished",
    RunState.FAILED: "failed",
    RunState.INTERRUPTED: "interrupted",
    RunState.KILLED: "killed",
    RunState.LOST: "lost: no sign of life",
}


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
            *(curves_section(reader, window, many=len(by_number) > 1) for window in by_number.values()),
            *(layers_section(window, diagnosis, many=len(by_number) > 1) for window in by_number.values()),
            media_section(reader),
            coverage_section(reader, diagnosis),
            environment_section(reader, diagnosis),
        ),
        tag(
            "footer",
            "Written by unbug ",
            diagnosis.run.unbug_version,
            " from run ",
            tag("code", diagnosis.run.id),
            ".",
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
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _header(reader: Reader, diagnosis: Diagnosis, language: Language) -> Markup:
    run, status = diagnosis.run, diagnosis.status
    ended = status.ended_ns or status.updated_ns
    steps = sum(training.steps for training in diagnosis.trainings)
    state = _STATES[status.state] + (f", exit code {status.exit_code}" if status.exit_code else "")
    parameters = max((training.parameters for training in diagnosis.trainings), default=0)
    facts = {
        "state": state,
        "started": moment(run.created_ns),
        "took": duration(max(ended - run.created_ns, 0) / 1e9) if ended else None,
        "steps": count(steps, "step")
        + (f" in {len(diagnosis.trainings)} trainings" if len(diagnosis.trainings) > 1 else ""),
        "trained": f"{parameters:,} parameters" if parameters else None,
        "optimizer": ", ".join(dict.fromkeys(o for t in diagnosis.trainings for o in t.optimizers)) or None,
        "tags": ", ".join(run.tags) or None,
    }
    cells = [
        tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items() if value is not None
    ]
    command = run.facts.get("command")
    if command:
        shown = " ".join(map(str, command)) if isinstance(command, list | tuple) else said(command)
        cells.append(tag("div", tag("dt", "command"), tag("dd", tag("code", shown)), class_="wide"))
    crash = reader.events("crash")
    told = status.message or (str(crash[-1].fields.get("error", "")) if crash else "")
    if told and status.state is not RunState.FINISHED:
        cells.append(tag("div", tag("dt", "how it ended"), tag("dd", tag("code", told)), class_="wide"))
    return tag(
        "header",
        tag("p", "unbug report", class_="brand"),
        tag("h1", run.name),
        tag("p", _verdict(diagnosis), class_="verdict"),
        tag("dl", *cells, class_="facts"),
        summary(diagnosis, language),
        class_="top",
    )


def _verdict(diagnosis: Diagnosis) -> Markup:
    severities = [finding.severity for finding in diagnosis.findings]
    parts = []
    for severity, noun in ((Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.NOTE, "note")):
        if severity in severities:
            parts.append(
                tag("span", count(severities.count(severity), noun), class_=f"badge {severity.value}")
            )
    if parts:
        return Markup(", ".join(parts))
    if not any(training.steps for training in diagnosis.trainings):
        return tag("span", "No training step was recorded", class_="badge warning")
    return tag("span", "No fault found", class_="badge good")

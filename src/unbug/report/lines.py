"""The last lines in the terminal: findings, the one to fix first on top. Needs nothing but the standard
library."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.report.words import clean, count, listed, number, sentence
from unbug.types import Evidence, Finding, RunState, Severity

if TYPE_CHECKING:
    from unbug.detect import Diagnosis

__all__ = ["terminal"]

NARROWEST, WIDEST = 50, 100
_MARKS = {Severity.ERROR: "✖", Severity.WARNING: "▲", Severity.NOTE: "·"}
_PLAIN_MARKS = {Severity.ERROR: "x", Severity.WARNING: "!", Severity.NOTE: "-"}
_COLORS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}
_BARS = "▁▂▃▄▅▆▇█"


def terminal(
    diagnosis: Diagnosis,
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    most: int = 5,
    report: Path | None = None,
) -> str:
    """What was found, as lines for a terminal.

    Args:
        width: Columns there are; lines are never longer, and text is not set wider than is good to read.
        color: Whether to use ANSI colours; without them nothing is lost but colour.
        ascii_only: For terminals that cannot show other signs.
        most: Alerts that are told in full; the rest are named.
        report: Where a report was written, if one was; else the command that writes it is shown.
    Returns:
        Lines without a newline at the end.
    """
    page = _Lines(min(max(width, NARROWEST), WIDEST), color=color, ascii_only=ascii_only)
    return page.text(diagnosis, most=most, report=report)


class _Lines:
    """Composes the text for one terminal."""

    def __init__(self, width: int, *, color: bool, ascii_only: bool) -> None:
        self.width, self.color, self.ascii_only = width, color, ascii_only

    def text(self, diagnosis: Diagnosis, *, most: int, report: Path | None) -> str:
        groups = _grouped(diagnosis.findings)
        alerts = [group for group in groups if group[0].severity is not Severity.NOTE]
        notes = [group for group in groups if group[0].severity is Severity.NOTE]
        names = {finding.id: f"{finding.rule} {finding.name}" for finding in diagnosis.findings}
        parts = [self._head(diagnosis, len(alerts))]
        parts += ["\n".join(self._finding(group, names, diagnosis)) for group in alerts[:most]]
        if len(alerts) > most:
            rest = [f"{group[0].rule} {group[0].name}" for group in alerts[most:]]
            parts.append("\n".join(self._wrapped(f"{len(rest)} more: {listed(rest, most=6)}", indent=2)))
        if notes:
            parts.append("\n".join(line for group in notes for line in self._note(group[0])))
        if diagnosis.faults:
            parts.append("\n".join(self._faults(diagnosis)))
        parts.append("\n".join(self._foot(diagnosis, report)))
        text = "\n\n".join(parts)
        return text.translate(_TO_ASCII).encode("ascii", "replace").decode() if self.ascii_only else text

    def _head(self, diagnosis: Diagnosis, alerts: int) -> str:
        steps = sum(training.steps for training in diagnosis.trainings)
        where = count(steps, "step")
        if len(diagnosis.trainings) > 1:
            where += f" in {count(len(diagnosis.trainings), 'training')}"
        if alerts:
            worst = [f.severity for f in diagnosis.findings]
            kinds = ((Severity.ERROR, "error"), (Severity.WARNING, "warning"))
            numbers = [count(worst.count(kind), noun) for kind, noun in kinds if kind in worst]
            said, style = " and ".join(numbers), "1;" + _COLORS[diagnosis.findings[0].severity]
        elif not steps:
            said, style = "no training steps seen", "1;33"
        else:
            said, style = "no fault found", "1;32"
        still = " so far" if diagnosis.status.state is RunState.RUNNING else ""
        title = f"{self._paint('unbug', '1')}  {self._paint(said, style)}{still} in {where}"
        rule = self._paint(("-" if self.ascii_only else "─") * self.width, "2")
        lines = [rule, title]
        if not alerts:
            lines += self._wrapped(self._looked_at(diagnosis), indent=7)
        return "\n".join(lines)

    def _looked_at(self, diagnosis: Diagnosis) -> str:
        if not any(training.steps for training in diagnosis.trainings):
            return "No optimizer step was recorded, so most rules had nothing to look at."
        return f"{count(len(diagnosis.rules), 'rule')} looked at {diagnosis.series:,} series."

    def _finding(
        self, group: Sequence[Finding], names: dict[str, str], diagnosis: Diagnosis
    ) -> Iterator[str]:
        finding = group[0]
        style = _COLORS[finding.severity]
        mark = (_PLAIN_MARKS if self.ascii_only else _MARKS)[finding.severity]
        title, when = f"{finding.rule} {finding.name}", self._when(group, diagnosis)
        gap = " " * max(2, self.width - 2 - len(title) - len(when))
        if len(title) + len(when) + 4 > self.width:
            gap, when = "", ""
        left = f"{self._paint(mark, '1;' + style)} {self._paint(title, '1;' + style)}"
        yield f"{left}{gap}{self._paint(when, '2')}"
        yield from self._wrapped(sentence(finding.message), indent=2)
        if finding.places and (finding.place not in ("loop", "loss", "data", "optimizer")):
            yield from self._field("at", listed([clean(place) for place in finding.places]))
        if finding.source is not None:
            source = finding.source
            yield from self._field("line", f"{_below(Path(source.file))}:{source.line}", clean(source.text))
        curve = self._sparkline(finding.evidence)
        if curve:
            yield from self._field("seen", curve)
        causes = [names[i] for i in finding.caused_by if i in names]
        if causes:
            yield from self._field("from", f"{listed(causes)}; fix that first")
        else:
            yield from self._field("fix", finding.advice)
        effects = [names[i] for i in finding.causes if i in names]
        if effects:
            yield from self._field("then", f"this explains {listed(effects)}")

    def _when(self, group: Sequence[Finding], diagnosis: Diagnosis) -> str:
        finding = group[0]
        when = f"since step {finding.steps[0]:,}" if finding.training >= 0 else ""
        if len(group) > 1:
            return f"{when}, in {len(group)} of {len(diagnosis.trainings)} trainings"
        return f"{when}, training {finding.training}" if len(diagnosis.trainings) > 1 else when

    def _note(self, finding: Finding) -> Iterator[str]:
        mark = (_PLAIN_MARKS if self.ascii_only else _MARKS)[Severity.NOTE]
        lines = self._wrapped(f"{finding.rule} {finding.name}: {finding.message}", indent=2)
        lines[0] = self._paint(mark, _COLORS[Severity.NOTE]) + lines[0][1:]
        yield from lines

    def _faults(self, diagnosis: Diagnosis) -> Iterator[str]:
        for fault in diagnosis.faults:
            who = f"rule {fault.rule} failed" if fault.rule else "a plug-in was skipped"
            yield from self._wrapped(f"{who}: {clean(fault.error)} (the others went on)", indent=2)

    def _foot(self, diagnosis: Diagnosis, report: Path | None) -> Iterator[str]:
        where = _short(diagnosis.path)
        wrote = _short(report) if report else f"unbug report {where} -o report.html"
        yield f"{self._paint('run   ', '2')} {where}"
        yield f"{self._paint('report', '2')} {wrote}"

    def _field(self, name: str, text: str, code: str = "") -> Iterator[str]:
        label = f"  {name:<5} "
        lines = self._wrapped(text, indent=len(label)) if text else [" " * len(label)]
        lines[0] = "  " + self._paint(f"{name:<5}", "2") + " " + lines[0][len(label) :]
        room = self.width - len(label) - len(text) - 2
        if code and len(lines) == 1 and room >= 12:
            lines[0] += "  " + self._paint(_clip(code, room), "36")
        yield from lines

    def _sparkline(self, evidence: Sequence[Evidence]) -> str:
        """The first curve among the evidence, as a line of bars between its first and last value."""
        curve = next((piece for piece in evidence if len(piece.points) > 2 and not piece.facts), None)
        if curve is None or self.ascii_only:
            return ""
        values = [value for _, value in curve.points]
        finite = [value for value in values if abs(value) != float("inf") and value == value]
        if not finite or min(finite) == max(finite) or set(finite) == {0.0, 1.0}:
            return ""
        first, last, label = number(values[0]), number(values[-1]), clean(curve.label or curve.series)
        room = self.width - 12 - len(first) - len(last) - len(label)
        return f"{first} {_bars(values, min(32, room))} {last}  {label}" if room >= 8 else ""

    def _wrapped(self, text: str, *, indent: int) -> list[str]:
        blank = " " * indent
        wrapped = textwrap.wrap(
            clean(text), self.width, initial_indent=blank, subsequent_indent=blank, break_on_hyphens=False
        )
        return wrapped or [blank]

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and text else text


_TO_ASCII = str.maketrans({"−": "-", "∞": "inf", "…": "...", "–": "-", "─": "-"})


def _bars(values: Sequence[float], columns: int) -> str:
    """Means of neighbouring values as bars; NaN and infinity as a cross."""
    finite = [value for value in values if abs(value) != float("inf") and value == value]
    low, high = min(finite), max(finite)
    columns = min(columns, len(values))
    drawn = []
    for column in range(columns):
        part = values[column * len(values) // columns : (column + 1) * len(values) // columns]
        if any(value != value or abs(value) == float("inf") for value in part):
            drawn.append("×")
            continue
        mean = sum(part) / len(part)
        drawn.append(_BARS[min(7, int(8 * (mean - low) / (high - low)))])
    return "".join(drawn)


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _short(path: Path) -> str:
    """The path for a command line."""
    text = _below(path)
    return f"'{text}'" if " " in text else text


def _below(path: Path) -> str:
    """The path from where the user is, if it lies below."""
    try:
        return clean(str(path.absolute().relative_to(Path.cwd())))
    except (ValueError, OSError):
        return clean(str(path))


def _grouped(findings: Sequence[Finding]) -> list[list[Finding]]:
    """One fault in several trainings is told once: findings by fingerprint and severity, in order."""
    groups: dict[tuple[str, Severity, str], list[Finding]] = {}
    for finding in findings:
        key = finding.fingerprint or finding.id, finding.severity, finding.rule
        groups.setdefault(key, []).append(finding)
    return list(groups.values())

"""The last lines in the terminal: findings, the one to fix first on top. Needs nothing but the standard
library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.report.columns import columns, wrapped
from unbug.report.language import Language, language_of, spoken, word
from unbug.report.words import clean, count, listed, number, sentence
from unbug.types import Bilingual, Evidence, Finding, RunState, Severity, chinese

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
    language: str | None = None,
) -> str:
    """What was found, as lines for a terminal.

    Args:
        width: Columns there are; lines are never longer, and text is not set wider than is good to read.
        color: Whether to use ANSI colours; without them nothing is lost but colour.
        ascii_only: For terminals that cannot show other signs.
        most: Alerts that are told in full; the rest are named.
        report: Where a report was written, if one was; else the command that writes it is shown.
        language: `en` or `zh`; left out, what the environment says. A terminal that shows ASCII
            only is spoken to in English.
    Returns:
        Lines without a newline at the end.
    Raises:
        SettingError: unbug does not speak that language.
    """
    chosen: Language = "en" if ascii_only else language_of(language)
    page = _Lines(min(max(width, NARROWEST), WIDEST), chosen, color=color, ascii_only=ascii_only)
    return page.text(spoken(diagnosis, chosen), most=most, report=report)


class _Lines:
    """Composes the text for one terminal."""

    def __init__(self, width: int, language: Language, *, color: bool, ascii_only: bool) -> None:
        self.width, self.language, self.color, self.ascii_only = width, language, color, ascii_only

    def text(self, diagnosis: Diagnosis, *, most: int, report: Path | None) -> str:
        groups = _grouped(diagnosis.findings)
        alerts = [group for group in groups if group[0].severity is not Severity.NOTE]
        notes = [group for group in groups if group[0].severity is Severity.NOTE]
        names = {finding.id: f"{finding.rule} {finding.name}" for finding in diagnosis.findings}
        parts = [self._head(diagnosis, len(alerts))]
        parts += ["\n".join(self._finding(group, names, diagnosis)) for group in alerts[:most]]
        if len(alerts) > most:
            rest = [f"{group[0].rule} {group[0].name}" for group in alerts[most:]]
            more = f"{len(rest)} more: {listed(rest, most=6)}"
            told = Bilingual(more, f"另有 {len(rest)} 个：{_listed_zh(rest, most=6)}")
            parts.append("\n".join(self._wrapped(self._say(told), indent=2)))
        if notes:
            parts.append("\n".join(line for group in notes for line in self._note(group[0])))
        if diagnosis.faults:
            parts.append("\n".join(self._faults(diagnosis)))
        parts.append("\n".join(self._foot(diagnosis, report)))
        text = "\n\n".join(parts)
        return text.translate(_TO_ASCII).encode("ascii", "replace").decode() if self.ascii_only else text

    def _head(self, diagnosis: Diagnosis, alerts: int) -> str:
        steps, trainings = sum(training.steps for training in diagnosis.trainings), len(diagnosis.trainings)
        where = Bilingual(f" in {count(steps, 'step')}", f"，共 {steps:,} 步")
        if trainings > 1:
            where += Bilingual(f" in {count(trainings, 'training')}", f"、{trainings} 次训练")
        if alerts:
            worst = [f.severity for f in diagnosis.findings]
            kinds = ((Severity.ERROR, "error"), (Severity.WARNING, "warning"))
            numbers = [(worst.count(kind), noun) for kind, noun in kinds if kind in worst]
            said = Bilingual(
                " and ".join(count(*number) for number in numbers),
                "、".join(f"{number} {word(noun, 'zh')}" for number, noun in numbers),
            )
            style = "1;" + _COLORS[diagnosis.findings[0].severity]
        elif not steps:
            said, style = Bilingual("no training steps seen", word("no training steps seen", "zh")), "1;33"
        else:
            said, style = Bilingual("no fault found", word("no fault found", "zh")), "1;32"
        still = Bilingual(" so far", "（至此）") if diagnosis.status.state is RunState.RUNNING else ""
        found = self._paint(self._say(said), style)
        title = f"{self._paint('unbug', '1')}  {found}{self._say(still + where)}"
        rule = self._paint(("-" if self.ascii_only else "─") * self.width, "2")
        lines = [rule, title]
        if not alerts:
            lines += self._wrapped(self._looked_at(diagnosis), indent=7)
        return "\n".join(lines)

    def _looked_at(self, diagnosis: Diagnosis) -> str:
        if not any(training.steps for training in diagnosis.trainings):
            return self._say(
                Bilingual(
                    "No optimizer step was recorded, so most rules had nothing to look at.",
                    "没有记录到优化器的步，因此多数规则无从检查。",
                )
            )
        rules, series = len(diagnosis.rules), diagnosis.series
        return self._say(
            Bilingual(
                f"{count(rules, 'rule')} looked at {series:,} series.",
                f"{rules} 条规则检查了 {series:,} 个序列。",
            )
        )

    def _finding(
        self, group: Sequence[Finding], names: dict[str, str], diagnosis: Diagnosis
    ) -> Iterator[str]:
        finding = group[0]
        style = _COLORS[finding.severity]
        mark = (_PLAIN_MARKS if self.ascii_only else _MARKS)[finding.severity]
        title, when = f"{finding.rule} {finding.name}", self._when(group, diagnosis)
        taken = columns(title) + columns(when)
        gap = " " * max(2, self.width - 2 - taken)
        if taken + 4 > self.width:
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
            told = Bilingual(f"{listed(causes)}; fix that first", f"{_listed_zh(causes)}；请先修复它")
            yield from self._field("from", self._say(told))
        else:
            yield from self._field("fix", finding.advice)
        effects = [names[i] for i in finding.causes if i in names]
        if effects:
            told = Bilingual(f"this explains {listed(effects)}", f"由此引起 {_listed_zh(effects)}")
            yield from self._field("then", self._say(told))

    def _when(self, group: Sequence[Finding], diagnosis: Diagnosis) -> str:
        finding, trainings = group[0], len(diagnosis.trainings)
        first = finding.steps[0]
        when = (
            Bilingual(f"since step {first:,}", f"自第 {first:,} 步") if finding.training >= 0 else Bilingual()
        )
        if len(group) > 1:
            when += Bilingual(
                f", in {len(group)} of {trainings} trainings", f"，{trainings} 次训练中的 {len(group)} 次"
            )
        elif trainings > 1:
            when += Bilingual(f", training {finding.training}", f"，训练 {finding.training}")
        return self._say(when)

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
        for name, told in (("run", where), ("report", wrote)):
            label = word(name, self.language)
            yield f"{self._paint(label + ' ' * (6 - columns(label)), '2')} {told}"

    def _field(self, name: str, text: str, code: str = "") -> Iterator[str]:
        told = word(name, self.language)
        label = told + " " * (5 - columns(told))
        lines = self._wrapped(text, indent=8) if text else [" " * 8]
        lines[0] = "  " + self._paint(label, "2") + " " + lines[0][8:]
        room = self.width - 8 - columns(text) - 2
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
        room = self.width - 12 - len(first) - len(last) - columns(label)
        return f"{first} {_bars(values, min(32, room))} {last}  {label}" if room >= 8 else ""

    def _wrapped(self, text: str, *, indent: int) -> list[str]:
        return wrapped(clean(text), self.width, indent=indent)

    def _say(self, text: str) -> str:
        return chinese(text) if self.language == "zh" else str(text)

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
    return text if columns(text) <= width else text[: width - 1] + "…"


def _listed_zh(parts: Sequence[str], *, most: int = 3) -> str:
    """`a`、`b`，或 `a`、`b` 等 4 个"""
    shown = "、".join(parts[:most])
    return shown if len(parts) <= most else f"{shown} 等 {len(parts)} 个"


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

"""The last lines in the terminal: findings, the one to fix first on top. Needs nothing but the standard
library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.report.columns import columns, wrapped
from unbug.report.fitting import below, clip, gist, listed_in_chinese, short
from unbug.report.language import Language, language_of, spoken, word
from unbug.report.looked import looked_at
from unbug.report.sparkline import sparkline
from unbug.report.story import Story, stories
from unbug.report.words import clean, count, listed, sentence
from unbug.types import Bilingual, Finding, RunState, Severity, chinese

if TYPE_CHECKING:
    from unbug.detect import Diagnosis, Excerpt

__all__ = ["terminal"]

NARROWEST, WIDEST = 50, 100
_MARKS = {Severity.ERROR: "✖", Severity.WARNING: "▲", Severity.NOTE: "·"}
_PLAIN_MARKS = {Severity.ERROR: "x", Severity.WARNING: "!", Severity.NOTE: "-"}
_COLORS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}
_FOR_EXCERPT, _FOR_MESSAGE, _MOST_EFFECTS = 60, 24, 6


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
        told = stories(diagnosis.findings)
        notes = [f for f in diagnosis.findings if f.severity is Severity.NOTE and f.state == "open"]
        notes = [note for note in notes if not (note.caused_by or note.same_as)]
        parts = [self._head(diagnosis, told)]
        parts += ["\n".join(self._story(story, diagnosis)) for story in told[:most]]
        if len(told) > most:
            rest = [f"{story.root.rule} {story.root.name}" for story in told[most:]]
            more = f"{len(rest)} more: {listed(rest, most=6)}"
            named = Bilingual(more, f"另有 {len(rest)} 个：{listed_in_chinese(rest, most=6)}")
            parts.append("\n".join(self._wrapped(self._say(named), indent=2)))
        if notes:
            parts.append("\n".join(line for note in _each_once(notes) for line in self._note(note)))
        if aside := [*self._accepted(diagnosis), *self._remarks(diagnosis), *self._faults(diagnosis)]:
            parts.append("\n".join(aside))
        parts.append("\n".join(self._foot(diagnosis, report)))
        text = "\n\n".join(parts)
        return text.translate(_TO_ASCII).encode("ascii", "replace").decode() if self.ascii_only else text

    def _head(self, diagnosis: Diagnosis, told: Sequence[Story]) -> str:
        steps, trainings = sum(training.steps for training in diagnosis.trainings), len(diagnosis.trainings)
        where = Bilingual(f" in {count(steps, 'step')}", f"，共 {steps:,} 步") if steps else Bilingual()
        if steps and trainings > 1:
            where += Bilingual(f" in {count(trainings, 'training')}", f"、{trainings} 次训练")
        if told:
            severities = [story.root.severity for story in told]
            kinds = ((Severity.ERROR, "error"), (Severity.WARNING, "warning"))
            numbers = [(severities.count(kind), noun) for kind, noun in kinds if kind in severities]
            said = Bilingual(
                " and ".join(count(*number) for number in numbers),
                "、".join(f"{number} {word(noun, 'zh')}" for number, noun in numbers),
            )
            style = "1;" + _COLORS[told[0].root.severity]
        elif not steps:
            said, style = Bilingual("no training steps seen", word("no training steps seen", "zh")), "1;33"
        else:
            said, style = Bilingual("no fault found", word("no fault found", "zh")), "1;32"
        still = Bilingual(" so far", "（至此）") if diagnosis.status.state is RunState.RUNNING else ""
        found = self._paint(self._say(said), style)
        title = f"{self._paint('unbug', '1')}  {found}{self._say(still + where)}"
        rule = self._paint(("-" if self.ascii_only else "─") * self.width, "2")
        lines = [rule, title]
        if not told:
            lines += self._wrapped(self._say(looked_at(diagnosis)), indent=7)
        return "\n".join(lines)

    def _story(self, story: Story, diagnosis: Diagnosis) -> Iterator[str]:
        finding = story.root
        style = _COLORS[finding.severity]
        mark = (_PLAIN_MARKS if self.ascii_only else _MARKS)[finding.severity]
        title, when = f"{finding.rule} {finding.name}", self._when(story, diagnosis)
        taken = columns(title) + columns(when)
        gap = " " * max(2, self.width - 2 - taken)
        if taken + 4 > self.width:
            gap, when = "", ""
        left = f"{self._paint(mark, '1;' + style)} {self._paint(title, '1;' + style)}"
        yield f"{left}{gap}{self._paint(when, '2')}"
        yield from self._wrapped(sentence(finding.message), indent=2)
        if finding.places and (finding.place not in ("loop", "loss", "data", "optimizer")):
            yield from self._field("at", listed([clean(place) for place in finding.places]))
        yield from self._line(finding, diagnosis.excerpts.get(finding.id), style)
        curve = "" if self.ascii_only else sparkline(finding.evidence, self.width - 8)
        if curve:
            yield from self._field("seen", curve)
        yield from self._field("fix", finding.advice)
        yield from self._then(story)

    def _line(self, finding: Finding, excerpt: Excerpt | None, style: str) -> Iterator[str]:
        """The line to change: with its neighbours where the program was kept."""
        source = finding.source
        if source is None:
            return
        where = f"{below(Path(source.file))}:{source.line}"
        if excerpt is None or self.width < _FOR_EXCERPT:
            yield from self._field("line", where, clean(source.text))
            return
        yield from self._field("line", where)
        digits, bar = len(str(excerpt.first + len(excerpt.lines) - 1)), "|" if self.ascii_only else "│"
        for number, text in enumerate(excerpt.lines, excerpt.first):
            cited = number == source.line
            mark = (">" if self.ascii_only else "▸") if cited else " "
            code = clip(clean(text), self.width - 13 - digits)
            shown = f"{self._paint(mark, '1;' + style)} {self._paint(f'{number:>{digits}} {bar}', '2')}"
            code = self._paint(code, "1") if cited else self._paint(code, "2")
            yield f"        {shown} {code}".rstrip()

    def _then(self, story: Story) -> Iterator[str]:
        """What followed, in order of time, and who says the same."""
        shown = story.then[:_MOST_EFFECTS]
        digits = max((len(f"{one.steps[0]:,}") for one in shown), default=0)
        wide = max((columns(f"{one.rule} {one.name}") for one in shown), default=0)
        for number, one in enumerate(shown):
            at = Bilingual(f"step {one.steps[0]:>{digits},}", f"第 {one.steps[0]:>{digits},} 步")
            name = f"{one.rule} {one.name}"
            head, gap = f"{self._say(at)}  {name}", " " * (wide - columns(name) + 2)
            room = self.width - 8 - columns(head) - len(gap)
            told = gist(clean(one.message)) if room >= _FOR_MESSAGE else ""
            line, *more = self._field("then" if number == 0 else "", head)
            yield line + (f"{gap}{self._paint(clip(told, room), '2')}" if told else "")
            yield from more
        if (rest := len(story.then) - len(shown)) > 0:
            yield from self._field("", self._say(Bilingual(f"and {rest} more", f"另有 {rest} 个")))
        if story.also:
            names = [f"{one.rule} {one.name}" for one in story.also]
            yield from self._field(
                "",
                self._say(
                    Bilingual(f"{listed(names)} tells the same", f"{listed_in_chinese(names)} 所指相同")
                ),
            )

    def _when(self, story: Story, diagnosis: Diagnosis) -> str:
        finding, trainings = story.root, len(diagnosis.trainings)
        first = finding.steps[0]
        when = (
            Bilingual(f"since step {first:,}", f"自第 {first:,} 步") if finding.training >= 0 else Bilingual()
        )
        if len(story.trainings) > 1:
            when += Bilingual(
                f", in {len(story.trainings)} of {trainings} trainings",
                f"，{trainings} 次训练中的 {len(story.trainings)} 次",
            )
        elif trainings > 1:
            when += Bilingual(f", training {finding.training}", f"，训练 {finding.training}")
        sure = Bilingual(f"{finding.confidence:.0%} sure", f"把握 {finding.confidence:.0%}")
        return self._say(when + Bilingual(" · ", " · ") + sure if when else sure)

    def _note(self, finding: Finding) -> Iterator[str]:
        mark = (_PLAIN_MARKS if self.ascii_only else _MARKS)[Severity.NOTE]
        lines = self._wrapped(f"{finding.rule} {finding.name}: {finding.message}", indent=2)
        lines[0] = self._paint(mark, _COLORS[Severity.NOTE]) + lines[0][1:]
        yield from lines

    def _accepted(self, diagnosis: Diagnosis) -> Iterator[str]:
        for finding in _each_once([one for one in diagnosis.findings if one.state == "suppressed"]):
            told = Bilingual(
                f"accepted: {finding.rule} {finding.name} ({finding.suppression})",
                f"已接受：{finding.rule} {chinese(finding.name)}（{finding.suppression}）",
            )
            yield from self._aside(self._say(told))

    def _remarks(self, diagnosis: Diagnosis) -> Iterator[str]:
        for remark in diagnosis.remarks:
            yield from self._aside(self._say(remark))

    def _faults(self, diagnosis: Diagnosis) -> Iterator[str]:
        for rule, error in dict.fromkeys((fault.rule, fault.error) for fault in diagnosis.faults):
            who = (
                Bilingual(f"rule {rule} failed", f"规则 {rule} 出错")
                if rule
                else Bilingual("a plug-in was skipped", "一个插件被跳过")
            )
            told = Bilingual(f": {error} (the others went on)", f"：{error}（其余规则照常）")
            yield from self._aside(self._say(who + told))

    def _aside(self, text: str) -> list[str]:
        lines = self._wrapped(text, indent=2)
        lines[0] = self._paint("-" if self.ascii_only else "·", "2") + lines[0][1:]
        return lines

    def _foot(self, diagnosis: Diagnosis, report: Path | None) -> Iterator[str]:
        where = short(diagnosis.path)
        wrote = short(report) if report else f"unbug report {where} -o report.html"
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
            lines[0] += "  " + self._paint(clip(code, room), "36")
        yield from lines

    def _wrapped(self, text: str, *, indent: int) -> list[str]:
        return wrapped(clean(text), self.width, indent=indent)

    def _say(self, text: str) -> str:
        return chinese(text) if self.language == "zh" else str(text)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and text else text


_TO_ASCII = str.maketrans({"−": "-", "∞": "inf", "…": "...", "–": "-", "─": "-"})


def _each_once(findings: Sequence[Finding]) -> list[Finding]:
    """One fault in several trainings is told once."""
    return list({(one.fingerprint or one.id, one.rule): one for one in reversed(findings)}.values())[::-1]

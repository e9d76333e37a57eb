"""The findings on the page: a list to glance at, then each with its evidence, its cause and its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from unbug.report.drawing import chart
from unbug.report.language import Language, say, word
from unbug.report.looked import looked_at
from unbug.report.markup import Markup, pairs, said, tag
from unbug.report.names import fact_name, facts_in_order
from unbug.report.pictures import evidence_chart
from unbug.report.words import sentence, span
from unbug.types import Bilingual, Evidence, Finding, Severity, chinese

if TYPE_CHECKING:
    from unbug.detect import Diagnosis, Window
    from unbug.report.excerpt import Program

__all__ = ["findings_section", "summary"]

_WORDS = {Severity.ERROR: "✖ error", Severity.WARNING: "▲ warning", Severity.NOTE: "● note"}
_LEFT_OUT = {"file", "line", "phase"}
_PLACES = 12


def summary(diagnosis: Diagnosis, language: Language = "en") -> Markup | None:
    """Every finding in one line, the one to fix first on top."""
    if not diagnosis.findings:
        return None
    many = len(diagnosis.trainings) > 1
    lines = [
        tag(
            "li",
            tag("span", word(_badge(finding), language), class_="badge"),
            tag("a", sentence(finding.message), href=f"#{finding.id}"),
            tag("span", _when(finding, language, many=many), class_="when"),
            class_=finding.severity.value,
        )
        for finding in diagnosis.findings
    ]
    return tag("ol", *lines, class_="summary")


def _badge(finding: Finding) -> str:
    if finding.state == "suppressed":
        return "○ accepted"
    if finding.same_as:
        return "= the same"
    return "↳ effect" if finding.caused_by and not finding.is_alert else _WORDS[finding.severity]


def findings_section(
    diagnosis: Diagnosis, windows: Mapping[int, Window], program: Program, language: Language = "en"
) -> Markup:
    """Each finding in full; or what was looked at, if there is none."""
    if not diagnosis.findings:
        head = tag("h2", word("Findings", language))
        return tag("section", head, tag("p", say(looked_at(diagnosis), language)), id="findings")
    names = {finding.id: f"{finding.rule} {finding.name}" for finding in diagnosis.findings}
    many = len(diagnosis.trainings) > 1
    articles = [
        _article(finding, names, windows.get(finding.training), program, language, many=many)
        for finding in diagnosis.findings
    ]
    head = tag("h2", word("Findings, first the one to fix first", language))
    return tag("section", head, *articles, id="findings")


def _article(
    finding: Finding,
    names: Mapping[str, str],
    window: Window | None,
    program: Program,
    language: Language,
    *,
    many: bool,
) -> Markup:
    head = tag(
        "div",
        tag("span", word(_badge(finding), language), class_="badge"),
        tag("span", tag("code", finding.rule), " ", finding.name),
        tag("span", f"{'置信度' if language == 'zh' else 'confidence'} {finding.confidence:.0%}"),
        tag("span", _when(finding, language, many=many), class_="when"),
        class_="head",
    )
    pictures = [figure for piece in finding.evidence for figure in _evidence(piece, window, language)]
    return tag(
        "article",
        head,
        tag("h3", sentence(finding.message)),
        tag("p", tag("b", word("What to do: ", language)), sentence(finding.advice), class_="todo"),
        _chain(finding, names, language),
        tag("div", *pictures, class_="evidence") if pictures else None,
        program.excerpt(finding.source, language) if finding.source is not None else None,
        _places(finding, language),
        _classes(finding, language),
        class_=finding.severity.value,
        id=finding.id,
    )


def _chain(finding: Finding, names: Mapping[str, str], language: Language) -> Markup | None:
    """Cause before effect, with links to both."""
    parts: list[object] = []
    if finding.suppression:
        parts += [word("Accepted: ", language), sentence(finding.suppression), " "]
    if finding.same_as:
        parts += [
            word("The same fault as ", language),
            *_links((finding.same_as,), names),
            _stop(language),
            " ",
        ]
    if finding.caused_by:
        links = _links(finding.caused_by, names)
        parts += [word("Caused by ", language), *links, word("; fix that first. ", language)]
    if finding.causes:
        parts += [word("Leads to ", language), *_links(finding.causes, names), _stop(language)]
    return tag("p", *parts, class_="chain") if parts else None


def _links(ids: Iterable[str], names: Mapping[str, str]) -> list[object]:
    linked: list[object] = []
    for one in ids:
        linked += [", ", tag("a", names.get(one, one), href=f"#{one}")]
    return linked[1:]


def _stop(language: Language) -> str:
    return "。" if language == "zh" else "."


def _evidence(piece: Evidence, window: Window | None, language: Language) -> Iterable[Markup]:
    picture = evidence_chart(piece, window)
    if picture is not None and any(len(line.steps) > 1 for line in picture.lines):
        title = say(picture.title, language)
        comma = "，" if language == "zh" else ", "
        where = f"{comma}{piece.place}" if piece.place and piece.place not in title else ""
        yield tag("figure", tag("figcaption", sentence(title + where)[:-1]), Markup(chart(picture, language)))
    if piece.facts:
        kept = [(key, value) for key, value in _sorted(piece.facts) if key not in _LEFT_OUT]
        shown = {say(fact_name(key), language): _seen(key, value, language) for key, value in kept}
        colon = "：" if language == "zh" else ": "
        told = f"{colon}{piece.label}" if piece.label else ""
        caption = tag("figcaption", word("What was seen", language) + told)
        yield tag("figure", caption, pairs(shown, class_="facts-seen"))


def _seen(key: str, value: Any, language: Language) -> str:
    """A fact of a call; the lists of some are shapes."""
    if isinstance(value, list | tuple) and value and (key.endswith("_shape") or key == "broadcast"):
        return " × ".join(map(str, value))
    return said(value, language=language)


def _sorted(facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    known = facts_in_order()
    kept = [(key, value) for key, value in facts.items() if value is not None and value not in ("", [], {})]
    return sorted(kept, key=lambda pair: known.get(pair[0], len(known)))


def _places(finding: Finding, language: Language) -> Markup | None:
    if len(finding.places) < 2:
        return None
    shown: list[object] = []
    for place in finding.places[:_PLACES]:
        shown += [", ", tag("code", place)]
    more = len(finding.places) - _PLACES
    rest = f" 等 {len(finding.places)} 处" if language == "zh" else f" and {more} more"
    end = (rest if more > 0 else "") + _stop(language)
    return tag("p", word("Places, worst first: ", language), *shown[1:], end, class_="more")


def _classes(finding: Finding, language: Language) -> Markup | None:
    from unbug.detect import classes

    known = classes()
    told = [
        name + say(Bilingual(f" ({known[name]})", f"（{chinese(known[name])}）"), language)
        if name in known
        else name
        for name in finding.diagnoses
    ]
    if not told:
        return None
    either = " – 或 – " if language == "zh" else " – or – "
    return tag("p", word("Diagnosis: ", language), either.join(told), _stop(language), class_="more")


def _when(finding: Finding, language: Language, *, many: bool) -> str:
    if finding.training < 0:
        return ""
    where = Bilingual(f"training {finding.training}, ", f"训练 {finding.training}，") if many else Bilingual()
    return say(where + span(finding.steps), language)

"""What the page says of the recording itself: what was looked at, at what cost, on which machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unbug.report.language import Language, say
from unbug.report.markup import Markup, pairs, said, tag
from unbug.report.names import run_name
from unbug.types import Bilingual

if TYPE_CHECKING:
    from unbug.detect import Diagnosis
    from unbug.store.contract import Reader

__all__ = ["coverage_section", "environment_section"]

_FOLDED = 400
"""Facts that take more signs than this are folded away."""
_SHARES = ("budget", "accounted_share", "spent_on_looks")
_AS_WRITTEN = ("environment", "packages")
"""The names inside these are not unbug's: they are shown as they are."""


def coverage_section(reader: Reader, diagnosis: Diagnosis, language: Language = "en") -> Markup:
    """What was looked at, what that cost, what could not be seen, and what failed."""
    events = reader.events("coverage")
    recorded = dict(events[-1].fields) if events else {}
    facts: dict[str, Any] = {
        "series_recorded": diagnosis.series,
        **{
            key: f"{value:.1%}" if key in _SHARES and _is_number(value) else value
            for key, value in recorded.items()
        },
    }
    if diagnosis.status.lost:
        facts["lost"] = list(diagnosis.status.lost)
    plugin = say(Bilingual("plug-in", "插件"), language)
    faults = [tag("li", f"{fault.rule or plugin}: {fault.error}") for fault in diagnosis.faults]
    asked = len(diagnosis.rules)
    rules = say(Bilingual(f"{asked} rules asked", f"检查了 {asked} 条规则"), language)
    return tag(
        "section",
        tag("h2", say(Bilingual("What was looked at", "检查了什么"), language)),
        pairs(_named(facts, language)),
        _folded(rules, ", ".join(diagnosis.rules)) if asked else None,
        tag("h3", say(Bilingual("Failed inside unbug", "unbug 内部的失败"), language)) if faults else None,
        tag("ul", *faults) if faults else None,
    )


def environment_section(reader: Reader, diagnosis: Diagnosis, language: Language = "en") -> Markup | None:
    """Command, packages, hardware and versions, as recorded."""
    facts: dict[str, Any] = dict(diagnosis.run.facts)
    for event in reader.events("environment"):
        facts |= dict(event.fields)
    facts.pop("command", None)
    if isinstance(facts.get("settings"), Mapping):
        facts["settings"] = _settings(facts["settings"], language)
    long = {key: value for key, value in facts.items() if len(said(value)) > _FOLDED}
    short = {key: value for key, value in facts.items() if key not in long}
    parts = [pairs(_named(short, language))]
    parts += [
        _folded(say(run_name(key), language), said(value, language=language)) for key, value in long.items()
    ]
    if not any(parts):
        return None
    return tag("section", tag("h2", say(Bilingual("Environment", "环境"), language)), *parts)


def _folded(name: str, told: str) -> Markup:
    return tag("details", tag("summary", name), tag("p", told, class_="more"))


def _settings(settings: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """Each setting with where it came from, those that somebody gave first."""
    told: dict[str, Any] = {}
    for key, one in sorted(settings.items(), key=lambda pair: _origin(pair[1]) == "default"):
        value = said(one.get("value"), language=language) if isinstance(one, Mapping) else one
        origin = _origin(one)
        told[key] = f"{value} ({origin})" if origin and origin != "default" else value
    return told


def _origin(setting: Any) -> str:
    return str(setting.get("origin", "")) if isinstance(setting, Mapping) else ""


def _named(facts: Mapping[str, Any], language: Language) -> dict[str, str]:
    """Facts by their names on the page, nested ones by those of all levels; what says nothing is left out."""
    named: dict[str, str] = {}
    for key, value in facts.items():
        name = say(run_name(key), language)
        if isinstance(value, Mapping):
            own = {inner: said(one, language=language) for inner, one in value.items() if not _is_empty(one)}
            inside = own if key in _AS_WRITTEN else _named(value, language)
            named |= {f"{name} {inner}": one for inner, one in inside.items()}
        elif not _is_empty(value):
            named[name] = said(_spelled(value, language), language=language)
    return named


def _spelled(value: Any, language: Language) -> Any:
    """Facts inside a list, by their names."""
    if isinstance(value, list | tuple):
        return [
            {say(run_name(key), language): inner for key, inner in one.items() if not _is_empty(inner)}
            if isinstance(one, Mapping)
            else one
            for one in value
        ]
    return value


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], (), {})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

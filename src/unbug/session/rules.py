"""What the settings say about rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from unbug.errors import SettingError

if TYPE_CHECKING:
    from unbug.detect import RuleSettings
    from unbug.settings import Settings

__all__ = ["check_rules", "check_suppress", "rule_settings"]


def rule_settings(settings: Settings) -> RuleSettings:
    """`[tool.unbug.rules]`: `off = ["T101"]`, and a table of thresholds for each code; and
    `[tool.unbug.suppress]`.

    Raises:
        SettingError: something else stands there.
    """
    from unbug.detect import RuleSettings, Suppression

    thresholds, off = check_rules(settings)
    accepted = tuple(Suppression(what=what, **fields) for what, fields in check_suppress(settings).items())
    return RuleSettings(thresholds=thresholds, off=off, suppress=accepted)


def check_rules(settings: Settings) -> tuple[dict[str, dict[str, float]], frozenset[str]]:
    """The thresholds and the codes that are off, without loading any rule.

    Raises:
        SettingError: something else stands there.
    """
    given = dict(settings["rules"])
    origin = settings.origin("rules")
    off = given.pop("off", [])
    if not isinstance(off, list) or not all(isinstance(code, str) for code in off):
        raise SettingError("rules.off", off, "a list of rule codes", origin=origin)
    for code, thresholds in given.items():
        good = isinstance(thresholds, Mapping) and all(_is_number(value) for value in thresholds.values())
        if not good:
            raise SettingError(
                f"rules.{code}", thresholds, "a table of thresholds, each a number", origin=origin
            )
    return given, frozenset(off)


def check_suppress(settings: Settings) -> dict[str, dict[str, Any]]:
    """What is accepted, by rule or fingerprint: `reason`, and `until` and `place` where they are given.

    Raises:
        SettingError: something else stands there.
    """
    origin = settings.origin("suppress")
    checked: dict[str, dict[str, Any]] = {}
    for what, given in settings["suppress"].items():
        setting = f"suppress.{what}"
        fields = {"reason": given} if isinstance(given, str) else given
        if not isinstance(fields, Mapping) or not isinstance(fields.get("reason"), str):
            raise SettingError(setting, given, "a reason, or a table with `reason`", origin=origin)
        if unknown := set(fields) - {"reason", "until", "place"}:
            raise SettingError(
                f"{setting}.{min(unknown)}", given, "only `reason`, `until` and `place`", origin=origin
            )
        if not isinstance(fields.get("place", ""), str):
            raise SettingError(f"{setting}.place", fields["place"], "a pattern in quotes", origin=origin)
        checked[what] = dict(fields)
        if "until" in fields:
            checked[what]["until"] = _day(fields["until"], f"{setting}.until", origin)
    return checked


def _day(given: object, setting: str, origin: str) -> date:
    if isinstance(given, date) and not isinstance(given, datetime):
        return given
    try:
        return date.fromisoformat(given if isinstance(given, str) else "")
    except ValueError:
        raise SettingError(setting, given, "a day such as 2027-01-01", origin=origin) from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

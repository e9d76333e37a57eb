"""What the settings say about rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from unbug.errors import SettingError

if TYPE_CHECKING:
    from unbug.detect import RuleSettings
    from unbug.settings import Settings

__all__ = ["check_rules", "rule_settings"]


def rule_settings(settings: Settings) -> RuleSettings:
    """`[tool.unbug.rules]`: `off = ["T101"]`, and a table of thresholds for each code.

    Raises:
        SettingError: something else stands there.
    """
    from unbug.detect import RuleSettings

    thresholds, off = check_rules(settings)
    return RuleSettings(thresholds=thresholds, off=off)


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


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

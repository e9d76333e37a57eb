"""From a run to findings: every rule over every training, then one finding a fault, its causes, its order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.detect.causes import link
from unbug.detect.discovery import broken, rules
from unbug.detect.merge import merge
from unbug.detect.order import first_to_fix
from unbug.detect.recorded import windows
from unbug.detect.sources import locate
from unbug.errors import StoppedError, UnbugError
from unbug.types import Finding, Run, Status, Training, fingerprint

if TYPE_CHECKING:
    from unbug.detect.declaration import Rule
    from unbug.detect.window import Window
    from unbug.store.contract import Reader

__all__ = ["Diagnosis", "Fault", "RuleSettings", "diagnose", "examine"]


@dataclass(frozen=True, kw_only=True)
class RuleSettings:
    """What the user says about rules.

    Args:
        thresholds: Code -> threshold -> value.
        off: Codes that are not asked.
    """

    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    off: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A rule that failed, or a plug-in that was skipped; the others went on."""

    rule: str
    training: int
    error: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was found in a run, and what was looked at.

    Args:
        findings: First the one to fix first.
        trainings: Those that were looked at, each with its number of steps.
        rules: Codes of the rules that were asked.
        series: Number of automatic series there were to read.
    """

    run: Run
    path: Path
    status: Status
    findings: tuple[Finding, ...] = ()
    faults: tuple[Fault, ...] = ()
    trainings: tuple[Training, ...] = ()
    rules: tuple[str, ...] = ()
    series: int = 0


def diagnose(
    reader: Reader,
    *,
    live: bool = False,
    only_training: int | None = None,
    settings: RuleSettings | None = None,
    proceed: Callable[[], bool] | None = None,
) -> Diagnosis:
    """Ask every rule about every training of a run.

    Args:
        live: The run is still written; verdicts that more steps may withdraw are notes.
        only_training: Number of the one training to look at.
        proceed: Asked in front of every rule, and before a series is read, whether to go on.
    Returns:
        The findings, those first which should be fixed first. A rule that fails is in `faults`; the others go
        on.
    Raises:
        SettingError: a threshold in `settings` does not exist or cannot have its value.
        StoppedError: `proceed` said no.
    """
    settings = settings or RuleSettings()
    asked = tuple(rule for rule in rules() if rule.code not in settings.off)
    cut = windows(reader, live=live, only_training=only_training, proceed=proceed)
    findings: list[Finding] = []
    faults = [Fault(rule="", training=-1, error=text) for text in broken()]
    for window in cut:
        found, failed = examine(window, asked, settings=settings, proceed=proceed)
        findings += locate(found, window, reader)
        faults += failed
    return Diagnosis(
        run=reader.run,
        path=Path(reader.path),
        status=reader.status,
        findings=first_to_fix(link([_printed(finding) for finding in findings])),
        faults=tuple(faults),
        trainings=tuple(window.training for window in cut),
        rules=tuple(rule.code for rule in asked),
        series=sum(series.origin == "auto" for series in reader.series()),
    )


def examine(
    window: Window,
    asked: Iterable[Rule],
    *,
    settings: RuleSettings | None = None,
    proceed: Callable[[], bool] | None = None,
) -> tuple[list[Finding], list[Fault]]:
    """Ask some rules about one window: one finding for each fault, with ids, and the rules that failed."""
    settings = settings or RuleSettings()
    findings: list[Finding] = []
    faults: list[Fault] = []
    for rule in asked:
        if proceed is not None and not proceed():
            raise StoppedError
        at = rule.at(settings.thresholds.get(rule.code, {}))
        try:
            findings += merge(rule.weighed(window, at))
        except StoppedError:
            raise
        except UnbugError as error:
            faults.append(Fault(rule=rule.code, training=window.training.number, error=str(error)))
        except Exception as error:  # whatever a rule does, the others go on and the fault is told
            text = f"{type(error).__name__}: {error}"
            faults.append(Fault(rule=rule.code, training=window.training.number, error=text))
    return findings, faults


def _printed(finding: Finding) -> Finding:
    return replace(finding, fingerprint=fingerprint(finding.rule, finding.place, source=finding.source))

"""From a run to findings: every rule over every training, then one finding a fault, its causes, its order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.detect.calibration import calibrated
from unbug.detect.chains import link
from unbug.detect.discovery import broken, rules
from unbug.detect.folding import fold_effects, fold_repeated, fold_same, settle
from unbug.detect.limited import LIMIT_S, Patience, RuleTooSlowError
from unbug.detect.merge import merge
from unbug.detect.order import first_to_fix
from unbug.detect.recorded import windows
from unbug.detect.sources import Excerpt, excerpts, locate
from unbug.detect.suppression import Suppression, suppress, written
from unbug.errors import StoppedError, UnbugError
from unbug.types import Bilingual, Finding, Run, Status, Training, fingerprint

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
        suppress: What the user accepts; more may stand in the program's source.
        limit_s: Seconds that a rule may look at one training.
    """

    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    off: frozenset[str] = frozenset()
    suppress: tuple[Suppression, ...] = ()
    limit_s: float = LIMIT_S


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
        findings: First the one to fix first. Alerts are roots: what follows from them, or says the same, is a
            note that names them.
        trainings: Those that were looked at, each with its number of steps.
        rules: Codes of the rules that were asked.
        series: Number of automatic series there were to read.
        excerpts: Id of an alert -> its line of the program, with neighbours.
        remarks: On what the user said: suppressions that are over, or of no use.
        unseen: What the recording could not see, in its own words.
    """

    run: Run
    path: Path
    status: Status
    findings: tuple[Finding, ...] = ()
    faults: tuple[Fault, ...] = ()
    trainings: tuple[Training, ...] = ()
    rules: tuple[str, ...] = ()
    series: int = 0
    excerpts: Mapping[str, Excerpt] = field(default_factory=dict)
    remarks: tuple[Bilingual, ...] = ()
    unseen: tuple[str, ...] = ()


def diagnose(
    reader: Reader,
    *,
    live: bool = False,
    only_training: int | None = None,
    settings: RuleSettings | None = None,
    proceed: Callable[[], bool] | None = None,
    today: date | None = None,
) -> Diagnosis:
    """Ask every rule about every training of a run.

    Args:
        live: The run is still written; verdicts that more steps may withdraw are notes.
        only_training: Number of the one training to look at.
        proceed: Asked in front of every rule, and before a series is read, whether to go on.
        today: By which a suppression is over or not; the present day if left out.
    Returns:
        The findings, those first which should be fixed first. A rule that fails or takes too long is in
        `faults`; the others go on.
    Raises:
        SettingError: a threshold in `settings` does not exist or cannot have its value.
        StoppedError: `proceed` said no.
    """
    settings = settings or RuleSettings()
    asked = tuple(rule for rule in rules() if rule.code not in settings.off)
    patience = Patience(settings.limit_s, proceed)
    cut = windows(reader, live=live, only_training=only_training, proceed=patience)
    findings: list[Finding] = []
    faults = [Fault(rule="", training=-1, error=text) for text in broken()]
    for window in cut:
        found, failed = examine(window, asked, settings=settings, patience=patience)
        findings += locate(found, window, reader)
        faults += failed
    texts = _sources(reader)
    given = (*settings.suppress, *written(texts))
    accepted, remarks = suppress(
        [_completed(finding) for finding in findings], given, today=today or _today()
    )
    ordered = first_to_fix(told(accepted, asked))
    return Diagnosis(
        run=reader.run,
        path=Path(reader.path),
        status=reader.status,
        findings=ordered,
        faults=tuple(faults),
        trainings=tuple(window.training for window in cut),
        rules=tuple(rule.code for rule in asked),
        series=sum(series.origin == "auto" for series in reader.series()),
        excerpts=excerpts((one for one in ordered if one.is_alert), texts),
        remarks=remarks,
        unseen=_unseen(reader),
    )


def _unseen(reader: Reader) -> tuple[str, ...]:
    recorded = reader.events("coverage")
    listed = recorded[-1].fields.get("unseen") if recorded else None
    return tuple(map(str, listed)) if isinstance(listed, list | tuple) else ()


def told(findings: Iterable[Finding], asked: Iterable[Rule] = ()) -> list[Finding]:
    """From what each rule says by itself to one alert a fault: what says the same, what cannot hold at once,
    and what follows from something else become notes."""
    explains = {rule.code: rule.explains for rule in asked if rule.explains}
    return fold_repeated(fold_effects(link(settle(fold_same(findings)), explains)))


def examine(
    window: Window,
    asked: Iterable[Rule],
    *,
    settings: RuleSettings | None = None,
    patience: Patience | None = None,
) -> tuple[list[Finding], list[Fault]]:
    """Ask some rules about one window: one finding for each fault, with ids, and the rules that failed."""
    settings = settings or RuleSettings()
    patience = patience or Patience(settings.limit_s)
    findings: list[Finding] = []
    faults: list[Fault] = []
    for rule in asked:
        at = rule.at(settings.thresholds.get(rule.code, {}))
        if rule.code in patience.spent:
            continue
        try:
            findings += patience.ask(rule, partial(_asked, rule, window, at))
        except StoppedError:
            raise
        except UnbugError as error:
            faults.append(Fault(rule=rule.code, training=window.training.number, error=str(error)))
        except RuleTooSlowError as error:
            faults.append(Fault(rule=rule.code, training=window.training.number, error=str(error)))
        except Exception as error:  # whatever a rule does, the others go on and the fault is told
            text = f"{type(error).__name__}: {error}"
            faults.append(Fault(rule=rule.code, training=window.training.number, error=text))
    return findings, faults


def _asked(rule: Rule, window: Window, at: Any) -> list[Finding]:
    with np.errstate(all="ignore"):  # what a rule computes with NaN and huge values is its own business
        return merge(rule.weighed(window, at))


def _sources(reader: Reader) -> dict[str, str]:
    stored = ((event.fields.get("file"), event.fields.get("text")) for event in reader.events("source"))
    return {file: text for file, text in stored if isinstance(file, str) and isinstance(text, str)}


def _completed(finding: Finding) -> Finding:
    printed = fingerprint(finding.rule, finding.place, source=finding.source)
    return replace(calibrated(finding), fingerprint=printed)


def _today() -> date:
    return datetime.now().astimezone().date()

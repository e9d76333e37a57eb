"""A rule: one function with its thresholds, its cases and its page, all from one file."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.detect.cases import Case
from unbug.detect.statement import Finding as Statement
from unbug.detect.vocabulary import classes
from unbug.detect.window import Window
from unbug.errors import SettingError
from unbug.types import Bilingual, Finding, Severity

__all__ = ["API_VERSION", "MOST_DIAGNOSES", "SECTIONS", "Rule", "detector", "threshold"]

API_VERSION = 1
"""Version of this contract. A plug-in written for another one is reported and skipped."""

MOST_DIAGNOSES = 3
SECTIONS = ("Why it matters", "How it decides", "When it is wrong", "What to do", "Source")
_CODE = re.compile(r"([a-z][a-z0-9]*-)?[A-Z][0-9]{1,3}")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

Find = Callable[[Window, Any], Iterable[Statement]]


def threshold(default: float, *, unit: str, low: float, high: float, why: str) -> Any:
    """Declare one threshold of a rule.

    Args:
        default: What it is unless the user says otherwise.
        unit: Of the number, e.g. `fraction`, `recorded steps`.
        low, high: Range that a user may choose from, ends included.
        why: Reason for the default, in a few words.
    """
    return dataclasses.field(default=default, metadata={"unit": unit, "low": low, "high": high, "why": why})


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A detector as the rest of unbug sees it; made by `detector`.

    Args:
        code: Stable, e.g. `A103`; others' codes carry a prefix, `acme-A1`.
        name: The fault in kebab case, with the Chinese words for it.
        diagnoses: Classes of the fault vocabulary that it cannot tell apart, at most three.
        reads: Names of the series it looks at; `events` the kinds of events.
        final: Its verdict may be withdrawn while steps come; it speaks when the training ends, live only as a
            note.
        confidence: Probability that a finding is right, where the finding does not say.
        thresholds: Its dataclass of thresholds; called without arguments it gives the defaults.
        explains: Names of faults, or classes, that this one brings about beyond what the table of causes
            knows of its class.
        function: The pure function from a window to findings.
        origin: `unbug`, or the distribution that the plug-in came from.
    """

    code: str
    name: str
    diagnoses: tuple[str, ...]
    reads: tuple[str, ...]
    events: tuple[str, ...]
    severity: Severity
    since: str
    final: bool
    confidence: float
    thresholds: type[Any]
    function: Find
    explains: tuple[str, ...] = ()
    origin: str = "unbug"

    def find(self, window: Window, at: Any = None) -> Iterator[Finding]:
        """State the findings in a window, completed from the rule's declaration, one for each place.

        A final rule says nothing but notes before the training has ended.
        """
        return (finding for _, finding in self.weighed(window, at))

    def weighed(self, window: Window, at: Any = None) -> Iterator[tuple[float, Finding]]:
        """As `find`, each with its weight among the places of one fault."""
        live = self.final and not window.ended
        for stated in self.function(window, self.thresholds() if at is None else at):
            steps, known_at = _when(stated)
            yield (
                stated.weight,
                Finding(
                    rule=self.code,
                    name=self.name,
                    severity=Severity.NOTE if live else stated.severity or self.severity,
                    place=stated.place,
                    places=(stated.place,),
                    training=window.training.number,
                    message=stated.message,
                    advice=stated.advice,
                    steps=steps,
                    known_at=known_at,
                    confidence=self.confidence if stated.confidence is None else stated.confidence,
                    evidence=stated.evidence,
                    source=stated.source,
                    diagnoses=self.diagnoses if stated.diagnoses is None else stated.diagnoses,
                    final=self.final,
                ),
            )

    def at(self, given: Mapping[str, float]) -> Any:
        """The thresholds with some of them set by the user.

        Raises:
            SettingError: no such threshold, or out of its range.
        """
        known = {field.name: field for field in dataclasses.fields(self.thresholds)}
        for name, value in given.items():
            setting = f"rules.{self.code}.{name}"
            if name not in known:
                raise SettingError(
                    setting, value, f"nothing; {self.code} has {', '.join(known) or 'no thresholds'}"
                )
            low, high = known[name].metadata["low"], known[name].metadata["high"]
            if not low <= value <= high:
                raise SettingError(setting, value, f"{known[name].metadata['unit']} from {low} to {high}")
        return self.thresholds(
            **{n: int(v) if isinstance(known[n].default, int) else v for n, v in given.items()}
        )

    @property
    def page(self) -> str:
        """The docstring of the rule's file."""
        return inspect.cleandoc(sys.modules[self.function.__module__].__doc__ or "")

    @property
    def summary(self) -> str:
        """First line of the page: the fault in one sentence."""
        return self.page.partition("\n")[0]

    @property
    def sections(self) -> dict[str, str]:
        """The page's paragraphs by title, see `SECTIONS`."""
        pattern = rf"^({'|'.join(SECTIONS)}): ?"
        parts = re.split(pattern, self.page, flags=re.M)[1:]
        return {title: " ".join(text.split()) for title, text in zip(parts[::2], parts[1::2], strict=True)}

    @property
    def cases(self) -> tuple[Case, ...]:
        """What its file says must fire and must stay silent."""
        return tuple(getattr(sys.modules[self.function.__module__], "CASES", ()))

    @property
    def example(self) -> Finding | None:
        """What it says of the first of its cases in which it fires."""
        for case in self.cases:
            if case.fires:
                return next(iter(self.find(case.window)), None)
        return None

    def complaints(self) -> list[str]:
        """What is wrong with the rule's declaration, in words; empty if nothing."""
        told = []
        if not _CODE.fullmatch(self.code):
            told.append(
                f"code {self.code!r} is not a letter and up to three digits, with a prefix if not ours"
            )
        if not _NAME.fullmatch(self.name):
            told.append(f"name {self.name!r} is not in kebab case")
        if unknown := set(self.diagnoses) - set(classes()):
            told.append(f"diagnoses outside the vocabulary: {', '.join(sorted(unknown))}")
        if len(self.diagnoses) > MOST_DIAGNOSES:
            told.append(f"{len(self.diagnoses)} diagnoses, at most {MOST_DIAGNOSES} are useful")
        if missing := [title for title in SECTIONS if not self.sections.get(title)]:
            told.append(f"its docstring lacks {', '.join(missing)}")
        for field in dataclasses.fields(self.thresholds):
            if not {"unit", "low", "high", "why"} <= set(field.metadata):
                told.append(f"threshold {field.name!r} is not declared with `threshold`")
            elif not field.metadata["low"] <= field.default <= field.metadata["high"]:
                told.append(f"threshold {field.name!r} is outside its own range")
        if not {case.fires for case in self.cases} >= {True, False}:
            told.append("CASES need one that fires and one that is silent")
        return told


def _when(stated: Statement) -> tuple[tuple[int, int], int]:
    """Steps of a finding and the step at which it was known, from its evidence where it does not say."""
    spans = [piece.steps for piece in stated.evidence]
    steps = stated.steps
    if steps is None:
        steps = (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else (0, 0)
    known_at = stated.known_at
    if known_at is None:
        known_at = max((span[1] for span in spans), default=steps[0])
    return steps, known_at


def detector(
    code: str,
    name: str,
    *,
    chinese: str = "",
    diagnoses: tuple[str, ...],
    severity: Severity,
    since: str,
    reads: tuple[str, ...] = (),
    events: tuple[str, ...] = (),
    final: bool = False,
    confidence: float = 0.9,
    explains: tuple[str, ...] = (),
) -> Callable[[Find], Rule]:
    """Make a rule of a pure function `find(window, at)` that yields findings; see `Rule` for the arguments.

    Args:
        chinese: The fault in Chinese words.
    """

    def make(function: Find) -> Rule:
        hints = typing.get_type_hints(function)
        at = list(inspect.signature(function).parameters)[1]
        return Rule(
            code=code,
            name=Bilingual(name, chinese),
            diagnoses=diagnoses,
            reads=reads,
            events=events,
            severity=severity,
            since=since,
            final=final,
            confidence=confidence,
            thresholds=hints[at],
            function=function,
            explains=explains,
        )

    return make

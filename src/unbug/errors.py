"""The exception tree. Every message says what could not be done, what was given, what there is and what to
do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "EXIT_CODES",
    "CommandNotFoundError",
    "EvidenceError",
    "FindingsStandError",
    "InternalError",
    "MediaError",
    "NewerFormatError",
    "NotARunError",
    "QueryError",
    "RunNotFoundError",
    "ScriptNotFoundError",
    "SettingError",
    "StoppedError",
    "StoreError",
    "UnbugError",
    "UnknownRuleError",
    "UsageError",
    "ValueNotLoggableError",
]

EXIT_CODES: dict[int, str] = {
    0: "the program, or the command, succeeded",
    1: "unbug itself failed",
    2: "the command line, a setting or a query was wrong",
    3: "the program succeeded, but a finding at or above `--fail-on` stands; or one at or above `--stop-on` "
    "ended it",
}
"""Exit codes of `unbug`, in one table. `unbug run` ends with the program's own code if that is not 0."""


class UnbugError(Exception):
    """Anything unbug says it cannot do. `exit_code` is what the command line ends with."""

    exit_code = 1


class InternalError(UnbugError):
    """A fault of unbug itself; never the user's."""


class StoppedError(UnbugError):
    """A diagnosis was asked to end before it was complete."""

    def __init__(self) -> None:
        super().__init__(
            "the diagnosis was stopped before it was complete; `unbug diagnose RUN` makes it again"
        )


class UsageError(UnbugError):
    """The call was wrong."""

    exit_code = 2


class SettingError(UsageError):
    """A setting has a value that it cannot have."""

    def __init__(self, name: str, given: object, allowed: str, *, origin: str = "") -> None:
        self.name, self.given, self.allowed, self.origin = name, given, allowed, origin
        where = f" (from {origin})" if origin else ""
        super().__init__(f"setting `{name}` cannot be {given!r}{where}; it takes {allowed}")


class ScriptNotFoundError(UsageError):
    """`unbug run` was given no program that exists."""

    def __init__(self, script: str, *, reason: str = "no such file") -> None:
        self.script, self.reason = script, reason
        super().__init__(
            f"cannot run {script!r}: {reason}; `unbug run [options] SCRIPT [ARGS…]` takes a path, "
            "`unbug run -m MODULE` a module"
        )


class CommandNotFoundError(UsageError):
    """`unbug run --` was given no command that can be started."""

    def __init__(self, command: str, *, reason: str = "there is no such command") -> None:
        self.command, self.reason = command, reason
        hint = f"; for a script say `unbug run {command}`" if command.endswith(".py") else ""
        super().__init__(
            f"cannot run {command!r}: {reason}; `unbug run [options] -- COMMAND…` takes what a shell "
            f"would{hint}"
        )


class StoreError(UnbugError):
    """A run folder cannot be written or read."""


class NotARunError(StoreError, UsageError):
    """The folder is no run."""

    exit_code = 2

    def __init__(self, path: str, *, reason: str = "it has no run.json") -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} is not a run of unbug: {reason}; `unbug ls` lists the runs there are")


class NewerFormatError(StoreError):
    """The run was written by a newer unbug."""

    exit_code = 2

    def __init__(self, path: str, found: int, known: int) -> None:
        self.path, self.found, self.known = path, found, known
        super().__init__(
            f"{path} has store format {found}, this unbug reads up to {known}; "
            "upgrade with `pip install -U unbug`"
        )


class RunNotFoundError(StoreError, UsageError):
    """No run answers to the name."""

    exit_code = 2

    def __init__(
        self, wanted: str, directory: str, near: Sequence[str] = (), *, ambiguous: bool = False
    ) -> None:
        self.wanted, self.directory, self.near, self.ambiguous = wanted, directory, tuple(near), ambiguous
        if ambiguous:
            text = f"{wanted!r} names {len(near)} runs in {directory}: {', '.join(near)}; give more of the id"
        elif near:
            text = f"no run {wanted!r} in {directory}; there is {', '.join(near)}"
        else:
            text = (
                f"no run {wanted!r} in {directory}, which holds no runs; record one with `unbug run SCRIPT`"
            )
        super().__init__(text)


class QueryError(UsageError):
    """A query over a run is wrong."""

    def __init__(self, query: str, reason: str) -> None:
        self.query, self.reason = query, reason
        super().__init__(
            f"cannot answer the query: {reason}\nquery: {query}\n`unbug sql RUN --tables` lists what there is"
        )


class UnknownRuleError(UsageError):
    """No rule has the code."""

    def __init__(self, code: str, near: Sequence[str] = ()) -> None:
        self.code, self.near = code, tuple(near)
        hint = f"did you mean {', '.join(near)}?" if near else "`unbug rules` lists them"
        super().__init__(f"there is no rule {code!r}; {hint}")


class EvidenceError(InternalError):
    """A rule gave evidence that is not data."""


class FindingsStandError(UnbugError):
    """A cell ended well, and a finding at or above its `--fail-on` stands."""

    exit_code = 3

    def __init__(self, run: str, fail_on: str, findings: Sequence[Any]) -> None:
        self.run, self.fail_on, self.findings = run, fail_on, tuple(findings)
        first = f": {findings[0].rule} {findings[0].name}, {findings[0].message}" if findings else ""
        super().__init__(f"run {run!r} has findings at or above `--fail-on {fail_on}`{first}")

    def _render_traceback_(self) -> list[str]:
        """A notebook shows the message alone: it is no failure of the code above."""
        return [f"{type(self).__name__}: {self}"]


class MediaError(UsageError, ValueError):
    """A picture, sound, table, text or histogram cannot be made of what was given."""

    def __init__(self, kind: str, given: str, why: str, hint: str) -> None:
        self.kind, self.given, self.why = kind, given, why
        super().__init__(f"cannot make an unbug.{kind} of {given}: {why}; {hint}")


class ValueNotLoggableError(UsageError, TypeError):
    """`run.log` was given something that is no number."""

    def __init__(self, name: str, given: object) -> None:
        self.name, self.given = name, given
        kind = type(given).__name__
        shape = getattr(given, "shape", None)
        what = f"{kind} of shape {tuple(shape)}" if shape is not None else kind
        super().__init__(
            f"cannot log {name!r}: {what} is no single number; log `float(...)` or reduce it first, or say "
            "what it is: `unbug.Image`, `Histogram`, `Table`, `Text`, `Audio` or `Figure`"
        )

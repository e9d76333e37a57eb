"""Which run `--resume` means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unbug.errors import UsageError
from unbug.types import RunState

__all__ = ["AUTO", "to_resume"]

AUTO = "auto"
_UNFINISHED = {
    RunState.FAILED: "had failed",
    RunState.INTERRUPTED: "was interrupted",
    RunState.KILLED: "was killed",
    RunState.LOST: "was lost",
}


def to_resume(
    wanted: str | None, directory: Path, facts: Mapping[str, Any], *, say: Callable[[str], None]
) -> Path | None:
    """The run to go on with; None for a new one.

    Args:
        wanted: A run as a user names it, `auto`, or None.
        facts: Of the run that would begin: command, folder and launch, redacted as those of the old ones are.
        say: Told what `auto` found.
    Raises:
        RunNotFoundError, NotARunError: there is no such run.
        UsageError: it still goes on.
    """
    if wanted is None:
        return None
    from unbug.store import find_run, list_runs

    if wanted != AUTO:
        path = find_run(wanted, directory)
        running = [one for one in list_runs(path.parent) if one.path.name == path.name]
        if any(one.status.state is RunState.RUNNING for one in running):
            raise UsageError(
                f"cannot resume run {path.name!r}: it is still running, as process "
                f"{running[0].status.pid} on {running[0].status.host}; stop it first"
            )
        return path
    for one in reversed(list_runs(directory)):
        if one.status.state in _UNFINISHED and _is_same(one.run.facts, facts):
            say(f"unbug: goes on with run {one.path.name}, which {_UNFINISHED[one.status.state]}")
            return one.path
    say("unbug: no unfinished run of this program, arguments and folder to resume; this is a new one")
    return None


def _is_same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Of the same job; or the same program and arguments in the same folder."""
    before, now = _launch(old), _launch(new)
    for name in ("run_id", "slurm_job", "torchelastic"):
        if now.get(name, "none") != "none" and before.get(name) == now[name]:
            return True
    return (
        bool(new.get("program"))
        and old.get("program") == new.get("program")
        and old.get("cwd") == new.get("cwd")
    )


def _launch(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    said = facts.get("launch")
    return said if isinstance(said, Mapping) else {}

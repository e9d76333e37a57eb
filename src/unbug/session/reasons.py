"""Why a program ended, as far as it can be known: out of memory, preempted, killed, interrupted or failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unbug.session.ending import Ending
from unbug.types import RunState

__all__ = ["Reason", "oom_kills", "reason_of"]

_MEMORY = re.compile(
    r"^\S*(OutOfMemoryError|MemoryError)\b|out of memory|can't allocate memory|not enough memory|"
    r"cannot allocate memory",
    re.IGNORECASE,
)
_ASKED = re.compile(r"SignalException\b.*signal: *(?:15|10|12)\b")
"""What torch's launcher raises where it is asked to end."""
_ASKING = frozenset({"SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCONT"})
_SCARCE = 0.04
"""Share of the machine's memory that is left where somebody is about to be killed for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why, in one word and in words. `sure` is false where it is only likely."""

    kind: Literal["finished", "failed", "interrupted", "out-of-memory", "preempted", "killed"]
    text: str = ""
    sure: bool = True


def oom_kills(root: Path = Path("/")) -> int | None:
    """How many processes of this control group the kernel killed for memory; None where it does not tell."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                file = root / "sys/fs/cgroup" / group.lstrip("/") / "memory.events"
            elif "memory" in controllers.split(","):
                file = root / "sys/fs/cgroup/memory" / group.lstrip("/") / "memory.oom_control"
            else:
                continue
            if file.is_file():
                said = dict(words.split()[:2] for words in file.read_text().splitlines())
                return int(said["oom_kill"]) if "oom_kill" in said else None
    return None


def reason_of(
    ending: Ending,
    *,
    environment: Mapping[str, str],
    kills: int = 0,
    least_free_share: float = 1.0,
) -> Reason:
    """Judge an ending.

    Args:
        kills: By how much `oom_kills` rose since the program began.
        least_free_share: Of the machine's memory, in the last samples.
    """
    error = ending.error
    if ending.state is RunState.FINISHED:
        return Reason(kind="finished")
    if _MEMORY.search(error):
        return Reason(kind="out-of-memory", text=error.splitlines()[0])
    if kills > 0:
        text = f"the kernel killed {kills} of its processes for memory (oom_kill of its control group)"
        return Reason(kind="out-of-memory", text=text)
    asked = sorted(_ASKING.intersection(ending.signals))
    if asked or _ASKED.search(error):
        by = ", ".join(asked) or "SIGTERM"
        if environment.get("SLURM_JOB_ID"):
            return Reason(kind="preempted", text=f"SLURM took the job back or its time was over ({by})")
        return Reason(kind="killed", text=f"it was asked to end by {by}, as by a scheduler or by `kill`")
    if ending.state is RunState.INTERRUPTED:
        return Reason(kind="interrupted", text=error or "Ctrl-C")
    if "SIGKILL" in ending.signals or ending.exit_code == 137:
        if least_free_share < _SCARCE:
            text = f"SIGKILL, likely for memory: only {least_free_share:.0%} of the machine's was free"
            return Reason(kind="out-of-memory", text=text, sure=False)
        return Reason(kind="killed", text="SIGKILL; nothing tells who sent it")
    if ending.state is RunState.KILLED:
        return Reason(kind="killed", text=error)
    return Reason(kind="failed", text=error.splitlines()[0] if error else f"code {ending.exit_code}")

"""A run, its trainings and its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["FORMAT_VERSION", "Attempt", "Run", "RunState", "Status", "Training"]

FORMAT_VERSION = 1
"""Version of the run folder. A reader opens this one and all released before it."""


class RunState(StrEnum):
    """How a run stands. `lost`: no sign of life, and nothing says how it ended."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    KILLED = "killed"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Run:
    """The manifest: what is known when a run begins; written once.

    Args:
        id: UUIDv7; never changes.
        name: A label; the folder carries it too.
        created_ns: Wall clock, nanoseconds since the epoch.
        anchor_ns: Monotonic clock read at the same moment as `created_ns`; row times are monotonic.
        facts: Command, git, packages, hardware, seeds, settings … JSON values, redacted.
    """

    id: str
    name: str
    created_ns: int
    anchor_ns: int
    format_version: int = FORMAT_VERSION
    unbug_version: str = ""
    tags: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a run is; replaced atomically every few seconds while it lives.

    Args:
        exit_code: The program's own; None while it runs, or when nobody saw it end.
        findings: Number of open findings by severity, as last diagnosed.
        lost: What could not be kept, in words; empty if nothing.
        attempt: Which attempt at the run this is about, from 0; the store fills it in.
        started_ns: When that attempt began, by the wall clock; None for the first one, which began with the
            run.
    """

    state: RunState
    updated_ns: int
    pid: int = 0
    host: str = ""
    boot_id: str = ""
    started_ticks: int = 0
    exit_code: int | None = None
    ended_ns: int | None = None
    trainings: int = 0
    steps: int = 0
    last_loss: float | None = None
    findings: Mapping[str, int] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    message: str = ""
    attempt: int = 0
    started_ns: int | None = None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a run: from its start, or a resumption, to its end.

    Args:
        number: From 0.
        state: How it ended; `running` for the one that lives.
        started_ns, ended_ns: Wall clock, nanoseconds since the epoch; the end is None where nobody saw it.
        hosts: Machines whose processes wrote in it.
        ranks: Their ranks.
    """

    number: int
    state: RunState
    started_ns: int
    ended_ns: int | None = None
    exit_code: int | None = None
    message: str = ""
    hosts: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Training:
    """The life of one set of optimised parameters within a run.

    Args:
        number: From 0, in order of the first step.
        steps: Optimizer steps of the primary optimizer seen so far.
        optimizers: Class names, the primary one first.
        parameters: Number of optimised scalars.
        ended: No more steps can come (the run ended, or a later training replaced it).
        same_as: Number of the training that this one is a part of; readers fold it in. For writers that know:
            unbug's recorder sets it never, since it joins optimizers that work on one computation from the
            start, and cannot tell two that never do from two trainings in turn.
    """

    number: int
    steps: int = 0
    optimizers: tuple[str, ...] = ()
    parameters: int = 0
    ended: bool = False
    same_as: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

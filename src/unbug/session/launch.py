"""What the environment says about the launch that this process is a part of: which run, which rank."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

__all__ = ["Launch", "rank_of", "restarts"]

_NO_ID = ("", "none")
"""What `torchrun` calls every run that nobody gave an id."""
_ID_OPTIONS = ("--rdzv-id", "--rdzv_id")


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Processes with the same `identity` write one run; those with the same `start`, too, one attempt at it.

    Args:
        identity: Empty for a process that stands alone, and makes a run of its own.
        start: Tells the starts of one identity apart, such as a job before and after it was requeued. Empty
            where the environment says nothing: then a run that still goes on is joined, and one that has
            ended is gone on with.
        said: The same in words, for the run's facts.
    """

    identity: str = ""
    start: str = ""
    said: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str], *, name: str, command: Sequence[str] = ()) -> Self:
        """Read the environment.

        Args:
            name: Of the program: several that one job step runs in turn are several runs.
            command: Of a launcher, for its `--rdzv-id`.
        """
        said: dict[str, str] = {}
        starts: list[str] = []
        given = environment.get("UNBUG_RUN_ID", "").strip()
        elastic = environment.get("TORCHELASTIC_RUN_ID") if "RANK" in environment else None
        asked = _option(command)
        job, step = environment.get("SLURM_JOB_ID", ""), _slurm_step(environment)
        if given:
            said["run_id"] = given
        if elastic is not None or asked:
            said["torchelastic"] = asked if elastic is None else elastic
        if job:
            said["slurm_job"] = job
        if job and step:
            said["slurm_step"] = step
            starts += ["slurm", environment.get("SLURM_RESTART_COUNT", "0")]
        if elastic is not None:
            starts += _elastic_start(environment)
        identity = ""
        if given:
            identity = f"id {given}"
        elif said.get("torchelastic", "none") not in _NO_ID:
            identity = f"torchelastic {said['torchelastic']} {name}"
        elif elastic is not None:
            identity = f"torchelastic {' '.join(_elastic_start(environment)[:-1])} {name}"
        elif job and step and _tasks(environment) > 1:
            identity = f"slurm {job}.{step} {name}"
        return cls(identity=identity, start=" ".join(starts), said=said)

    @property
    def key(self) -> str:
        """Of the identity, as a file name."""
        return _hash(self.identity)

    @property
    def start_key(self) -> str:
        """Of the start, as a file name; empty if it has none."""
        return _hash(self.start) if self.start else ""


def _hash(text: str) -> str:
    return hashlib.sha256(json.dumps(text).encode()).hexdigest()[:20]


def _option(command: Sequence[str]) -> str:
    for word, following in zip(command, [*command[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name in _ID_OPTIONS:
            return value if equals else following
    return ""


def _elastic_start(environment: Mapping[str, str]) -> list[str]:
    """On one node all ranks are children of one agent; over nodes the agents agreed on an address and a port.

    The last word is the number of restarts.
    """
    count = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
    if environment.get("LOCAL_WORLD_SIZE") == environment.get("WORLD_SIZE"):
        from unbug.store import process_identity

        agent = process_identity(os.getppid())
        return [*(str(agent[name]) for name in ("host", "boot_id", "pid", "started_ticks")), count]
    return [environment.get("MASTER_ADDR", ""), environment.get("MASTER_PORT", ""), count]


def _slurm_step(environment: Mapping[str, str]) -> str:
    return environment.get("SLURM_STEP_ID") or environment.get("SLURM_STEPID") or ""


def _tasks(environment: Mapping[str, str]) -> int:
    said = environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS") or "1"
    return int(said) if said.isdigit() else 1


def rank_of(environment: Mapping[str, str]) -> int:
    """Of torch.distributed if it has begun, else as the launcher said."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    said = environment.get("RANK", "")
    if not said and _slurm_step(environment) and _tasks(environment) > 1:
        said = environment.get("SLURM_PROCID", "")
    return int(said) if said.isdigit() else 0


def restarts(environment: Mapping[str, str]) -> int:
    """How often `torchrun` has restarted its ranks before these."""
    said = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
    return int(said) if said.isdigit() and "RANK" in environment else 0

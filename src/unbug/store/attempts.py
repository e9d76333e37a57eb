"""Several attempts at one run: a program that was preempted, killed or requeued goes on where it stopped.

`status.json` is about the last attempt. Those before it lie in `attempts/000.json` … as their last status
said, each made once and never changed; so no lock is needed, and a crash between the two leaves both
readable.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from unbug.errors import UsageError
from unbug.store.access import Where, listing
from unbug.store.folders import WRITERS
from unbug.store.identity import process_identity
from unbug.store.liveness import corrected
from unbug.store.manifest import (
    make_file,
    read_manifest,
    read_status,
    status_bytes,
    write_status,
)
from unbug.types import Attempt, RunState, Status

__all__ = ["ATTEMPTS", "attempts_of", "begin_attempt", "next_attempt", "past_statuses"]

ATTEMPTS = "attempts"
MAX_ATTEMPTS = 1000
_FILE = re.compile(r"(\d{3})\.json")
_WRITER = re.compile(r"r\d+-a(\d{3,5})-.*")


def _names(folder: Where) -> frozenset[str]:
    try:
        return listing(folder)
    except OSError:
        return frozenset()


def next_attempt(path: Path) -> int:
    """The number of the attempt that would go on with a run: one more than any that was begun.

    Processes of one attempt must agree on it: one of them asks, and tells the others.

    Raises:
        NotARunError, NewerFormatError: there is no run.
    """
    read_manifest(path)
    begun = [read_status(path).attempt]
    begun += [int(match[1]) for name in _names(path / ATTEMPTS) if (match := _FILE.fullmatch(name))]
    begun += [int(match[1]) for name in _names(path / WRITERS) if (match := _WRITER.fullmatch(name))]
    return 1 + max(begun)


def begin_attempt(path: Path, number: int, *, wall_ns: Callable[[], int] = time.time_ns) -> tuple[bool, int]:
    """Set the run's status to running under this attempt, and keep what the status said of the one before.

    Returns:
        Whether this process keeps the status (of several that begin one attempt, the first does), and when
        the attempt began.
    Raises:
        UsageError: the number is out of range, or a later attempt has begun.
    """
    now = wall_ns()
    if not 0 <= number < MAX_ATTEMPTS:
        raise UsageError(f"an attempt is numbered from 0 to {MAX_ATTEMPTS - 1}, not {number}")
    last = read_status(path)
    if last.attempt > number:
        raise UsageError(
            f"run {path.name!r} is at attempt {last.attempt}, attempt {number} cannot begin any more"
        )
    if last.attempt == number:
        mine = last.state is RunState.LOST and last.updated_ns == 0  # no status that can be read
        own = process_identity()
        return mine or (last.pid, last.host) == (own["pid"], own["host"]), last.started_ns or now
    ended = corrected(last, now_ns=now)
    if ended.state is RunState.RUNNING:  # It was asked to make place; nobody will write its end.
        ended = replace(ended, state=RunState.KILLED, message="it was still running when the next one began")
    folder = path / ATTEMPTS
    folder.mkdir(mode=0o700, exist_ok=True)
    if not make_file(folder / f"{last.attempt:03d}.json", status_bytes(ended)) and _is_begun(path, number):
        return False, now
    write_status(
        path,
        Status(
            state=RunState.RUNNING,
            updated_ns=now,
            attempt=number,
            started_ns=now,
            trainings=ended.trainings,
            steps=ended.steps,
            last_loss=ended.last_loss,
            findings=ended.findings,
            **process_identity(),
        ),
    )
    return True, now


def _is_begun(path: Path, number: int) -> bool:
    """Whether another process, which was quicker, begins the attempt; it may have died over it."""
    for _ in range(20):
        if read_status(path).attempt >= number:
            return True
        time.sleep(0.02)
    return False


def past_statuses(path: Where) -> tuple[Status, ...]:
    """The last status of each attempt before the present one, in order; what cannot be read is left out."""
    found = []
    for name in sorted(_names(path / ATTEMPTS)):
        match = _FILE.fullmatch(name)
        if match:
            status = read_status(path, f"{ATTEMPTS}/{name}")
            if status.updated_ns:
                found.append(replace(status, attempt=int(match[1])))
    return tuple(found)


def attempts_of(
    created_ns: int, present: Status, past: Iterable[Status], headers: Iterable[Mapping[str, Any]]
) -> tuple[Attempt, ...]:
    """Every attempt at a run, from the statuses and from what each writer said of itself, by number."""
    statuses = {status.attempt: status for status in (*past, present)}
    hosts: dict[int, set[str]] = {number: {status.host} for number, status in statuses.items()}
    ranks: dict[int, set[int]] = {}
    begun: dict[int, int] = {}
    for header in headers:
        with suppress(TypeError, ValueError, KeyError):
            number, wall = int(header["attempt"]), int(header["wall_ns"])
            hosts.setdefault(number, set()).add(str(header.get("host", "")))
            ranks.setdefault(number, set()).add(int(header["rank"]))
            begun[number] = min(begun.get(number, wall), wall)
    found = []
    for number in sorted({*statuses, *begun}):
        status = statuses.get(number)
        started = created_ns if number == 0 else begun.get(number, created_ns)
        if status is None:  # Its processes wrote, but none of them kept the status.
            status = replace(present, ended_ns=None, exit_code=None, message="")
            status = status if number == max(begun) else replace(status, state=RunState.KILLED)
        found.append(
            Attempt(
                number=number,
                state=status.state,
                started_ns=status.started_ns or started,
                ended_ns=status.ended_ns,
                exit_code=status.exit_code,
                message=status.message,
                hosts=tuple(sorted(hosts.get(number, set()) - {""})),
                ranks=tuple(sorted(ranks.get(number, ()))),
            )
        )
    return tuple(found)

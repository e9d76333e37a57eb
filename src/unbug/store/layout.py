"""Which files a writer's folder holds, what their names say, and which of them count.

    definitions.log              places, groups, series; only grows
    live-000012.log              frames as they came; the highest number is the one being written
    s-000000-000007-0.seg        scalars of the logs 0 to 7 (`d` detail, `b` blobs, `e` events), thinned 0
    times

A log is turned into segments, narrow segments are merged into wide ones, and what was replaced is deleted
last. So a file counts unless a wider (or more thinned) one of its class covers it: a crash at any moment, or
two processes that merge at once, leave files that are ignored, and none that counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from unbug.store.access import Where, listing

__all__ = [
    "CLASSES",
    "DEFINITIONS",
    "SegmentName",
    "log_name",
    "log_numbers",
    "picked",
    "segment_names",
    "stable_listing",
]

DEFINITIONS = "definitions.log"
CLASSES = ("s", "d", "b", "e")
_LOG = re.compile(r"live-(\d{6,9})\.log")
_SEGMENT = re.compile(r"([sdbe])-(\d{6,9})-(\d{6,9})-(\d{1,3})\.seg")


@dataclass(frozen=True, order=True, slots=True)
class SegmentName:
    """What the name of a segment says: its class, the first and last log it covers, how often it was
    thinned."""

    kind: str
    low: int
    high: int
    thinned: int = 0

    def __str__(self) -> str:
        return f"{self.kind}-{self.low:06d}-{self.high:06d}-{self.thinned}.seg"

    def covers(self, other: SegmentName) -> bool:
        """Whether this one makes the other one superfluous."""
        return (
            self.kind == other.kind
            and self.low <= other.low
            and other.high <= self.high
            and (self.high - self.low, self.thinned) > (other.high - other.low, other.thinned)
        )


def log_name(number: int) -> str:
    """The file name of a live log."""
    return f"live-{number:06d}.log"


def log_numbers(names: Iterable[str]) -> list[int]:
    """The live logs among file names, in order."""
    return sorted(int(match[1]) for name in names if (match := _LOG.fullmatch(name)))


def segment_names(names: Iterable[str]) -> list[SegmentName]:
    """The segments among file names, in order."""
    found = (_SEGMENT.fullmatch(name) for name in names)
    return sorted(
        SegmentName(m[1], int(m[2]), int(m[3]), int(m[4])) for m in found if m and int(m[2]) <= int(m[3])
    )


def picked(segments: Iterable[SegmentName]) -> tuple[list[SegmentName], list[SegmentName]]:
    """The segments that count, in order of time, and those that another one covers."""
    best: list[SegmentName] = []
    covered: list[SegmentName] = []
    for name in sorted(segments, key=lambda one: (one.low - one.high, -one.thinned, one.low)):
        (covered if any(other.covers(name) for other in best) else best).append(name)
    return sorted(best), covered


def stable_listing(folder: Where, *, tries: int = 50) -> frozenset[str]:
    """File names in a folder. Listed until two listings agree, so that a file renamed meanwhile is not
    missed."""
    before: frozenset[str] | None = None
    for _ in range(tries):
        now = listing(folder)
        if now == before:
            break
        before = now
    return now

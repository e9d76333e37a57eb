"""What the user has looked at and accepts: findings that stand in the report, but alarm nobody.

In the settings, by code or name of the rule, or by the finding's fingerprint; on a source line, as
`# unbug: ignore[A103] why` or `# unbug: ignore[A103 until 2027-01-01] why`. Each needs a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from unbug.types import Bilingual, Finding

__all__ = ["Suppression", "comments", "suppress", "written"]

MOST_BYTES = 2_000_000

_COMMENT = re.compile(r"#\s*unbug:\s*ignore\[([^\]]*)\][\s:-]*(.*)")
_WORD = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """What is accepted, why, and until when.

    Args:
        what: Code or name of a rule, or a fingerprint.
        reason: Why, in the user's words; without one it does not count.
        until: Last day on which it counts; None for ever.
        place: Pattern that the place must match, such as `encoder.*`.
        at: Where it is written: `settings`, or `file:line` of a comment.
        file, lines: For a comment, the lines that it speaks of.
    """

    what: str
    reason: str
    until: date | None = None
    place: str = "*"
    at: str = "settings"
    file: str = ""
    lines: tuple[int, ...] = ()

    def matches(self, finding: Finding) -> bool:
        """Whether it speaks of this finding, whatever the day is."""
        if self.what.lower() not in (finding.rule.lower(), finding.name.lower(), finding.fingerprint):
            return False
        if self.file:
            source = finding.source
            return source is not None and source.file == self.file and source.line in self.lines
        return any(fnmatchcase(place, self.place) for place in (finding.place, *finding.places))


def written(recorded: Mapping[str, str]) -> tuple[Suppression, ...]:
    """The suppressions in the program's source, as it was recorded and as it is now.

    Where both speak of a line, what stands there now counts: a day may have been moved.

    Args:
        recorded: File -> text, as the run keeps it.
    """
    found: dict[tuple[str, str, tuple[int, ...]], Suppression] = {}
    for file, text in recorded.items():
        now = _now(file)
        for one in comments(file, text) if "unbug" in text else ():
            found[one.what, one.file, one.lines] = one
        for one in comments(file, now, known=text.splitlines()) if now and now != text else ():
            found[one.what, one.file, one.lines] = one
    return tuple(found.values())


def comments(file: str, text: str, *, known: Sequence[str] | None = None) -> Iterator[Suppression]:
    """The suppressions written in a source file.

    A comment behind code speaks of that line, one on a line of its own of the next line with code.

    Args:
        known: Lines of the file as it was recorded, where `text` is a later version of it; a comment then
            speaks of the nearest recorded line with the same code.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        found = _COMMENT.search(line)
        if found is None or not _is_comment(line, found.start()):
            continue
        about = number if line[: found.start()].strip() else _next_code(lines, number)
        if known is not None:
            about = _nearest(known, _code(lines[about - 1]), about)
        for what, until in _parts(found[1]):
            yield Suppression(
                what=what,
                reason=found[2].strip(),
                until=until,
                at=f"{file.rpartition('/')[2]}:{number}",
                file=file,
                lines=(about,),
            )


def suppress(
    findings: Iterable[Finding], given: Iterable[Suppression], *, today: date
) -> tuple[list[Finding], tuple[Bilingual, ...]]:
    """Mark what is accepted, and say which suppressions do not count or are of no use any more.

    Returns:
        The findings, those that are accepted in state `suppressed`; remarks for the reader.
    """
    found, remarks = list(findings), []
    for one in dict.fromkeys(given):
        matching = [number for number, finding in enumerate(found) if one.matches(finding)]
        if not one.reason:
            remarks.append(
                Bilingual(
                    f"{one.at}: ignoring {one.what} needs a reason, so it does not count",
                    f"{one.at}：忽略 {one.what} 需要写明理由，因此不生效",
                )
            )
        elif not matching:
            remarks.append(
                Bilingual(
                    f"{one.at}: nothing to ignore for {one.what}; it can be removed",
                    f"{one.at}：{one.what} 没有可忽略的发现，可以删除",
                )
            )
        elif one.until is not None and today > one.until:
            remarks.append(
                Bilingual(
                    f"{one.at}: ignoring {one.what} ended on {one.until} (“{one.reason}”), it is open again",
                    f"{one.at}：对 {one.what} 的忽略已于 {one.until} 到期（“{one.reason}”），重新列为未解决",
                )
            )
        else:
            for number in matching:
                found[number] = replace(found[number], state="suppressed", suppression=one.reason)
    return found, tuple(remarks)


def _now(file: str) -> str:
    """Text of a file of the program, empty where there is none or it speaks of no suppression."""
    path = Path(file)
    try:
        if not path.is_absolute() or not path.is_file() or path.stat().st_size > MOST_BYTES:
            return ""
        text = path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
    return text if "unbug" in text else ""


def _is_comment(line: str, at: int) -> bool:
    """Whether what begins there is no part of a string: as many quotes of a kind before it as close."""
    before = line[:at]
    return before.count('"') % 2 == 0 and before.count("'") % 2 == 0


def _parts(inside: str) -> Iterator[tuple[str, date | None]]:
    """`A103, G104 until 2027-01-01`: each name with the last day, which stands for all before it."""
    names, _, day = inside.partition(" until ")
    until: date | None = None
    if day.strip():
        try:
            until = date.fromisoformat(day.strip())
        except ValueError:
            until = date.min  # a day that cannot be read must not hide anything
    for name in _WORD.findall(names):
        yield name, until


def _next_code(lines: Sequence[str], number: int) -> int:
    for after in range(number + 1, len(lines) + 1):
        if _code(lines[after - 1]):
            return after
    return number


def _code(line: str) -> str:
    return " ".join(line.partition("#")[0].split())


def _nearest(known: Sequence[str], code: str, number: int) -> int:
    same = [at for at, line in enumerate(known, 1) if _code(line) == code]
    return min(same, key=lambda at: abs(at - number), default=0)

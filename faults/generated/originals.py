"""Read an original with its edits from one text file, and apply an edit.

An original is a file `<half>/<group>.txt`:

    metric: test accuracy
    goal: higher
    about: one line on model, data and loop
    --- source
    … a whole training script …
    --- edits
    @@ lr-too-high
    ~lr=0.05 => lr=9.0

    @@ healthy | why=frozen on purpose
    -an old line
    +a new line

`--- edits` is a list of entries. `@@ CLASS` opens one; options follow after ` | `: `where=` (module, name,
function, or one of data, optimizer, loss, loop), `accept=` (classes, by comma; `accept=` alone for none),
`effect=` (see `EFFECTS`), `op=` (what the operator does), `at=` (text whose line also counts as a place of
the repair), `why=` (healthy variants: what invites a false alarm). Two kinds of edit line: `~old => new`
replaces text that occurs once in the script; a block of lines that begin with ' ', '-' and '+' replaces whole
lines as a diff does, without line numbers. A blank line, a `~` line, and the first line with ' ' or '-' after
one with '+' end a block.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADERS = ("metric", "goal", "about")
OPTIONS = ("where", "accept", "effect", "op", "at", "why")
EFFECTS = {
    "worse": "the final metric is worse than that of the original under each of six seeds",
    "leak": "the metric looks better than it honestly is, or the leak is in force: the output differs",
    "mechanism": "small tasks forgive it, but it is in force: the output differs from the original's",
    "slower": "the same result in at least twice the time",
    "grows": "the peak of resident memory is at least 4 MB higher",
    "random": "two runs of the program differ, two of the original do not",
}


class OriginalError(Exception):
    """A file of originals cannot be read or an edit does not apply."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One change to an original: a fault of class `fault`, or a healthy variant if that is None."""

    fault: str | None
    options: dict[str, str]
    changes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Original:
    """A healthy script and the edits that its file lists."""

    half: str
    group: str
    metric: str
    goal: str
    about: str
    source: str
    edits: tuple[Edit, ...]


def read(path: Path) -> Original:
    """Read one file of the format above; raises OriginalError."""
    head, _, rest = path.read_text(encoding="utf-8").partition("--- source\n")
    source, found, listed = rest.partition("--- edits\n")
    facts = dict(line.split(": ", 1) for line in head.splitlines() if line)
    if not found or tuple(facts) != HEADERS or facts["goal"] not in ("higher", "lower"):
        raise OriginalError(f"{path}: not of the format in the docstring of originals.py")
    edits = tuple(_edits(listed, path))
    return Original(half=path.parent.name, group=path.stem, source=source, edits=edits, **facts)


def _edits(text: str, path: Path) -> Iterator[Edit]:
    for part in f"\n{text}".split("\n@@ ")[1:]:
        first, *body = part.split("\n")
        fault, *options = first.split(" | ")
        given = dict(option.split("=", 1) for option in options)
        if set(given) - set(OPTIONS) or given.get("effect", "worse") not in EFFECTS:
            raise OriginalError(f"{path}: unknown option or effect in {first!r}")
        changes = tuple(_changes(body))
        if not changes:
            raise OriginalError(f"{path}: {first!r} changes nothing")
        yield Edit(fault=None if fault == "healthy" else fault, options=given, changes=changes)


def _changes(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs (old, new) of text to replace; whole lines end with a line feed."""
    block: list[str] = []
    for line in [*lines, ""]:
        same = line[:1] in ("-", "+", " ")
        if same and not (block and block[-1][0] == "+" != line[0]):
            block.append(line)
            continue
        if block:
            old, new = ("".join(f"{row[1:]}\n" for row in block if row[0] in signs) for signs in (" -", " +"))
            yield old, new
            block = [line] if same else []
        if same:
            continue
        if line.startswith("~"):
            old, found, new = line[1:].partition(" => ")
            if not found:
                raise OriginalError(f"no ' => ' in {line!r}")
            yield old, new
        elif line:
            raise OriginalError(f"neither a replacement nor part of a block: {line!r}")


def apply(original: Original, edit: Edit) -> str:
    """The script with the edit made; raises OriginalError where a piece of text does not occur once."""
    text = original.source
    for old, new in edit.changes:
        whole = old.endswith("\n")
        padded = f"\n{text}" if whole else text
        wanted = f"\n{old}" if whole else old
        if padded.count(wanted) != 1:
            times = padded.count(wanted)
            raise OriginalError(f"{original.group}: {edit.fault}: {times} times in the script: {old!r}")
        text = padded.replace(wanted, f"\n{new}" if whole else new).removeprefix("\n" if whole else "")
    compile(text, original.group, "exec")
    return text


def changed_lines(healthy: str, faulty: str) -> list[int]:
    """Lines of the faulty script that the repair changes; where it inserts, the line after the gap."""
    before, after = healthy.splitlines(), faulty.splitlines()
    lines: set[int] = set()
    for tag, _, _, start, end in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "delete":
            lines.add(min(start + 1, len(after)))
        elif tag != "equal":
            lines.update(range(start + 1, end + 1))
    return sorted(lines)

#!/usr/bin/env python3
"""Write the healthy training programs and their manifest.

    generate.py OUT [--half dev|held] [--freeze] [--check]

A template in `dev/` or `held/` is TOML, then `---`, then a program with `<<NAME>>` in places. Each table
`[variants.X]` gives values for the names and makes one program; a value on a line of its own keeps that line's
indentation. No template is in both halves. `frozen.toml` holds the hash of every program: `--check` says whether
what is written now is what was frozen, `--freeze` freezes anew (before any threshold is chosen, not after).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
HALVES = ("dev", "held")
FROZEN = HERE / "frozen.toml"
NAME = re.compile(r"<<([A-Z0-9_]+)>>")


@dataclass(frozen=True, kw_only=True)
class Program:
    """One healthy training program and what it must reach."""

    name: str
    half: str
    group: str
    text: str
    why: str
    metric: str
    bar: str

    @property
    def digest(self) -> str:
        """SHA-256 of the program's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def reached(self, value: float) -> bool:
        """Say whether a final metric shows that the program learned what can be learned."""
        sign, limit = self.bar.split()
        return {">=": value >= float(limit), "<=": value <= float(limit)}[sign]


def programs(half: str | None = None) -> list[Program]:
    """Make the programs of one half, or of both, in a fixed order."""
    made = []
    for part in (half,) if half else HALVES:
        for path in sorted((HERE / part).glob("*.tmpl")):
            made.extend(_of_template(path, part))
    return made


def _of_template(path: Path, half: str) -> list[Program]:
    head, _, body = path.read_text(encoding="utf-8").partition("\n---\n")
    told = tomllib.loads(head)
    shared = {key: value for key, value in told.items() if key.isupper()}
    made = []
    for variant, values in told["variants"].items():
        known = {**told, **values}
        text = _filled(body, {**shared, **{k: v for k, v in values.items() if k.isupper()}})
        compile(text, f"{path.stem}_{variant}.py", "exec")
        made.append(
            Program(
                name=f"{path.stem}_{variant}",
                half=half,
                group=path.stem,
                text=text,
                why=known["why"],
                metric=known["metric"],
                bar=known["bar"],
            )
        )
    return made


def _filled(body: str, values: dict[str, object]) -> str:
    lines: list[str] = []
    for line in body.splitlines():
        alone = NAME.fullmatch(line.strip())
        if alone:
            indent = line[: len(line) - len(line.lstrip())]
            block = str(values[alone[1]]).strip("\n").splitlines()
            lines.extend(indent + part if part.strip() else "" for part in block)
        else:
            lines.append(NAME.sub(lambda found: str(values[found[1]]), line))
    text = "\n".join(lines).strip("\n") + "\n"
    return _filled(text, values) if NAME.search(text) else text


def manifest(made: list[Program]) -> str:
    """Write the programs down in the form of `faults/manifest.toml`."""
    parts = ["# Written by faults/healthy/generate.py.\n"]
    for one in made:
        facts = {
            "file": f"{one.name}.py",
            "healthy": True,
            "half": one.half,
            "group": one.group,
            "why_tricky": one.why,
            "metric": one.metric,
            "bar": one.bar,
            "sha256": one.digest,
        }
        parts.append("[[case]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in facts.items()))
    return "\n".join(parts)


def frozen() -> dict[str, str]:
    """Read the hash of every frozen program, by name."""
    return {name: fact["sha256"] for name, fact in tomllib.loads(FROZEN.read_text(encoding="utf-8")).items()}


def changed(made: list[Program], half: str | None = None) -> list[str]:
    """Name the programs that differ from what was frozen, are new, or are gone."""
    held = tomllib.loads(FROZEN.read_text(encoding="utf-8"))
    before = {name: fact["sha256"] for name, fact in held.items() if half in (None, fact["half"])}
    now = {one.name: one.digest for one in made}
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def main(arguments: list[str]) -> int:
    """Write programs and manifest, or freeze, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT")
    parser.add_argument("--half", choices=HALVES)
    parser.add_argument("--freeze", action="store_true", help="write frozen.toml")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a program is not as frozen")
    options = parser.parse_args(arguments)
    made = programs(options.half)
    if options.freeze:
        lines = [f'[{p.name}]\nhalf = "{p.half}"\nsha256 = "{p.digest}"\n' for p in programs()]
        FROZEN.write_text("\n".join(lines), encoding="utf-8")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        for one in made:
            (options.out / f"{one.name}.py").write_text(one.text, encoding="utf-8")
        (options.out / "manifest.toml").write_text(manifest(made), encoding="utf-8")
    if options.check and (differ := changed(made, options.half)):
        print(f"{len(differ)} programs are not as frozen: {', '.join(differ)}", file=sys.stderr)
        return 1
    groups = len({(one.half, one.group) for one in made})
    print(f"{len(made)} programs of {groups} templates")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
